"""The restore drill: a backup taken under load comes back whole, and the service goes on with it."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import settings
from app.errors import InputError
from app.models import backups, claims, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.faults import invariants
from tests.integration import makers
from tests.postgres import running_postgres

pytestmark = pytest.mark.integration


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


def test_postgresql_has_its_own_program_for_this(
    postgres: running_postgres, tmp_path: Path
) -> None:
    db = Database(postgres.url())

    with pytest.raises(InputError, match="backup_not_sqlite"):
        backups.save(db, tmp_path / "files", tmp_path / "backup")
    db.close()
