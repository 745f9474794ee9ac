"""What the sweeper asks of the store: backlog, overdue jobs, and old things to forget."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app import clock
from app.models import claims, cursors, picks, retries
from app.models.database import Database
from app.models.states import ENDED, TERMINAL, JobState
from app.models.tables import batches, jobs


def count_claimable(db: Database, *, limit: int = 1000) -> dict[str, list[str]]:
    """Per model, up to `limit` ids of jobs that a worker could claim now, best first."""
    with db.read() as tx:
        queued = sa.select(jobs.c.model).where(jobs.c.state == JobState.QUEUED).distinct()
        names = tx.execute(queued).scalars().all()
        found = {}
        for name in names:
            ordered = sa.select(jobs.c.id).where(*picks.is_claimable(name))
            ordered = ordered.order_by(*picks.POLICY).limit(limit)
            found[name] = list(tx.execute(ordered).scalars())
    return {name: job_ids for name, job_ids in found.items() if job_ids}


def expire_overdue(db: Database, *, limit: int = 1000) -> int:
    """Ends queued jobs that are past their own expiry; returns how many were found. The search
    reads the whole queue, so it must not hold the write lock; the move repeats its condition."""
    overdue = sa.select(jobs.c.id).where(
        jobs.c.state == JobState.QUEUED, jobs.c.expires_at <= clock.earliest()
    )
    with db.read() as tx:
        due = list(tx.execute(overdue.limit(limit)).scalars())
    if due:
        _expire(db, due)
    return len(due)


@retries.repeat
def _expire(db: Database, job_ids: list[str]) -> None:
    waiting = (jobs.c.id.in_(job_ids), jobs.c.state == JobState.QUEUED)
    with db.write() as tx:
        still = tx.execute(sa.select(jobs.c.id).where(*waiting).with_for_update()).scalars()
        claims.end(tx, list(still), JobState.EXPIRED, None)


@retries.repeat
def forget(db: Database, *, before: float, limit: int = 1000) -> int:
    """Deletes ended jobs (with results) and ended batches older than `before`, jobs of such a batch
    first; returns how many rows went in this piece, 0 when nothing is left to forget."""
    ended_at = sa.func.coalesce(
        batches.c.completed_at, batches.c.failed_at, batches.c.expired_at, batches.c.cancelled_at
    )
    ended = batches.c.status.in_([state.value for state in ENDED])
    old_batches = sa.select(batches.c.id).where(ended, ended_at < before)
    with db.write() as tx:
        batch_id = tx.execute(old_batches.limit(1)).scalar_one_or_none()
        gone = _delete_jobs(tx, _is_old(before), limit)
        if batch_id is not None:
            gone += _delete_jobs(tx, jobs.c.batch_id == batch_id, limit - gone)
            if gone < limit:
                gone += _delete_batch(tx, batch_id)
        return gone


def _delete_batch(tx: Connection, batch_id: str) -> int:
    columns = (batches.c.id, batches.c.tenant_id, batches.c.seq)
    gone = tx.execute(sa.delete(batches).where(batches.c.id == batch_id).returning(*columns)).all()
    cursors.keep(tx, [(row.id, row.tenant_id, row.seq) for row in gone])
    return len(gone)


def _is_old(before: float) -> sa.ColumnElement[bool]:
    ended = jobs.c.state.in_([state.value for state in TERMINAL])
    return sa.and_(ended, jobs.c.finished_at < before, jobs.c.batch_id.is_(None))


def _delete_jobs(tx: Connection, condition: sa.ColumnElement[bool], limit: int) -> int:
    some = sa.select(jobs.c.seq).where(condition).limit(limit)
    return tx.execute(sa.delete(jobs).where(jobs.c.seq.in_(some))).rowcount


def count_states(db: Database) -> dict[tuple[str, str], int]:
    """How many jobs are in each (model, state); for metrics and the bench."""
    with db.read() as tx:
        counted = sa.select(jobs.c.model, jobs.c.state, sa.func.count()).group_by(
            jobs.c.model, jobs.c.state
        )
        return {(model, state): number for model, state, number in tx.execute(counted)}
