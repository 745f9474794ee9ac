"""Many rows at once, each database the way that costs it least.

PostgreSQL parses and plans each execution of a statement and converts each parameter: one parameter
with everything in it takes it about half the time of a statement for each row, and of a list of keys.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from app.models.database import Database
from app.models.tables import Words, jobs, results

_FOUND_BY = ("batch_id", "line_no", "model", "state", "held", "finished_at", "ended_no")
_NUL = b"\\u0000"  # PostgreSQL does not read it in JSON


def insert(tx: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that have the same columns."""
    if not rows:
        return
    if tx.dialect.name != "postgresql" or _NUL in (packed := _pack(table, rows)):
        tx.execute(sa.insert(table), rows)
        return
    names = ", ".join(rows[0])
    source = f"json_populate_recordset(NULL::{table.name}, CAST(:packed AS json))"
    adding = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source}"
    tx.execute(sa.text(adding), {"packed": packed.decode()})


def _pack(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> bytes:
    words = {column.name for column in table.c if isinstance(column.type, Words)}
    cleaned = [
        {**row, **{name: _clean(row[name]) for name in words if name in row}} for row in rows
    ]
    return orjson.dumps(cleaned)


def _clean(value: str | None) -> str | None:
    return value if value is None else value.replace("\0", "\ufffd")


def read(found: sa.CursorResult[Any]) -> Iterator[dict[str, Any]]:
    """The rows of a statement as dictionaries, for half of what their own mappings cost."""
    names = tuple(found.keys())
    return (dict(zip(names, row, strict=True)) for row in found.all())


def among(
    tx: Connection, column: sa.ColumnElement[Any], values: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Whether a column has one of these values."""
    if tx.dialect.name != "postgresql":
        return column.in_(values)
    return column == sa.func.any(sa.bindparam(None, list(values), postgresql.ARRAY(column.type)))


def analyze(db: Database) -> None:
    """Tells PostgreSQL how large the jobs and results have become, which it would notice within a minute or so:
    until then reading the lines of a batch in pages can mean sorting them all for each page. Only of
    the columns that lines are found by: all of them, with their texts, take it several times as long."""
    if db.is_sqlite:
        return
    with db.write() as tx:
        found_by = ", ".join(_FOUND_BY)
        tx.exec_driver_sql(f"ANALYZE {jobs.name} ({found_by}), {results.name} (job_id)")
