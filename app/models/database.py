"""Connections: one writer and one reader engine, with transactions that begin as they must."""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from app import settings
from app.errors import Contention, Full, SettingsError, Unavailable
from app.models import disks, engines, presence, retries
from app.models.anchors import Anchor

_FAULTS = {  # by the beginning of SQLite's name for its error
    "SQLITE_NOTADB": "database_malformed",
    "SQLITE_CORRUPT": "database_malformed",
    "SQLITE_READONLY": "database_unwritable",
    "SQLITE_PERM": "database_unwritable",
    "SQLITE_CANTOPEN": "database_unwritable",
}
_OUTAGES = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)


def _parse(url: str) -> sa.URL:
    """SettingsError("database_url_broken"); the URL is not shown: what breaks it may be a password."""
    try:
        return sa.make_url(url)
    except (ValueError, sa.exc.ArgumentError) as error:
        raise SettingsError("database_url_broken", param="database.url") from error


class Database:
    """Opens short transactions. SQLite: `write()` takes the write lock at once (BEGIN IMMEDIATE), so
    that a transaction that reads and then writes never fails half-way. PostgreSQL: writers run side
    by side and lock rows; store functions that may lose a race are repeated (models/retries.py).
    `read()` never blocks and sees one moment; `look()` is the same for a single statement, which on
    PostgreSQL needs neither BEGIN nor ROLLBACK: one message instead of three."""

    def __init__(self, url: str, options: settings.Database | None = None) -> None:
        self.url = _parse(url)
        chosen = options or settings.Database()
        self._anchor = Anchor(self.path) if self.path else None
        self._presence: weakref.finalize[..., Database] | None = None
        if self.is_sqlite:
            self._writer = engines.open_sqlite(
                self.url, chosen, self._anchor, begin="BEGIN IMMEDIATE"
            )
            self._looker = self._reader = engines.open_sqlite(
                self.url, chosen, self._anchor, begin="BEGIN"
            )
        else:
            self._writer = engines.open_postgres(self.url, chosen)
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._looker = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite polls for its lock with growing pauses; threads of one process rather queue up
        # (8 submitting clients: p99 746 -> 110 ms).
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        )

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path | None:
        """Where SQLite's file is; None for other databases and for one in memory."""
        name = self.url.database if self.is_sqlite else None
        return Path(name) if name and name != ":memory:" else None

    def join(self) -> None:
        """Says beside a SQLite database that it is used, until close(): no restore begins then."""
        if self.path is not None and self._presence is None:
            self._presence = weakref.finalize(self, os.close, presence.join(self.path))

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end; Unavailable("database_unavailable") on failure,
        and "database_deleted" if it went into files that are not there any more."""
        with self._turn, self._connected(self._writer) as tx:
            info = tx.info
            with tx.begin():
                yield tx
            if self._anchor is not None:
                self._anchor.check(info)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; nothing written in it is kept."""
        with self._connected(self._reader) as tx:
            yield tx

    @contextlib.contextmanager
    def look(self) -> Iterator[Connection]:
        """For one statement that only reads."""
        with self._connected(self._looker) as tx:
            yield tx

    @contextlib.contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        with translated(self.path):
            if self._anchor is not None:
                self._anchor.check_database()
            with engine.connect() as tx:
                if self._anchor is not None:
                    self._anchor.check(tx.info)
                yield tx

    def hold(self) -> sa.PoolProxiedConnection:
        """The driver's own connection, for the caller to keep, in no transaction."""
        with translated(self.path):
            return self._reader.raw_connection()

    def disconnect(self) -> None:
        """Closes the connections, and opens new ones when it is used again."""
        self._writer.dispose()
        self._reader.dispose()

    def close(self) -> None:
        self.disconnect()
        if self._presence is not None:
            self._presence()
            self._presence = None


@contextlib.contextmanager
def translated(path: Path | None = None) -> Iterator[None]:
    """Failures of the database, and not of a statement, as our errors; `path` is SQLite's file."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if not _is_outage(error):
            raise
        if _is_full(error, path):
            raise Full("storage_full") from error
        if path is not None and (code := _name_fault(error)):
            raise Unavailable(code, path=path.name, reason=_say(error)) from error
        kind = Contention if retries.is_lost(error) else Unavailable
        raise kind("database_unavailable", reason=_say(error)) from error


def _say(error: BaseException) -> str:
    """What the driver says, without the statement and its values."""
    return str(error.__cause__ or error).strip()


def _is_full(error: BaseException, path: Path | None) -> bool:
    """Whether the disk takes no more: SQLITE_FULL, a write cut short, PostgreSQL's disk_full.
    SQLite has many errors for a journal that cannot be made or grow; the disk itself decides."""
    name = _name_error(error)
    if name in ("SQLITE_FULL", "SQLITE_IOERR_WRITE") or retries.sqlstate(error) == "53100":
        return True
    is_suspect = name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN"))
    return is_suspect and path is not None and disks.is_full(path.parent)


def _name_error(error: BaseException) -> str:
    return getattr(getattr(error, "orig", None), "sqlite_errorname", None) or ""


def _name_fault(error: BaseException) -> str | None:
    """What is wrong with SQLite's file, where waiting does not help."""
    name = _name_error(error)
    return next((code for start, code in _FAULTS.items() if name.startswith(start)), None)


def _is_outage(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database is at fault (gone, locked, broken) and not the statement or its values.
    SQLite reports a broken file as a plain DatabaseError."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, _OUTAGES) or type(error) is sa.exc.DatabaseError


def locate(options: settings.Database, data_dir: Path) -> str:
    """The URL in force: the configured one, or SQLite in the data directory."""
    return options.url or f"sqlite:///{data_dir.absolute() / 'autoglm.db'}"


def connect(options: settings.Settings) -> Database:
    """The database of this configuration, as one of its users until it is closed. SettingsError if
    the data directory cannot be made; opens no connection until it is used."""
    db = find(options)
    db.join()
    return db


def find(options: settings.Settings) -> Database:
    """The same for who is no user of it: a restore must be alone."""
    if options.database.url is None:
        disks.make_folder(options.data_dir)
    return Database(locate(options.database, options.data_dir), options.database)
