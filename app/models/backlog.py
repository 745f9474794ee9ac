"""A look at the backlog that takes no lock: workers ask many times a second."""

import sqlalchemy as sa

from app.models.database import Database
from app.models.states import JobState
from app.models.tables import jobs


def has_queued(db: Database, model: str) -> bool:
    """Whether any job of `model` is queued, claimable or not (its session may be busy)."""
    queued = (jobs.c.model == model, jobs.c.state == JobState.QUEUED)
    with db.read() as tx:
        return tx.execute(sa.select(jobs.c.seq).where(*queued).limit(1)).first() is not None
