"""Running jobs that somebody wants no more: which are to stop, and which may still finish.

Whoever cancels a job stops it, and its outcome counts no more. Whoever cancels a batch stops its
queued lines; the running ones have FINISH_SECONDS to finish, but are not run again. The flag
`cancel_requested` is the same; a job that was cancelled by itself has its reason as its `error`.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app import clock
from app.models.database import Database
from app.models.states import BatchState
from app.models.tables import batches, jobs

FINISH_SECONDS = 540.0  # of the ten minutes that OpenAI allows; the files are written after them

_WANTED = sa.select(jobs.c.id).where(
    jobs.c.id.in_(sa.bindparam("ids", expanding=True)), ~jobs.c.cancel_requested
)
_FINISHING = (
    sa.select(jobs.c.id, jobs.c.error)
    .join(batches, batches.c.id == jobs.c.batch_id)
    .where(
        jobs.c.id.in_(sa.bindparam("ids", expanding=True)),
        batches.c.status == BatchState.CANCELLING,
        batches.c.cancelling_at > sa.bindparam("since"),
    )
)


def is_withdrawn(row: Any) -> bool:
    """Whether a running job (`cancel_requested`, `error`) was cancelled by itself, so that it
    cannot succeed any more."""
    return row.cancel_requested and row.error is not None


def find_cancelled(db: Database, job_ids: Sequence[str]) -> set[str]:
    """Which of these running jobs are to stop: those that their clients withdrew or deleted, and
    lines of a cancelled batch whose time is over."""
    with db.look() as tx:
        asked = set(job_ids).difference(tx.execute(_WANTED, {"ids": list(job_ids)}).scalars())
        return asked - _find_finishing(tx, asked) if asked else asked


def _find_finishing(tx: Connection, job_ids: Collection[str]) -> set[str]:
    values = {"ids": list(job_ids), "since": clock.earliest() - FINISH_SECONDS}
    return {row.id for row in tx.execute(_FINISHING, values) if row.error is None}
