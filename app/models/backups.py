"""Backups of SQLite: one consistent moment, taken beside running processes. PostgreSQL has pg_dump."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from app.errors import InputError
from app.models.database import Database

NAME = "autoglm.db"
_JOURNALS = ("-wal", "-shm", "-journal")
_FILES = "files"
_PAGES = 1000  # copied at a time, so that writers get their turn
_BUSY_SECONDS = 30.0


def save(db: Database, files: Path, target: Path) -> None:
    """Copies the database, and then the stored files, into the folder `target`, which must not
    exist: it appears when it is complete. What is newer among the files does no harm."""
    source = _locate(db)
    if target.exists():
        raise InputError("backup_exists", path=str(target))
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    with _open(source) as origin, _open(part / NAME) as copy:
        origin.backup(copy, pages=_PAGES)
    _check(part / NAME)
    if files.exists():
        shutil.copytree(files, part / _FILES, ignore=shutil.ignore_patterns("*.part"))
    os.sync()
    part.rename(target)


def restore(db: Database, files: Path, source: Path) -> None:
    """Puts a backup in the place of a database that is not there. Nothing may run meanwhile."""
    target = _locate(db)
    if not (source / NAME).is_file():
        raise InputError("backup_missing", path=str(source / NAME))
    # A journal left of another database would be played into this one.
    journals = (target.with_name(f"{target.name}{ending}") for ending in _JOURNALS)
    for occupied in (target, files, *journals):
        if occupied.exists():
            raise InputError("backup_exists", path=str(occupied))
    _check(source / NAME)
    if (source / _FILES).exists():
        shutil.copytree(source / _FILES, files)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(f"{target.name}.part")
    shutil.copy2(source / NAME, part)
    os.sync()
    part.rename(target)


def _locate(db: Database) -> Path:
    if not db.is_sqlite or not db.url.database:
        raise InputError("backup_not_sqlite", backend=db.url.get_backend_name())
    return Path(db.url.database)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        yield connection
    except sqlite3.Error as error:
        raise InputError("backup_broken", path=str(path), reason=str(error)) from error
    finally:
        connection.close()


def _check(path: Path) -> None:
    """InputError("backup_broken") unless every page of the copy is sound."""
    with _open(path) as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise InputError("backup_broken", path=str(path), reason=verdict)
