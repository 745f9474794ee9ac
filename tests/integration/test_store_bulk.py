"""Many rows at once, on both databases."""

import pytest
import sqlalchemy as sa

from app.models import bulk, claims
from app.models.database import Database
from app.models.tables import jobs, results
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]
HARD = "quote' \" back\\slash \t tab \u2028 line, \U0001f600 and \ud83d\ude00".encode(
    "utf-16", "surrogatepass"
).decode("utf-16")


def read(db: Database) -> list[dict[str, object]]:
    with db.read() as tx:
        return [dict(row) for row in tx.execute(sa.select(results)).mappings()]


@pytest.mark.parametrize("text", ["plain", "", HARD, "null", "[1, 2]", "a\0b"])
def test_rows_come_back_as_they_were_put_in(database: Database, text: str) -> None:
    makers.add_job(database)
    (taken,) = makers.take(database, makers.add_worker(database))
    outcome = makers.succeed(taken, text)
    assert outcome.result
    details = {"logprobs": [{"token": text, "logprob": -0.1234567890123456, "bytes": [0, 255]}]}
    row = vars(outcome.result) | {"job_id": taken.id, "attempt": 1, "created_at": 1795573772.123456}

    with database.write() as tx:
        bulk.insert(tx, results, [row | {"details": details}])

    (found,) = read(database)
    assert found["text"] == text.replace("\0", "\ufffd")
    assert found["details"] == details
    assert found["created_at"] == row["created_at"]
    assert found["coding"] is None


def test_rows_are_found_by_many_keys(database: Database) -> None:
    made = [makers.add_job(database).id for _ in range(3)]

    with database.read() as tx:
        named = bulk.among(tx, jobs.c.id, [made[2], made[0], "job_none"])
        found = set(tx.execute(sa.select(jobs.c.id).where(named)).scalars())
        nothing = tx.execute(sa.select(jobs.c.id).where(bulk.among(tx, jobs.c.id, []))).all()

    assert found == {made[0], made[2]}
    assert nothing == []


def test_an_earlier_attempt_is_fenced_however_many_are_settled(database: Database) -> None:
    holder = makers.add_worker(database)
    for _ in range(3):
        makers.add_job(database)
    first = makers.take(database, holder)
    claims.release(database, [(first[0].id, first[0].attempt)])
    (again,) = makers.take(database, holder)
    assert again.id == first[0].id

    done = claims.settle(database, [makers.succeed(job) for job in first])

    assert done.fenced == {first[0].id}
    assert len(done.accepted) == 2


def test_statistics_are_those_of_now(database: Database) -> None:
    makers.add_batch(database, 50)

    bulk.analyze(database)

    if not database.is_sqlite:
        with database.read() as tx:
            known = "SELECT reltuples FROM pg_class WHERE relname = 'jobs'"
            assert tx.exec_driver_sql(known).scalar_one() == 50
