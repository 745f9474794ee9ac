"""A look at the backlog that takes no lock: workers ask many times a second, beside an engine that
wants their core, so that statements are built once.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import picks
from app.models.database import Database
from app.models.states import JobState, WorkerState
from app.models.tables import jobs, workers

_MODEL, _WANTED = sa.bindparam("model", type_=sa.String), sa.bindparam("wanted", type_=sa.Integer)
_COUNT_READY = (
    sa.select(sa.func.count())
    .select_from(workers)
    .where(workers.c.model == _MODEL, workers.c.state == WorkerState.READY)
)
_READY = _COUNT_READY.scalar_subquery()
_QUEUED = (
    sa.select(jobs.c.seq)
    .where(jobs.c.model == _MODEL, jobs.c.state == JobState.QUEUED, jobs.c.held == sa.false())
    .order_by(*picks.POLICY)  # or PostgreSQL reads the table, past every line that has ended
    .limit(_WANTED * sa.func.coalesce(sa.func.nullif(_READY, 0), 1))
)
LOOK = sa.select(sa.func.count(), _READY).select_from(_QUEUED.subquery())


def fair_share(db: Database, model: str, wanted: int) -> int:
    """How many jobs one worker should claim of those queued for `model`: at most `wanted`, and no
    more than leaves the same for each other ready worker, so that a small batch uses every device.
    0 if nothing is queued."""
    with db.look() as tx:
        queued, ready = tx.execute(LOOK, {"model": model, "wanted": wanted}).one()
    share: int = -(-queued // max(1, ready))
    return min(wanted, share)


def count_urgent(db: Database, model: str, *, above: int, limit: int) -> int:
    """How many jobs of `model` with a priority over `above` could be claimed now, up to `limit`."""
    urgent = (*picks.is_claimable(model), jobs.c.priority > above)
    with db.look() as tx:
        bounded = sa.select(jobs.c.seq).where(*urgent).limit(limit).subquery()
        return tx.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()


def count_ready(db: Database, model: str) -> int:
    """Workers that could claim jobs of `model` now."""
    with db.look() as tx:
        return _count_ready(tx, model)


def _count_ready(tx: Connection, model: str) -> int:
    ready: int = tx.execute(_COUNT_READY, {"model": model}).scalar_one()
    return ready
