"""Connections: one writer and one reader engine, with transactions that begin as they must."""

import contextlib
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from app import settings
from app.errors import Contention, Full, Unavailable
from app.models import retries

_CHECK_MILLISECONDS = 1_000  # how often the server looks whether a statement's program lives
_CHECKING_VERSION = 140_000  # PostgreSQL 14
_IDLE_SECONDS = 5.0  # between two statements of one transaction lie a few lines of Python
_TRUSTED_SECONDS = 1.0  # a connection that was used since is taken to live, if it looks so
_POSTGRES = {  # libpq's names; what the URL says comes first
    "application_name": "autoglm",
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 15,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds until unanswered bytes end the connection
    "prepare_threshold": None,  # PgBouncer before 1.21 knows no prepared statements
}
_OUTAGES = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)


class Database:
    """Opens short transactions. SQLite: `write()` takes the write lock at once (BEGIN IMMEDIATE), so
    that a transaction that reads and then writes never fails half-way. PostgreSQL: writers run side
    by side and lock rows; store functions that may lose a race are repeated (models/retries.py).
    `read()` never blocks and sees one moment; `look()` is the same for a single statement, which on
    PostgreSQL needs neither BEGIN nor ROLLBACK: one message instead of three."""

    def __init__(self, url: str, options: settings.Database | None = None) -> None:
        self.url = sa.make_url(url)
        chosen = options or settings.Database()
        if self.is_sqlite:
            self._writer = _open_sqlite(self.url, chosen, begin="BEGIN IMMEDIATE")
            self._looker = self._reader = _open_sqlite(self.url, chosen, begin="BEGIN")
        else:
            self._writer = _open_postgres(self.url, chosen)
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

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end; Unavailable("database_unavailable") on failure."""
        with self._turn, _translated(), self._writer.begin() as tx:
            yield tx

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; nothing written in it is kept."""
        with _translated(), self._reader.connect() as tx:
            yield tx

    @contextlib.contextmanager
    def look(self) -> Iterator[Connection]:
        """For one statement that only reads."""
        with _translated(), self._looker.connect() as tx:
            yield tx

    def hold(self) -> sa.PoolProxiedConnection:
        """The driver's own connection, for the caller to keep, in no transaction."""
        with _translated():
            return self._reader.raw_connection()

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        if not _is_outage(error):
            raise
        if _is_full(error):
            raise Full("storage_full") from error
        kind = Contention if retries.is_lost(error) else Unavailable
        raise kind("database_unavailable", reason=str(error.__cause__ or error)) from error


def _is_full(error: BaseException) -> bool:
    """Whether the disk takes no more: SQLITE_FULL, a write cut short, PostgreSQL's disk_full."""
    cause = getattr(error, "orig", None)
    name = getattr(cause, "sqlite_errorname", None)
    return name in ("SQLITE_FULL", "SQLITE_IOERR_WRITE") or retries.sqlstate(error) == "53100"


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
    """The database of this configuration. Opens nothing until it is used."""
    if options.database.url is None:
        options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Database(locate(options.database, options.data_dir), options.database)


def _open_sqlite(url: sa.URL, options: settings.Database, begin: str) -> Engine:
    engine = _open(url, options)
    busy = round(options.statement_timeout_seconds * 1000)
    event.listen(engine, "connect", lambda made, _record: _prepare_sqlite(made, busy))
    event.listen(engine, "begin", lambda tx: tx.exec_driver_sql(begin))
    return engine


def _open_postgres(url: sa.URL, options: settings.Database) -> Engine:
    given = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    engine = _open(url, options, pool_use_lifo=True, connect_args=given)
    limit = options.statement_timeout_seconds
    idle = min(limit, _IDLE_SECONDS)

    def prepare(connection: Any, _record: Any) -> None:
        """No statement lasts for ever, and the locks of a program that stopped in the middle of a
        transaction (suspended, cut off, killed while its statement waits) go before its lease.
        All statements are short ones: none is worth compiling."""
        connection.execute("SET jit = off")
        connection.execute(f"SET statement_timeout = {round(limit * 1000)}")
        if connection.info.server_version >= _CHECKING_VERSION:
            connection.execute(f"SET client_connection_check_interval = {_CHECK_MILLISECONDS}")
        connection.execute(f"SET tcp_keepalives_idle = {_POSTGRES['keepalives_idle']}")
        connection.execute(f"SET tcp_keepalives_interval = {_POSTGRES['keepalives_interval']}")
        connection.execute(f"SET tcp_keepalives_count = {_POSTGRES['keepalives_count']}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {round(idle * 1000)}")
        connection.commit()

    event.listen(engine, "connect", prepare)
    _test_unused(engine)
    return engine


def _test_unused(engine: Engine) -> None:
    """Replaces connections that broke in the pool before anybody gets them. One that was closed by
    the server can be read from; only one that was not used for a while is asked, since that takes as long as
    a short statement."""

    def test(connection: Any, record: Any, _fairy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:
            return  # it is new
        if time.monotonic() - used_at > _TRUSTED_SECONDS or _can_be_read(connection):
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise sa.exc.InvalidatePoolError from error

    def remember(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    event.listen(engine, "checkout", test)
    event.listen(engine, "checkin", remember)


def _can_be_read(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _open(url: sa.URL, options: settings.Database, **changes: Any) -> Engine:
    return sa.create_engine(
        url,
        pool_size=options.pool_size,
        max_overflow=options.max_overflow,
        pool_recycle=options.pool_recycle_seconds,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        **changes,
    )


def _prepare_sqlite(connection: Any, busy_milliseconds: int) -> None:
    """WAL + FULL: readers never wait for a writer, and a commit survives a power cut."""
    connection.isolation_level = None  # the begin event starts transactions, not the driver
    for pragma in (
        f"busy_timeout={busy_milliseconds}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
