"""Whether SQLite's files are still those that were opened: it goes on writing into deleted ones."""

import os
from pathlib import Path
from typing import Any

from app.errors import Unavailable

_Mark = tuple[int, int] | None
_KEY = "autoglm_wal"


class Anchor:
    """Knows the files of one database by device and inode. While a connection is open, nobody but
    a person removes or replaces them."""

    def __init__(self, database: Path) -> None:
        self._path = database
        self._wal = database.with_name(f"{database.name}-wal")
        self._mark: _Mark = None

    def note(self, info: dict[str, Any]) -> None:
        """A connection was opened; `info` is kept as long as it is."""
        self._mark = self._mark or _read_mark(self._path)
        info[_KEY] = _read_mark(self._wal)

    def check_database(self) -> None:
        """Unavailable("database_deleted") if the database is not there, or another one is: a
        new connection would make an empty one."""
        _compare(self._path, self._mark)

    def check(self, info: dict[str, Any]) -> None:
        """The same for all that the connection of `info` writes to: what is committed into
        deleted files is gone when they are closed."""
        self.check_database()
        _compare(self._wal, info.get(_KEY))


def _compare(path: Path, known: _Mark) -> None:
    if known is not None and _read_mark(path) != known:
        raise Unavailable("database_deleted", path=path.name)


def _read_mark(path: Path) -> _Mark:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
