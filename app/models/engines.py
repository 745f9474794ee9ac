"""SQLAlchemy's engines for our two databases: what each connection is told when it is opened."""

import select
import time
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

from app import settings
from app.models.anchors import Anchor

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


def open_sqlite(
    url: sa.URL, options: settings.Database, anchor: Anchor | None, begin: str
) -> Engine:
    engine = _open(url, options)
    busy = round(options.statement_timeout_seconds * 1000)

    def prepare(made: Any, record: Any) -> None:
        _prepare_sqlite(made, busy)
        if anchor is not None:
            anchor.note(record.info)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", lambda tx: tx.exec_driver_sql(begin))
    return engine


def open_postgres(url: sa.URL, options: settings.Database) -> Engine:
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
        hide_parameters=True,  # in errors, and so in logs: they hold prompts and answers
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
