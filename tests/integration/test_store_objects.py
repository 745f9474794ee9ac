"""Workers, files, keys and sessions in the store."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import NotFound, Unavailable
from app.models import claims, files, jobs, keys, room, sessions, workers
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import WorkerState
from app.wire.rows import File, Job
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def make_file(name: str = "file-1", **changes: object) -> File:
    file = File(
        name, DEFAULT_TENANT, None, "in.jsonl", "batch", 3, "0" * 64, name, time.time(), None
    )
    return replace(file, **changes)  # type: ignore[arg-type]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"nothing that SQLite knows" * 100)
    db = Database(f"sqlite:///{tmp_path / 'broken.db'}")

    with pytest.raises(Unavailable, match="database_malformed"):
        room.count_queued(db, 1)
    db.close()


def test_a_faulty_statement_is_no_unavailable_database(database: Database) -> None:
    """Waiting would not mend it."""
    refusal = r"Error binding|cannot adapt"
    with pytest.raises(Exception, match=refusal) as caught, database.read() as tx:
        tx.execute(sa.text("SELECT :value"), {"value": object()})

    assert not isinstance(caught.value, Unavailable)


def test_a_published_file_is_whole_and_alone_under_its_name(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    written = part.open("wb")
    written.write(b"still in a buffer")

    files.publish(written, part, tmp_path / "a")

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"still in a buffer"
    assert written.closed


def test_every_enrolment_of_a_slot_has_the_next_epoch(database: Database) -> None:
    epochs = [makers.add_worker(database).epoch for _ in range(3)]

    assert epochs == [1, 2, 3]
    assert [worker.epoch for worker in workers.list_all(database)] == [3]


def test_an_older_incarnation_cannot_write_the_row(database: Database) -> None:
    old = makers.add_worker(database)
    new = makers.add_worker(database)

    assert workers.update(database, old, pulse=99) is None
    assert workers.update(database, new, pulse=5) == WorkerState.READY

    row = workers.get(database, new.slot)
    assert row is not None
    assert (row.epoch, row.pulse) == (2, 5)


def test_an_incarnation_that_was_declared_dead_learns_it_from_its_pulse(database: Database) -> None:
    holder = makers.add_worker(database)
    workers.recover(database, holder, max_attempts=3, state=WorkerState.LOST)

    assert workers.update(database, holder, pulse=1) == WorkerState.LOST


def test_recovery_of_an_older_epoch_leaves_the_new_owner_alone(database: Database) -> None:
    old = makers.add_worker(database)
    makers.add_worker(database)
    makers.add_job(database)
    (held,) = makers.take(database, claims.Holder(old.slot, 2))

    recovered = workers.recover(database, old, max_attempts=3, state=WorkerState.LOST)

    row = workers.get(database, old.slot)
    assert row is not None
    assert (row.state, recovered.requeued) == ("ready", 0)
    assert jobs.get(database, DEFAULT_TENANT, held.id).state == "running"


def end_stopping(database: Database, way: str, is_crash: bool | None) -> Job:
    """A worker with one job is told to stop and then found dead."""
    holder = makers.add_worker(database)
    job = makers.add_job(database)
    makers.take(database, holder)
    workers.begin_stop(database, holder.slot, 1)
    given: Any = {"max_attempts": 1, "is_crash": is_crash}
    if way == "enrolled":
        workers.enroll(database, workers.Identity(holder.slot, "m", "h", 2, 2), **given)
    else:
        workers.recover(database, holder, state=WorkerState.LOST, **given)
    return jobs.get(database, DEFAULT_TENANT, job.id)


@pytest.mark.parametrize("way", ["enrolled", "recovered"])
def test_a_worker_that_dies_after_it_was_told_to_stop_costs_its_jobs_nothing(
    database: Database, way: str
) -> None:
    job = end_stopping(database, way, None)

    assert (job.state, job.crashes) == ("queued", 0)


@pytest.mark.parametrize("way", ["enrolled", "recovered"])
def test_a_worker_that_is_known_to_have_crashed_while_it_stopped_costs_an_attempt(
    database: Database, way: str
) -> None:
    job = end_stopping(database, way, True)

    assert job.state == "failed"


def test_only_the_child_of_the_parent_that_stops_is_marked(database: Database) -> None:
    holder = makers.add_worker(database)
    retired = makers.add_worker(database, "h/cpu:1")
    workers.retire(database, retired)

    workers.begin_stop(database, holder.slot, 2)
    workers.begin_stop(database, retired.slot, 1)

    assert [row.state for row in workers.list_all(database)] == ["ready", "stopped"]


def test_loads_are_counted_by_incarnation(database: Database) -> None:
    holder = makers.add_worker(database)

    workers.count_load(database, holder)
    workers.count_load(database, holder)

    row = workers.get(database, holder.slot)
    assert row is not None
    assert row.model_loads_total == 2
    assert workers.get(database, "nowhere") is None


def test_a_file_is_recorded_once_and_belongs_to_its_tenant(database: Database) -> None:
    file = files.add(database, make_file())
    files.add(database, make_file(filename="other"))

    assert files.get(database, DEFAULT_TENANT, file.id) == file
    with pytest.raises(NotFound, match="file_not_found"):
        files.get(database, "other", file.id)


def test_an_expired_file_is_not_found_and_then_deleted(database: Database) -> None:
    file = files.add(database, make_file(expires_at=time.time() - 1))
    kept = files.add(database, make_file("file-2", expires_at=time.time() + 60))

    with pytest.raises(NotFound, match="file_not_found"):
        files.get(database, DEFAULT_TENANT, file.id)
    assert files.list_page(database, DEFAULT_TENANT, limit=2) == ([kept], False)
    assert files.list_page(database, DEFAULT_TENANT, limit=1) == ([kept], False)
    assert files.delete_expired(database) == [file]
    assert files.delete_expired(database) == []
    assert files.get(database, DEFAULT_TENANT, kept.id) == kept


def test_files_are_listed_by_time_purpose_and_cursor(database: Database) -> None:
    for number in range(4):
        purpose = "batch_output" if number == 3 else "batch"
        files.add(database, make_file(f"file-{number}", created_at=number, purpose=purpose))

    newest, has_more = files.list_page(database, DEFAULT_TENANT, limit=2)
    rest, _ = files.list_page(database, DEFAULT_TENANT, limit=2, after="file-2")
    inputs, _ = files.list_page(
        database, DEFAULT_TENANT, limit=9, purpose="batch", order="asc", after="file-0"
    )

    assert ([f.id for f in newest], has_more) == (["file-3", "file-2"], True)
    assert [f.id for f in rest] == ["file-1", "file-0"]
    assert [f.id for f in inputs] == ["file-1", "file-2"]


def test_a_deleted_file_is_given_back_and_gone(database: Database) -> None:
    file = files.add(database, make_file())

    assert files.delete(database, DEFAULT_TENANT, file.id) == file
    with pytest.raises(NotFound):
        files.delete(database, DEFAULT_TENANT, file.id)


def test_a_key_is_found_by_its_secret_until_it_is_revoked(database: Database) -> None:
    assert not keys.has_any(database)
    key, secret = keys.create(database, "laptop")

    assert keys.find(database, secret) == key
    assert keys.find(database, secret + "x") is None
    keys.revoke(database, key.id)

    assert keys.find(database, secret) is None
    assert keys.has_any(database)
    with pytest.raises(NotFound, match="key_not_found"):
        keys.revoke(database, "key_nope")


def test_no_secret_is_stored(database: Database) -> None:
    _, secret = keys.create(database, "laptop")

    with database.read() as tx:
        rows = tx.exec_driver_sql("SELECT * FROM keys").all()

    assert secret not in str(rows)
    assert str(rows).count(secret[:10]) == 1  # the prefix, by which its owner knows it


def test_keys_are_listed_oldest_first_revoked_ones_too(database: Database) -> None:
    made = [keys.create(database, name)[0] for name in ("a", "b")]
    keys.revoke(database, made[0].id)

    assert [key.name for key in keys.list_all(database)] == ["a", "b"]


def test_a_deleted_session_takes_its_turns_and_jobs_along(database: Database) -> None:
    session = sessions.create(database, DEFAULT_TENANT, None, {"a": "b"})
    done = makers.add_job(database, session_id=session.id)
    running = makers.add_job(database, session_id=session.id)
    holder = makers.add_worker(database)
    claims.settle(database, [makers.succeed(makers.take(database, holder)[0])])
    (held,) = makers.take(database, holder)
    assert held.id == running.id

    sessions.delete(database, DEFAULT_TENANT, session.id)

    assert sessions.list_turns(database, session.id) == []
    assert claims.settle(database, [makers.succeed(held)]).fenced == {held.id}
    for call in (sessions.get, sessions.delete):
        with pytest.raises(NotFound, match="session_not_found"):
            call(database, DEFAULT_TENANT, session.id)
    with pytest.raises(NotFound):
        jobs.get(database, DEFAULT_TENANT, done.id)


def test_sessions_are_listed_newest_first_for_their_tenant_alone(database: Database) -> None:
    keys.create(database, "n", "other")
    sessions.create(database, "other", None)
    made = [sessions.create(database, DEFAULT_TENANT, None).id for _ in range(3)]

    first, has_more = sessions.list_page(database, DEFAULT_TENANT, limit=2)
    rest, _ = sessions.list_page(database, DEFAULT_TENANT, limit=2, after=first[-1].id)

    assert [session.id for session in (*first, *rest)] == made[::-1]
    assert has_more


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/missing/autoglm.db")

    with pytest.raises(Unavailable, match="database_unwritable"):
        keys.has_any(db)


def test_readers_see_the_last_commit_while_a_writer_works(database: Database) -> None:
    job = makers.add_job(database)

    with database.write() as tx:
        tx.exec_driver_sql("UPDATE jobs SET priority = 9")
        assert jobs.get(database, DEFAULT_TENANT, job.id).priority == 0

    assert jobs.get(database, DEFAULT_TENANT, job.id).priority == 9
