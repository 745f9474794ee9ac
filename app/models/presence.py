"""Who uses a SQLite database: each process of the service holds a shared lock on a file beside it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.errors import InputError, Unavailable

_PROCESSES = Path("/proc")
_LONGEST_COMMAND = 80


def join(database: Path) -> int:
    """Is among the users until the returned file descriptor is closed or the process ends. Raises
    Unavailable("database_restoring") while a backup is being put in the database's place."""
    lock = _open(database)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Unavailable("database_restoring", path=str(database)) from error
    return lock


@contextlib.contextmanager
def excluded(database: Path) -> Iterator[None]:
    """Nobody uses the database meanwhile: InputError("database_in_use") names those who do. Who
    has files open that were deleted since, the lock's too, is found where /proc shows it."""
    lock = _open(database)
    try:
        is_free = _try_alone(lock)
        users = list(_find_users(database))
        if users or not is_free:
            raise InputError("database_in_use", path=str(database), users=users or ["?"])
        yield
    finally:
        os.close(lock)


def _try_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(database: Path) -> int:
    """The lock's name begins with a dot, so that `rm autoglm.db*` leaves it. One that root makes
    belongs to whom the folder belongs to."""
    path = _name(database)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("database_unwritable", path=str(path), reason=reason) from error
    if os.geteuid() == 0:
        owner = os.stat(path.parent)
        with contextlib.suppress(PermissionError):  # a root without that right, as in containers
            os.fchown(lock, owner.st_uid, owner.st_gid)
    return lock


def _name(database: Path) -> Path:
    return database.with_name(f".{database.name}.lock")


def _find_users(database: Path) -> Iterator[str]:
    """Other processes of this user with the database or its lock open: number and command."""
    folder = database.parent.resolve()
    files = [str(folder / name) for name in (database.name, _name(database).name)]
    for process in _PROCESSES.glob("[0-9]*"):
        if process.name != str(os.getpid()) and _has_open(process, files):
            yield f"{process.name} ({_read_command(process)})"


def _has_open(process: Path, files: Sequence[str]) -> bool:
    with contextlib.suppress(OSError):  # it ended, or is another user's
        for each in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(each).removesuffix(" (deleted)") in files:
                    return True
    return False


def _read_command(process: Path) -> str:
    with contextlib.suppress(OSError):
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        first = Path(words[0]).name
        return " ".join([first, *words[1:]]).strip()[:_LONGEST_COMMAND] or "?"
    return "?"
