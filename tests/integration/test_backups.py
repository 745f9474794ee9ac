"""The restore drill: a backup taken under load comes back whole, and the service goes on with it."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import redis

from app import queue, settings
from app.errors import InputError
from app.models import backups, claims, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from tests.faults import invariants
from tests.integration import inputs, makers, workplace
from tests.postgres import running_postgres

pytestmark = pytest.mark.integration

NUM_LINES = 24
SLOW = (workplace.fake_model(slots=4, step_seconds=0.05, tokens_per_job=30),)
KEYED = makers.new_job(model=workplace.MODEL, idempotency_key="key", request_hash="hash")


def test_a_backup_under_load_restores_to_one_moment_and_its_jobs_go_on(
    database: Database, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "input").write_bytes(b"line")
    (files / "half.part").write_bytes(b"li")
    early = [makers.add_job(database) for _ in range(5)]
    holder = makers.add_worker(database)
    ended = makers.take(database, holder, limit=2)
    claims.settle(database, [makers.succeed(job) for job in ended])
    makers.take(database, holder, limit=1)
    stop, writer = threading.Event(), threading.Thread(target=lambda: _write(database, stop))
    writer.start()

    backups.save(database, files, tmp_path / "backup")

    stop.set()
    writer.join()
    home = tmp_path / "home"
    restored = Database(f"sqlite:///{home}/autoglm.db")
    backups.restore(restored, home / "files", tmp_path / "backup")
    now = invariants.read(restored)
    expected = invariants.Expected(accepted={job.id for job in early})
    invariants.check(now, expected, max_attempts=3)
    assert len(now.jobs) <= len(invariants.read(database).jobs)
    assert [path.name for path in (home / "files").iterdir()] == ["input"]
    worker = makers.add_worker(restored)  # on the slot whose owner died with the old machine
    while held := makers.take(restored, worker):
        claims.settle(restored, [makers.succeed(job) for job in held])
    invariants.check_drained(invariants.read(restored))
    assert {jobs.get(restored, DEFAULT_TENANT, job.id).state for job in ended} == {"succeeded"}
    restored.close()


def _write(db: Database, stop: threading.Event) -> None:
    while not stop.is_set():
        makers.add_job(db)


def test_nothing_is_overwritten_and_a_damaged_backup_is_refused(
    database: Database, tmp_path: Path
) -> None:
    files, saved = tmp_path / "files", tmp_path / "backup"
    backups.save(database, files, saved)

    with pytest.raises(InputError, match="backup_exists"):
        backups.save(database, files, saved)
    with pytest.raises(InputError, match="backup_exists"):
        backups.restore(database, files, saved)
    with pytest.raises(InputError, match="backup_missing"):
        backups.restore(database, files, tmp_path / "nowhere")
    _damage(saved / backups.NAME)
    elsewhere = Database(f"sqlite:///{tmp_path}/elsewhere.db")
    with pytest.raises(InputError, match="backup_broken"):
        backups.restore(elsewhere, files, saved)
    assert not (tmp_path / "elsewhere.db").exists()
    elsewhere.close()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_a_journal_that_another_database_left_is_not_played_into_the_restored_one(
    database: Database, tmp_path: Path, ending: str
) -> None:
    backups.save(database, tmp_path / "files", tmp_path / "backup")
    left = tmp_path / f"new.db{ending}"
    left.write_bytes(b"left by a killed program")
    new = Database(f"sqlite:///{tmp_path}/new.db")

    with pytest.raises(InputError, match="backup_exists") as refused:
        backups.restore(new, tmp_path / "new-files", tmp_path / "backup")

    assert refused.value.values["path"] == str(left)
    assert not (tmp_path / "new.db").exists()
    new.close()


def _damage(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(content)


def test_the_command_saves_and_restores(database: Database, tmp_path: Path) -> None:
    job = makers.add_job(database)
    home = tmp_path / "home"

    def run(url: str, *arguments: str) -> str:
        given = {"AUTOGLM_DATABASE__URL": url, "AUTOGLM_DATA_DIR": str(home)}
        command = [sys.executable, "-m", "app.cli", "db", *arguments]
        environ = settings.child_environ(LANG="en_US.UTF-8", LC_ALL="en_US.UTF-8", **given)
        return subprocess.run(
            command, env=environ, check=True, capture_output=True, text=True
        ).stdout

    here = f"sqlite:///{tmp_path}/restored.db"
    assert "saved in" in run(str(database.url), "backup", str(tmp_path / "backup"))
    assert "schema version" in run(here, "restore", str(tmp_path / "backup"))
    restored = Database(here)
    assert jobs.get(restored, DEFAULT_TENANT, job.id) == job
    restored.close()
    shutil.rmtree(tmp_path / "backup")


def test_a_dump_of_postgresql_under_load_restores_and_the_service_goes_on(
    migrated_postgres: running_postgres, redis_url: str, tmp_path: Path
) -> None:
    server, dump = migrated_postgres, tmp_path / "autoglm.dump"
    source = Database(server.create("source", template="migrated"))
    with workplace.opened(source, redis_url, tmp_path / "old", models=SLOW) as old:
        batch = _start_work(old)
        stop, writer = threading.Event(), threading.Thread(target=lambda: _submit(old, stop))
        writer.start()
        before = invariants.read(source)

        server.run("pg_dump", "-Fc", f"--file={dump}", _name(source))
        shutil.copytree(old.context.files, tmp_path / "new" / "files")

        _wait_more(old)
        stop.set()
        writer.join()
    target = Database(server.create("target"))
    server.run("pg_restore", "--exit-on-error", f"--dbname={_name(target)}", str(dump))
    dumped = invariants.read(target)
    _check_dump(before, dumped)
    assert len(dumped.jobs) < len(invariants.read(source).jobs)
    source.close()
    _forget_hints(redis_url)
    host = {"host": "elsewhere"}  # the slot's owner is gone for good: its lease must end
    with workplace.opened(target, redis_url, tmp_path / "new", models=SLOW, **host) as new:
        new.start_control()
        new.start_worker()
        output = _wait_end(new, batch)
        _check_end(target, dumped, output)
        again, is_new = jobs.create(target, KEYED)
    assert (again.id in before.jobs, is_new) == (True, False)
    target.close()


def _name(db: Database) -> str:
    """The URL as PostgreSQL's programs know it."""
    return db.url.set(drivername="postgresql").render_as_string(hide_password=False)


def _start_work(place: workplace.Workplace) -> Batch:
    """Jobs that have ended, and a batch that is half done."""
    place.start_control()
    place.start_worker()
    early = [*(place.add(f"early {n}") for n in range(4)), jobs.create(place.db, KEYED)[0]]
    place.hint(early)
    place.wait_ended(*early)
    place.context.files.mkdir(exist_ok=True)
    lines = b"".join(inputs.make_line(n, body_model=place.model) for n in range(NUM_LINES))
    batch = inputs.submit(place.context, lines)
    place.context.publish(queue.INGEST_TASK, queue.CONTROL, batch_id=batch.id)

    workplace.wait_for(lambda: makers.reload(place.db, batch).completed, "a batch in flight")
    return batch


def _submit(place: workplace.Workplace, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        place.add("late", max_tokens=1)


def _wait_more(place: workplace.Workplace) -> None:
    """Until the writer has stored one more job."""
    asked = "SELECT count(*) FROM jobs"
    known = place.count(asked)
    workplace.wait_for(lambda: place.count(asked) > known, "one more job")


def _forget_hints(redis_url: str) -> None:
    """Redis is not part of the backup."""
    client = redis.Redis.from_url(redis_url.replace("redis+socket", "unix"))
    client.flushall()
    client.close()


def _wait_end(place: workplace.Workplace, batch: Batch) -> Path:
    """Until nothing is open any more; the batch's output file."""
    asked = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
    workplace.wait_for(lambda: place.count(asked) == 0, "I2: the end of all jobs")
    workplace.wait_for(lambda: makers.reload(place.db, batch).status == "completed", "the batch")
    name = makers.reload(place.db, batch).output_file_id
    assert name is not None
    return place.context.files / name.removeprefix("file-")


def _check_dump(before: invariants.Snapshot, dumped: invariants.Snapshot) -> None:
    """Everything of the moment before the dump is in it, as it was or further on, and it is of one
    moment itself."""
    expected = invariants.Expected(accepted=set(before.jobs))
    invariants.check(dumped, expected, max_attempts=3)
    invariants.check_step(before, dumped)
    assert sum(len(rows) for rows in before.results.values()) >= 5
    states = Counter(job["state"] for job in dumped.jobs.values())
    assert states["running"], states
    assert states["queued"], states
    assert [batch["status"] for batch in dumped.batches] == ["in_progress"]


def _check_end(db: Database, dumped: invariants.Snapshot, output: Path) -> None:
    """All has ended; what the dump held ended, and its results, did not change; what ran on the
    old machine was taken back from it."""
    now = invariants.read(db)
    invariants.check_step(dumped, now)
    invariants.check(now, invariants.Expected(accepted=set(dumped.jobs)), max_attempts=3)
    invariants.check_drained(now)
    running = {job["id"] for job in dumped.jobs.values() if job["state"] == "running"}
    crashed = {id_ for id_, rows in now.attempts.items() for r in rows if r["outcome"] == "crashed"}
    assert running <= crashed
    answers = {line["custom_id"] for line in map(json.loads, output.read_text().splitlines())}
    assert answers == {f"c{number}" for number in range(NUM_LINES)}


def test_postgresql_has_its_own_program_for_this(
    postgres: running_postgres, tmp_path: Path
) -> None:
    db = Database(postgres.url())

    with pytest.raises(InputError, match="backup_not_sqlite"):
        backups.save(db, tmp_path / "files", tmp_path / "backup")
    db.close()
