"""What a batch waits for, as facts: who could run it, and who is before it."""

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import lineage, picks, twins
from app.models.database import Database
from app.models.states import JobState
from app.models.tables import jobs, workers
from app.wire.rows import Batch

_LOOK = 10_000  # how much of the queue is looked at


@dataclass(frozen=True)
class Facts:
    """`workers`: (state, reason, jobs in flight) of each worker of the model. `ahead`: how many
    jobs of the model a worker takes before the batch's next line, by the batch they belong to
    (None: interactive ones); `is_bounded` when there may be more; `foreign`: those batches among them that
    are another tenant's. `running`: the batch's lines that
    a worker has. `in_turn`: lines that wait for an earlier job of their conversation. `suspects`: lines
    that run alone, since a worker died with them. `twins`: lines that wait for the answer of an
    identical one."""

    workers: list[tuple[str, str | None, int]] = field(default_factory=list)
    ahead: dict[str | None, int] = field(default_factory=dict)
    is_bounded: bool = False
    foreign: frozenset[str] = frozenset()
    running: int = 0
    in_turn: int = 0
    suspects: int = 0
    twins: int = 0


def gather(db: Database, batch: Batch) -> Facts:
    """The facts of this moment."""
    if batch.model is None:
        return Facts()
    with db.read() as tx:
        ahead, foreign, is_bounded = _look_ahead(tx, batch, batch.model)
        return Facts(
            workers=_list_workers(tx, batch.model),
            ahead=ahead,
            is_bounded=is_bounded,
            foreign=foreign,
            running=_count(tx, jobs.c.batch_id == batch.id, jobs.c.state == JobState.RUNNING),
            in_turn=_count(tx, *_queued(batch), sa.or_(_is_blocked(), lineage.is_waiting())),
            suspects=_count(tx, *_queued(batch), jobs.c.crashes > 0),
            twins=twins.count_waiting(tx, batch.id, _LOOK),
        )


def _list_workers(tx: Connection, model: str) -> list[tuple[str, str | None, int]]:
    columns = (workers.c.state, workers.c.reason, workers.c.in_flight)
    found = tx.execute(sa.select(*columns).where(workers.c.model == model))
    return [(row.state, row.reason, row.in_flight) for row in found]


def _look_ahead(
    tx: Connection, batch: Batch, model: str
) -> tuple[dict[str | None, int], frozenset[str], bool]:
    """Walks the queue in the claim's order up to the batch's first line: what is before it, whose
    batches of that are others', and whether there may be more."""
    waiting = (
        jobs.c.model == model,
        jobs.c.state == JobState.QUEUED,
        jobs.c.held == sa.false(),
    )
    ordered = sa.select(jobs.c.batch_id, jobs.c.tenant_id).where(*waiting)
    ordered = ordered.order_by(*picks.POLICY).limit(_LOOK)
    ahead: Counter[str | None] = Counter()
    foreign: set[str] = set()
    for owner, tenant_id in tx.execute(ordered):
        if owner == batch.id:
            return dict(ahead), frozenset(foreign), False
        ahead[owner] += 1
        if owner is not None and tenant_id != batch.tenant_id:
            foreign.add(owner)
    return dict(ahead), frozenset(foreign), ahead.total() == _LOOK


def _queued(batch: Batch) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        jobs.c.model == batch.model,
        jobs.c.state == JobState.QUEUED,
        jobs.c.batch_id == batch.id,
    )


def _is_blocked() -> sa.ColumnElement[bool]:
    earlier = jobs.alias("before")
    pending = sa.exists().where(
        earlier.c.session_id == jobs.c.session_id,
        earlier.c.seq < jobs.c.seq,
        earlier.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value]),
    )
    return sa.and_(jobs.c.session_id.is_not(None), pending)


def _count(tx: Connection, *conditions: sa.ColumnElement[bool]) -> int:
    bounded = sa.select(jobs.c.seq).where(*conditions).limit(_LOOK).subquery()
    return tx.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()
