"""Schema versions on a real file."""

import subprocess
import sys
from collections.abc import Iterator

import alembic.autogenerate
import pytest
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from app.errors import Unavailable
from app.models import jobs, keys, migrate, tables
from app.models.database import Database
from tests.integration import makers
from tests.postgres import running_postgres

pytestmark = [pytest.mark.integration, pytest.mark.databases]


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    db = Database(empty_url)
    yield db
    db.close()


def table_names(db: Database) -> set[str]:
    with db.read() as tx:
        return set(sa.inspect(tx).get_table_names())


def test_an_empty_database_is_refused_until_it_is_upgraded(empty: Database) -> None:
    assert migrate.read_revision(empty) is None
    with pytest.raises(Unavailable, match="database_not_migrated"):
        migrate.require_current(empty)

    migrate.upgrade(empty)

    migrate.require_current(empty)
    assert migrate.read_revision(empty) == migrate.head_revision()


def test_upgrading_twice_changes_nothing_and_keeps_the_rows(empty: Database) -> None:
    migrate.upgrade(empty)
    keys.create(empty, "n")

    migrate.upgrade(empty)

    assert len(keys.list_all(empty)) == 1


def test_a_downgrade_takes_every_table_away_and_an_upgrade_brings_them_back(
    empty: Database,
) -> None:
    migrate.upgrade(empty)
    before = table_names(empty)

    migrate.downgrade(empty, "base")
    assert table_names(empty) <= {"alembic_version", "sqlite_sequence"}

    migrate.upgrade(empty)
    assert table_names(empty) == before
    keys.create(empty, "n")


def test_the_migrated_schema_is_the_one_the_program_uses(empty: Database) -> None:
    migrate.upgrade(empty)

    with empty.read() as tx:
        options = {"compare_server_default": True, "include_object": is_comparable}
        context = MigrationContext.configure(tx, opts=options)
        differences = alembic.autogenerate.compare_metadata(context, tables.metadata)

    assert differences == []


def is_comparable(_object: object, name: str, *_rest: object) -> bool:
    """alembic cannot read an index with DESC back, and misses what is for the other database only;
    `describe` compares the SQL of both."""
    return name not in ("ix_jobs_claim", "ix_jobs_idempotency", "uq_jobs_idempotency")


def test_foreign_keys_and_constraints_are_those_of_the_tables(empty: Database) -> None:
    """alembic's comparison sees neither ON DELETE nor AUTOINCREMENT on SQLite."""
    with empty.write() as tx:
        tables.metadata.create_all(tx)
    wanted = describe(empty)
    with empty.write() as tx:
        tables.metadata.drop_all(tx)

    migrate.upgrade(empty)

    assert describe(empty) == wanted


def describe(db: Database) -> dict[str, object]:
    asked = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if db.is_sqlite
        else "SELECT indexname AS name, indexdef AS sql FROM pg_indexes WHERE schemaname = 'public'"
    )
    with db.read() as tx:
        found = sa.inspect(tx)
        sql = {row.name: " ".join(row.sql.split()) for row in tx.exec_driver_sql(asked)}
        sql.pop("alembic_version_pkc", None)
        names = set(found.get_table_names()) - {"alembic_version", "sqlite_sequence"}
        return {"indexes": sql} | {
            name: (
                sorted(str(sorted(map(str, key.items()))) for key in found.get_foreign_keys(name)),
                sorted(str(key["column_names"]) for key in found.get_unique_constraints(name)),
                found.get_pk_constraint(name)["constrained_columns"],
                [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            )
            for name in names
        }


def test_fewer_indexes_of_jobs_keep_each_idempotency_key_unique(empty: Database) -> None:
    migrate.upgrade(empty, "0014")
    makers.add_job(empty, idempotency_key="first", request_hash="x")

    migrate.upgrade(empty)
    refuse_twice(empty, "first")
    migrate.downgrade(empty, "0014")
    refuse_twice(empty, "first")
    makers.add_job(empty)
    makers.add_job(empty)


def refuse_twice(db: Database, key: str) -> None:
    with pytest.raises(sa.exc.IntegrityError), db.write() as tx:
        jobs.place(tx, makers.new_job(idempotency_key=key), max_queued=None)


def test_requests_are_compressed_by_lz4_and_older_ones_can_be_read(empty: Database) -> None:
    if empty.is_sqlite:
        pytest.skip("SQLite compresses nothing")
    text = "the quick brown fox " * 500
    migrate.upgrade(empty, "0015")
    old = makers.add_job(empty, request={"prompt": f"old {text}"})

    migrate.upgrade(empty)
    new = makers.add_job(empty, request={"prompt": f"new {text}"})

    used = sa.text("SELECT pg_column_compression(request) FROM jobs ORDER BY seq")
    with empty.read() as tx:
        assert tx.execute(used).scalars().all() == ["pglz", "lz4"]
    found = [jobs.get(empty, job.tenant_id, job.id) for job in (old, new)]
    assert [job.request["prompt"][:3] for job in found] == ["old", "new"]


def test_two_programs_that_upgrade_at_once_wait_for_each_other(postgres: running_postgres) -> None:
    db = Database(postgres.create("upgraded_twice"))
    command = [sys.executable, "-c", _UPGRADE, db.url.render_as_string(hide_password=False)]

    both = [subprocess.Popen(command) for _ in range(2)]

    assert [process.wait(150) for process in both] == [0, 0]
    migrate.require_current(db)
    db.close()


_UPGRADE = """
import sys
from app.models import migrate
from app.models.database import Database
migrate.upgrade(Database(sys.argv[1]))
"""
