"""The order in which the lines of a batch end, as a reader of its results can rely on it.

Every transaction that ends lines of a batch first adds one to `batches.settles`, which locks the
batch's row until it commits, and then writes that number into the lines: their group. So a reader
that sees a group sees all earlier ones, and goes on after (group, line) without missing a line that
was committed late, whatever the order in which workers commit.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models.tables import batches, jobs


def open_groups(tx: Connection, batch_ids: Iterable[str | None]) -> None:
    """Begins a group in each of these batches."""
    known = [batch_id for batch_id in batch_ids if batch_id]
    if known:
        counting = sa.update(batches).where(batches.c.id.in_(known))
        tx.execute(counting.values(settles=batches.c.settles + 1))


def open_groups_of(tx: Connection, job_ids: Sequence[str]) -> None:
    """Begins a group in every batch that has one of these jobs."""
    if job_ids:
        owners = sa.select(jobs.c.batch_id).where(jobs.c.id.in_(job_ids))
        open_groups(tx, set(tx.execute(owners).scalars()))


def current_group() -> sa.ScalarSelect[Any]:
    """For an UPDATE of jobs: the group that is open in the job's batch; NULL without a batch."""
    return sa.select(batches.c.settles).where(batches.c.id == jobs.c.batch_id).scalar_subquery()
