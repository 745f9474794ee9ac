"""A look at the backlog that takes no lock: workers ask many times a second."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import picks
from app.models.database import Database
from app.models.states import JobState, WorkerState
from app.models.tables import jobs, workers


def fair_share(db: Database, model: str, wanted: int) -> int:
    """How many jobs one worker should claim of those queued for `model`: at most `wanted`, and no
    more than leaves the same for each other ready worker, so that a small batch uses every device.
    0 if nothing is queued."""
    with db.read() as tx:
        ready = max(1, _count_ready(tx, model))
        queued = _count_queued(tx, model, limit=wanted * ready)
    return min(wanted, -(-queued // ready))


def count_urgent(db: Database, model: str, *, above: int, limit: int) -> int:
    """How many jobs of `model` with a priority over `above` could be claimed now, up to `limit`."""
    urgent = (*picks.is_claimable(model), jobs.c.priority > above)
    with db.read() as tx:
        bounded = sa.select(jobs.c.seq).where(*urgent).limit(limit).subquery()
        return tx.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()


def count_ready(db: Database, model: str) -> int:
    """Workers that could claim jobs of `model` now."""
    with db.read() as tx:
        return _count_ready(tx, model)


def _count_ready(tx: Connection, model: str) -> int:
    ready = (workers.c.model == model, workers.c.state == WorkerState.READY)
    counting = sa.select(sa.func.count()).select_from(workers).where(*ready)
    return tx.execute(counting).scalar_one()


def _count_queued(tx: Connection, model: str, limit: int) -> int:
    queued = (
        jobs.c.model == model,
        jobs.c.state == JobState.QUEUED,
        jobs.c.held == sa.false(),
    )
    bounded = sa.select(jobs.c.seq).where(*queued).limit(limit).subquery()
    return tx.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()
