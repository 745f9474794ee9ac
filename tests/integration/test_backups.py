"""The restore drill: a backup taken under load comes back whole, and the service goes on with it."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app import queue, settings
from app.errors import Full, InputError, Unavailable
from app.models import backups, claims, jobs, migrate, presence
from app.models import database as db_module
from app.models import files as stored
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from tests.faults import disks, invariants
from tests.integration import inputs, makers, workplace
from tests.integration.apis import Api
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


def test_a_backup_ends_however_often_others_write(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_PAGES", 1)
    with database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE filler AS SELECT randomblob(60000000)")
    has_ended = threading.Event()
    writer = threading.Thread(target=lambda: _write_often(database, has_ended))
    writer.start()

    backups.save(database, tmp_path / "files", tmp_path / "backup")

    was_first = not has_ended.is_set()
    writer.join()
    assert was_first


def _write_often(db: Database, has_ended: threading.Event) -> None:
    for _ in range(3000):
        makers.add_job(db)
    has_ended.set()


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


def test_files_that_go_during_a_backup_are_left_out_and_the_others_are_whole(
    database: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(database, redis_url, tmp_path)
    names = [_upload(api, f"{number}.jsonl") for number in range(6)]
    listed = [path.name for path in (tmp_path / "files").iterdir()]
    doomed = {listed[0], listed[3], listed[5]}
    has_begun, are_gone = threading.Event(), threading.Event()

    def delete() -> None:
        client = api.app.test_client()
        assert has_begun.wait(workplace.WAIT_SECONDS)
        for name in doomed:
            client.delete(f"/v1/files/{name}")
        are_gone.set()

    def wait_and_copy(*given: Any, **named: Any) -> Any:
        has_begun.set()
        assert are_gone.wait(workplace.WAIT_SECONDS)
        return copy(*given, **named)

    copy, deleter = shutil.copyfile, threading.Thread(target=delete)
    monkeypatch.setattr(shutil, "copyfile", wait_and_copy)
    deleter.start()

    backups.save(database, tmp_path / "files", tmp_path / "backup")

    deleter.join()
    saved = {path.name for path in (tmp_path / "backup" / "files").iterdir()}
    assert saved == set(names) - doomed
    _check_restored(tmp_path, redis_url, saved, doomed)


def _upload(api: Api, name: str) -> str:
    given = {"purpose": "batch", "file": (io.BytesIO(b'{"custom_id": "a"}\n'), name)}
    answer = api.client.post("/v1/files", data=given)
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def _check_restored(tmp_path: Path, redis_url: str, saved: set[str], gone: set[str]) -> None:
    """The rows are those of the moment of the backup; what has no bytes says so, and can be deleted."""
    home = tmp_path / "home"
    restored = Database(f"sqlite:///{home}/autoglm.db")
    backups.restore(restored, home / "files", tmp_path / "backup")
    api = Api(restored, redis_url, home)
    assert {file["id"] for file in api.client.get("/v1/files").json["data"]} == saved | gone
    for name in saved:
        with api.client.get(f"/v1/files/{name}/content") as content:
            assert content.data == b'{"custom_id": "a"}\n'
    for name in gone:
        content = api.client.get(f"/v1/files/{name}/content")
        assert (content.status_code, content.json["error"]["code"]) == (404, "file_content_missing")
        assert api.client.delete(f"/v1/files/{name}").json["deleted"] is True
    restored.close()


def test_a_file_that_is_being_read_in_is_copied_before_the_database_whose_lines_it_ends(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second name goes with its last line, and a restored batch has lines to come."""
    files, part = tmp_path / "files", tmp_path / "backup.part"
    files.mkdir()
    pin = f"{stored.PIN}batch_1"
    for name in (pin, "other", "half.part"):
        (files / name).write_bytes(b"line")
    copied = []

    def note_and_copy(source: Any, *given: Any, **named: Any) -> Any:
        copied.append((Path(source).name, (part / backups.NAME).exists()))
        return copy(source, *given, **named)

    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", note_and_copy)

    backups.save(database, files, tmp_path / "backup")

    assert copied == [(pin, False), ("other", True)]
    assert {path.name for path in (tmp_path / "backup" / "files").iterdir()} == {pin, "other"}


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


def test_a_restore_names_who_uses_the_database_and_waits_for_none(
    database: Database, tmp_path: Path
) -> None:
    backups.save(database, tmp_path / "files", tmp_path / "backup")
    home = tmp_path / "home"
    options = settings.Settings(data_dir=home)
    user = db_module.connect(options)
    restored = db_module.find(options)

    with pytest.raises(InputError, match="database_in_use"):
        backups.restore(restored, home / "files", tmp_path / "backup")

    assert not (home / backups.NAME).exists()
    user.close()
    backups.restore(restored, home / "files", tmp_path / "backup")
    assert (home / backups.NAME).exists()
    restored.close()


def test_nobody_begins_to_use_a_database_that_is_being_restored(tmp_path: Path) -> None:
    options = settings.Settings(data_dir=tmp_path)

    with (
        presence.excluded(tmp_path / backups.NAME),
        pytest.raises(Unavailable, match="database_restoring"),
    ):
        db_module.connect(options)

    db_module.connect(options).close()


def test_a_restore_below_a_running_service_is_refused_though_all_its_files_are_gone(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    config = home / "config.json"
    home.mkdir()
    config.write_text(json.dumps({"models": {makers.MODEL: {"backend": "fake"}}}))
    given = {"AUTOGLM_DATA_DIR": str(home), "AUTOGLM_REDIS__URL": redis_url}
    english = {"LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"}
    environ = settings.child_environ(**english, **given, AUTOGLM_CONFIG=str(config))
    own = Database(f"sqlite:///{home / backups.NAME}")
    migrate.upgrade(own)
    own.close()
    backups.save(database, tmp_path / "files", tmp_path / "backup")
    command = [sys.executable, "-m", "app.cli"]
    log = tmp_path / "control.log"
    with log.open("wb") as out:
        control = subprocess.Popen([*command, "control"], env=environ, stderr=out)
    try:
        workplace.wait_for(lambda: "ready." in log.read_text(), "the control process")
        for path in set(home.iterdir()) - {config}:
            path.unlink(missing_ok=True)

        done = subprocess.run(
            [*command, "db", "restore", str(tmp_path / "backup")],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        control.kill()
        control.wait()

    assert done.returncode == 2
    assert f"is in use by: {control.pid} (" in done.stderr
    assert "control" in done.stderr
    assert not (home / backups.NAME).exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for a database, but not for two."""
    folder = tmp_path / "small"
    with disks.small(folder, "2m") as is_small:
        if not is_small:
            pytest.skip("no disk can be mounted here")
        yield folder


def _fill(folder: Path, left: int) -> None:
    """Leaves `left` bytes on a small disk."""
    found = os.statvfs(folder)
    (folder / "ballast").write_bytes(b"x" * (found.f_bavail * found.f_frsize - left))


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_backup_that_finds_no_room_names_the_disk_and_leaves_nothing(
    database: Database, tmp_path: Path, small: Path, left: int
) -> None:
    makers.add_job(database)
    _fill(small, left)

    with pytest.raises(Full, match="backup_full") as refused:
        backups.save(database, tmp_path / "files", small / "backup")

    assert str(small) in refused.value.values["path"]
    assert [path.name for path in small.iterdir()] == ["ballast"]
    (small / "ballast").unlink()
    backups.save(database, tmp_path / "files", small / "backup")


def test_files_that_find_no_room_leave_nothing_of_a_backup_or_a_restore(
    database: Database, tmp_path: Path, small: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "large").write_bytes(b"x" * 3_000_000)
    backups.save(database, files, tmp_path / "backup")
    restored = Database(f"sqlite:///{small}/autoglm.db")

    with pytest.raises(Full, match="backup_full"):
        backups.save(database, files, small / "backup")
    with pytest.raises(Full, match="backup_full"):
        backups.restore(restored, small / "files", tmp_path / "backup")

    assert [path.name for path in small.iterdir()] == [".autoglm.db.lock"]


def test_a_backup_blames_the_database_and_not_its_copy(database: Database, tmp_path: Path) -> None:
    path = Path(str(database.url.database))
    database.close()
    path.write_bytes(b"no database, but long enough to be one" * 100)
    nowhere = Database(f"sqlite:///{tmp_path}/nowhere.db")

    with pytest.raises(InputError, match="backup_broken") as broken:
        backups.save(database, tmp_path / "files", tmp_path / "backup")
    with pytest.raises(InputError, match="database_missing"):
        backups.save(nowhere, tmp_path / "files", tmp_path / "backup")

    assert broken.value.values["path"] == str(path)
    assert not list(tmp_path.glob("backup*"))
    assert not (tmp_path / "nowhere.db").exists()


def test_a_lock_that_root_makes_does_not_keep_the_services_user_out(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    os.chown(tmp_path, 10001, 10001)

    os.close(presence.join(tmp_path / "autoglm.db"))

    made = (tmp_path / ".autoglm.db.lock").stat()
    assert (made.st_uid, made.st_gid) == (10001, 10001)
