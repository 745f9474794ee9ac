"""Chunks: the text of streamed jobs as it grows. They only hurry ahead of the result, which is the
truth: a lost chunk costs time, never text."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from app.models import retries
from app.models.database import Database
from app.models.states import JobState
from app.models.tables import chunks, jobs
from app.wire.rows import Chunk

KEPT_SECONDS = 3600.0  # after the job's end, for listeners who come back
_FIELDS = ("job_id", "attempt", "choice", "start", "text", "logprobs")
_COLUMNS = tuple(column for column in chunks.c if column.name != "created_at")


@retries.repeat
def add(db: Database, new: Sequence[Chunk]) -> None:
    """Stores chunks whose attempt still holds its job; others are dropped."""
    now = time.time()
    held = sa.select(
        *(sa.bindparam(name, type_=chunks.c[name].type) for name in _FIELDS),
        sa.bindparam("created_at", now, type_=sa.Float),
    ).where(
        sa.exists().where(
            jobs.c.id == sa.bindparam("job_id"),
            jobs.c.attempt == sa.bindparam("attempt"),
            jobs.c.state == JobState.RUNNING.value,
        )
    )
    adding = sa.insert(chunks).from_select([*_FIELDS, "created_at"], held)
    with db.write() as tx:
        tx.execute(adding, [_values(chunk, now) for chunk in new])


def _values(chunk: Chunk, now: float) -> dict[str, object]:
    return {name: value for name, value in asdict(chunk).items() if name != "id"} | {
        "created_at": now
    }


def read(db: Database, cursors: Mapping[str, int]) -> list[Chunk]:
    """The chunks of these jobs after the given ids, in order. One statement for all streams of a
    process."""
    wanted = [
        sa.and_(chunks.c.job_id == job_id, chunks.c.id > last) for job_id, last in cursors.items()
    ]
    query = sa.select(*_COLUMNS).where(sa.or_(sa.false(), *wanted)).order_by(chunks.c.id)
    with db.look() as tx:
        return [Chunk(**row) for row in tx.execute(query).mappings()]


@retries.repeat
def forget(db: Database, *, before: float, limit: int = 10_000) -> int:
    """Deletes chunks older than `before` of jobs that ended before it; returns how many."""
    over = sa.exists().where(jobs.c.id == chunks.c.job_id, jobs.c.finished_at < before)
    old = sa.select(chunks.c.id).where(chunks.c.created_at < before, over).limit(limit)
    with db.write() as tx:
        return tx.execute(sa.delete(chunks).where(chunks.c.id.in_(old))).rowcount
