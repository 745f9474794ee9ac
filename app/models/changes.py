"""Whether anything may have been committed since: for those who look many times a second."""

import itertools
import sqlite3
from typing import Any

from app.models.database import Database


class Changes:
    """SQLite tells each connection whether another one, of any process, has committed
    (https://www.sqlite.org/pragma.html#pragma_data_version), in a hundredth of the time of a look.
    PostgreSQL has nothing like it: there every moment may be a new one.

    For one thread; keeps a connection of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._held: Any = None
        self._moments = itertools.count()

    def moment(self) -> object:
        """Equal to an earlier answer only if nothing was committed in between."""
        if not self._db.is_sqlite:
            return (next(self._moments),)
        if self._held is None:
            self._held = self._db.hold()
        try:
            version: int = self._held.driver_connection.execute("PRAGMA data_version").fetchone()[0]
        except (
            sqlite3.Error
        ):  # whoever looks now is told properly; the next one gets a new connection
            self._held = None
            return (next(self._moments),)
        return version
