"""Pausing a batch: claims pass over its lines, what runs goes on, expiry and cancelling too."""

import time

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import Conflict
from app.models import batches as batch_store
from app.models import retries
from app.models.database import Database
from app.models.states import OPEN, BatchState
from app.models.tables import batches, jobs
from app.wire.rows import Batch

_PAUSABLE = (BatchState.VALIDATING, BatchState.IN_PROGRESS)


@retries.repeat
def pause(db: Database, tenant_id: str, batch_id: str) -> Batch:
    """No line of the batch is claimed from now on, whatever gives it back to the queue. A paused
    batch is returned as it is; Conflict("batch_not_pausable") for one that is ending."""
    return _switch(db, tenant_id, batch_id, paused_at=time.time())


@retries.repeat
def resume(db: Database, tenant_id: str, batch_id: str) -> Batch:
    """Its lines may be claimed again, in their old places. A batch that is not paused is returned
    as it is; Conflict("batch_not_pausable") for one that is ending."""
    return _switch(db, tenant_id, batch_id, paused_at=None)


def _switch(db: Database, tenant_id: str, batch_id: str, *, paused_at: float | None) -> Batch:
    batch = batch_store.get(db, tenant_id, batch_id)
    is_pause = paused_at is not None
    with db.write() as tx:
        marking = sa.update(batches).where(
            batches.c.id == batch_id,
            batches.c.status.in_([state.value for state in _PAUSABLE]),
            batches.c.paused_at.is_(None) if is_pause else batches.c.paused_at.is_not(None),
        )
        if tx.execute(marking.values(paused_at=paused_at)).rowcount:
            _hold(tx, batch_id, held=is_pause)
    batch = batch_store.get(db, tenant_id, batch_id)
    if batch.status not in _PAUSABLE:
        raise Conflict("batch_not_pausable", status=batch.status)
    return batch


def _hold(tx: Connection, batch_id: str, *, held: bool) -> None:
    """A column of its own rather than a look at the batch: the claim's index leads past held jobs
    without reading them, however many there are."""
    waiting = jobs.c.state.in_([state.value for state in OPEN])
    moving = sa.update(jobs).where(jobs.c.batch_id == batch_id, jobs.c.held != held, waiting)
    tx.execute(moving.where(~jobs.c.is_twin).values(held=held))  # twins are always held
