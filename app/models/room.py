"""How much waits, and whether more may: jobs and calls have one limit, lines of batches another."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import Busy
from app.models.database import Database
from app.models.states import BatchState, JobState
from app.models.tables import batches, jobs

BATCH_PRIORITY = -10  # of every line of a batch


def count_queued(db: Database, limit: int) -> int:
    """How many jobs wait that are no lines of batches, counted up to `limit`. It walks them."""
    with db.read() as tx:
        return _count_queued(tx, limit)


def require_place(tx: Connection, limit: int) -> None:
    """Busy("queue_full") if so many wait already."""
    if _count_queued(tx, limit) >= limit:
        raise Busy("queue_full", limit=limit)


def _count_queued(tx: Connection, limit: int) -> int:
    """Ranges of the claim's index that hold no line of a batch: there may be a million of those."""
    alike = jobs.c.priority == BATCH_PRIORITY
    others = (
        (jobs.c.priority > BATCH_PRIORITY,),
        (alike, jobs.c.place == ""),
        (jobs.c.priority < BATCH_PRIORITY,),
    )
    waiting = (jobs.c.state == JobState.QUEUED, jobs.c.held == sa.false())
    number = 0
    for model in _list_models(tx):
        for each in others:
            number += count(tx, limit, jobs.c.model == model, *waiting, *each)
    return min(number, limit)


def _list_models(tx: Connection) -> list[str]:
    """The models that jobs are for; each is one look into the claim's index, which begins with it
    and holds on PostgreSQL queued jobs only."""
    found: list[str] = []
    known = () if tx.dialect.name == "sqlite" else (jobs.c.state == JobState.QUEUED,)
    while True:
        later = sa.select(sa.func.min(jobs.c.model)).where(
            jobs.c.model > (found[-1] if found else ""), *known
        )
        model = tx.execute(later).scalar_one()
        if model is None:
            return found
        found.append(model)


def count(tx: Connection, limit: int, *conditions: sa.ColumnElement[bool]) -> int:
    """How many jobs are so, counted up to `limit`."""
    bounded = sa.select(jobs.c.seq).where(*conditions).limit(limit).subquery()
    return tx.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()


def require_lines(tx: Connection, limit: int) -> None:
    """Busy("batches_full") if so many lines of batches that were read have not ended yet."""
    left = sa.func.sum(batches.c.total - batches.c.completed - batches.c.failed)
    running = batches.c.status == BatchState.IN_PROGRESS
    if (tx.execute(sa.select(left).where(running)).scalar() or 0) >= limit:
        raise Busy("batches_full", limit=limit)
