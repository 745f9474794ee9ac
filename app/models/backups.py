"""Backups of SQLite: one consistent moment, taken beside running processes. PostgreSQL has pg_dump."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from app.errors import AutoglmError, Full, InputError
from app.models import disks, presence
from app.models import files as stored
from app.models.database import Database

NAME = "autoglm.db"
_JOURNALS = ("-wal", "-shm", "-journal")
_FILES = "files"
_PARTIAL = ".part"
_PAGES = 1000  # copied at a time, so that writers get their turn
_BUSY_SECONDS = 30.0


def save(db: Database, files: Path, target: Path) -> None:
    """Copies the database, and then the stored files, into the folder `target`, which must not
    exist: it appears when it is complete, and nothing is left otherwise. What is newer among the
    files does no harm; what is deleted meanwhile is left out. Raises InputError;
    Full("backup_full") for the disk of `target`."""
    source = _locate(db)
    if not source.is_file():
        raise InputError("database_missing", path=str(source))
    if target.exists():
        raise InputError("backup_exists", path=str(target))
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with _whole(part):
        part.mkdir(parents=True, mode=0o700)
        # Pins come first, too: one may be all that is left of a file whose lines are being stored,
        # and go when they are, which the copied database does not know yet.
        _copy_files(files, part / _FILES, beginning=stored.PIN)
        _copy(source, part / NAME)
        _copy_files(files, part / _FILES)
        os.sync()
        part.rename(target)


def _copy(source: Path, target: Path) -> None:
    with _open(source) as origin:
        # One moment, which also says by its name what is no database: without a transaction of its
        # own the copy begins anew whenever another process has written.
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_master").close()
        with _open(target) as copy:
            origin.backup(copy, pages=_PAGES)
    _check(target, source)


def _copy_files(source: Path, target: Path, *, beginning: str = "") -> None:
    """Copies the files whose names begin so, but for unfinished and copied ones."""
    if not source.exists():
        return
    target.mkdir(exist_ok=True, mode=0o700)
    for path in source.iterdir():
        copy = target / path.name
        is_wanted = path.name.startswith(beginning) and path.suffix != _PARTIAL
        if is_wanted and path.is_file() and not copy.exists():
            _copy_file(path, copy)


def _copy_file(source: Path, copy: Path) -> None:
    """Nothing is left of a file that is deleted meanwhile."""
    try:
        shutil.copy2(source, copy)
    except FileNotFoundError:
        if source.exists():
            raise
        copy.unlink(missing_ok=True)


def restore(db: Database, files: Path, source: Path) -> None:
    """Puts a backup in the place of a database that is not there, if nothing uses it, and nothing
    begins to meanwhile: InputError("database_in_use"), Unavailable("database_restoring") there."""
    target = _locate(db)
    if not (source / NAME).is_file():
        raise InputError("backup_missing", path=str(source / NAME))
    with _whole():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with presence.excluded(target):
        _restore(target, files, source)


def _restore(target: Path, files: Path, source: Path) -> None:
    # A journal left of another database would be played into this one.
    journals = (target.with_name(f"{target.name}{ending}") for ending in _JOURNALS)
    for occupied in (target, files, *journals):
        if occupied.exists():
            raise InputError("backup_exists", path=str(occupied))
    _check(source / NAME, source / NAME)
    part = target.with_name(f"{target.name}.part")
    with _whole(part, files):
        if (source / _FILES).exists():
            shutil.copytree(source / _FILES, files)
        shutil.copy2(source / NAME, part)
        os.sync()
        part.rename(target)


def _locate(db: Database) -> Path:
    if db.path is None:
        raise InputError("backup_not_sqlite", backend=db.url.get_backend_name())
    return db.path


@contextlib.contextmanager
def _whole(*made: Path) -> Iterator[None]:
    """Removes what was made if it cannot be finished, and says why in our words."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001  it is raised again, whatever it is
        told = _explain(error) if isinstance(error, OSError) else error
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.unlink()
        raise told from (error if told is not error else error.__cause__)


def _explain(error: OSError) -> AutoglmError:
    """A copy's error names (from, to); shutil.Error lists what failed: (from, to, reason)."""
    path, reason = error.filename2 or error.filename, error.strerror
    if isinstance(error, shutil.Error):
        _, path, reason = error.args[0][0]
    if error.errno in disks.NO_SPACE or disks.is_full(_find_folder(Path(str(path)))):
        return Full("backup_full", path=str(path))
    return InputError("backup_unwritable", path=str(path), reason=reason or str(error))


def _find_folder(path: Path) -> Path:
    return next((each for each in path.parents if each.exists()), path)


@contextlib.contextmanager
def _open(path: Path, options: str = "") -> Iterator[sqlite3.Connection]:
    """A connection to the file, with SQLite's own `options`, whose errors name the file."""
    try:
        name = f"file:{quote(str(path))}{options}"
        with contextlib.closing(sqlite3.connect(name, timeout=_BUSY_SECONDS, uri=True)) as opened:
            yield opened
    except sqlite3.Error as error:
        if error.sqlite_errorname == "SQLITE_FULL" or disks.is_full(path.parent):
            raise Full("backup_full", path=str(path)) from error
        raise InputError("backup_broken", path=str(path), reason=str(error)) from error


def _check(path: Path, origin: Path) -> None:
    """InputError("backup_broken"), which names what it is a copy of, unless every page is sound.
    Nothing is written, so that a backup may lie on a read-only medium."""
    with _open(path, "?mode=ro&immutable=1") as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise InputError("backup_broken", path=str(origin), reason=verdict)
