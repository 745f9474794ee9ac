"""What a worker does to jobs: claim them, give them back, and settle them under its attempt."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import bulk, endings, picks, retries, successes, twins, withdrawals
from app.models.database import Database
from app.models.jobs import JOB_COLUMNS, count_failed
from app.models.states import CLAIMING, JobState, sources
from app.models.tables import attempts, batches, jobs, workers
from app.wire.rows import Job, Outcome


@dataclass(frozen=True)
class Holder:
    """A worker incarnation, as claims know it."""

    slot: str
    epoch: int


@dataclass(frozen=True)
class Settlement:
    """What settle() did: the jobs it accepted, the late ones it refused, the batches now done."""

    accepted: frozenset[str]
    fenced: frozenset[str]
    ended_batches: frozenset[str]


@retries.repeat
def claim(
    db: Database, holder: Holder, model: str, *, limit: int, may_isolate: bool, near: str = ""
) -> list[Job]:
    """Gives up to `limit` queued jobs of `model` to `holder`, in the order of the policy alone
    (priority, then arrival; a session's jobs one after another), each under a new attempt. Which
    lines of the batch that is next, app.models.picks says; `near` is the place of the last one
    that this worker got.

    A job that was in flight when a worker died is a suspect and must run alone: if the first in
    order is one, it is returned by itself when `may_isolate` (nothing else runs there), else
    nothing is; suspects further back end the list. A holder that is to end, was declared dead, or
    whose slot has a newer owner, gets nothing.
    """
    with db.write() as tx:
        if not _may_claim(tx, holder):
            return []
        wanted = picks.choose(tx, model, picks.Wish(holder.slot, limit, may_isolate, near))
        return _take(tx, holder, wanted) if wanted else []


def _may_claim(tx: Connection, holder: Holder) -> bool:
    """Whether the holder's row is current and it is not told to end; locked, so that nobody declares
    it dead meanwhile."""
    own = sa.select(workers.c.slot).where(
        workers.c.slot == holder.slot,
        workers.c.epoch == holder.epoch,
        workers.c.state.in_([state.value for state in CLAIMING]),
    )
    return tx.execute(own.with_for_update(read=True)).one_or_none() is not None


def _take(tx: Connection, holder: Holder, wanted: Sequence[int]) -> list[Job]:
    now = time.time()
    chosen = bulk.among(tx, jobs.c.seq, wanted)
    taking = sa.update(jobs).where(chosen, jobs.c.state == JobState.QUEUED)
    taken = tx.execute(
        taking.values(
            state=JobState.RUNNING,
            attempt=jobs.c.attempt + 1,
            slot=holder.slot,
            epoch=holder.epoch,
            claimed_at=now,
            started_at=sa.func.coalesce(jobs.c.started_at, now),
        ).returning(*JOB_COLUMNS)
    )
    return sorted((Job(**row) for row in bulk.read(taken)), key=lambda job: job.rank)


@retries.repeat
def release(db: Database, held: Sequence[tuple[str, int]]) -> int:
    """Gives (job id, attempt) pairs back to the queue, uncounted; returns how many still were
    held. A job whose cancellation was asked for ends cancelled instead."""
    if not held:
        return 0
    with db.write() as tx:
        return _release(tx, held)


def _release(tx: Connection, held: Sequence[tuple[str, int]]) -> int:
    rows = _lock_held(tx, held)
    _record_attempts(tx, rows, "released")
    requeue(tx, [row.id for row in rows if not row.cancel_requested])
    end(tx, [row.id for row in rows if row.cancel_requested], JobState.CANCELLED, None)
    return len(rows)


def release_all(tx: Connection, holder: Holder) -> int:
    """Gives everything back that `holder` runs; returns how many jobs."""
    return _release(tx, _list_running(tx, holder))


def requeue(tx: Connection, job_ids: Sequence[str], *, crashes: int = 0) -> None:
    """Puts running jobs back into the queue, adding to their crash count."""
    moving = sa.update(jobs).where(jobs.c.id.in_(job_ids), jobs.c.state == JobState.RUNNING)
    tx.execute(moving.values(state=JobState.QUEUED, crashes=jobs.c.crashes + crashes))


def end(
    tx: Connection, job_ids: Sequence[str], state: JobState, error: dict[str, Any] | None
) -> None:
    """Moves open jobs to a terminal state that is not success, and counts them in their batches.
    Where others wait for their answers, the next of them may be claimed. PostgreSQL: the caller
    has locked these jobs, so that everybody locks jobs before batches. Without an `error`, a job
    keeps what it was cancelled for."""
    groups = twins.find_groups(tx, job_ids)
    twins.lock(tx, groups)
    endings.open_groups_of(tx, job_ids)
    moving = sa.update(jobs).where(jobs.c.id.in_(job_ids), jobs.c.state.in_(sources(state)))
    moved = tx.execute(
        moving.values(
            state=state,
            finished_at=time.time(),
            error=jobs.c.error if error is None else error,
            ended_no=endings.current_group(),
        ).returning(jobs.c.batch_id)
    )
    count_failed(tx, Counter(row.batch_id for row in moved if row.batch_id))
    twins.free(tx, groups)


def _lock_held(tx: Connection, held: Sequence[tuple[str, int]]) -> list[Any]:
    """The rows that these attempts still hold. This is the fence: a late attempt finds nothing."""
    named = bulk.among(tx, jobs.c.id, [job_id for job_id, _ in held])
    columns = (
        jobs.c.id,
        jobs.c.attempt,
        jobs.c.slot,
        jobs.c.epoch,
        jobs.c.claimed_at,
        jobs.c.batch_id,
        jobs.c.session_id,
        jobs.c.cancel_requested,
        jobs.c.error,
        jobs.c.twin_no,
    )
    locked = sa.select(*columns).where(named, jobs.c.state == JobState.RUNNING).with_for_update()
    fence = set(held)
    return [row for row in tx.execute(locked) if (row.id, row.attempt) in fence]


def _record_attempts(tx: Connection, rows: Sequence[Any], outcome: str) -> None:
    """Keeps how attempts ended that produced nothing, for whoever asks later."""
    now = time.time()
    values = [
        {
            "job_id": row.id,
            "attempt": row.attempt,
            "slot": row.slot,
            "epoch": row.epoch,
            "claimed_at": row.claimed_at,
            "outcome": outcome,
            "ended_at": now,
        }
        for row in rows
    ]
    if values:
        tx.execute(sa.insert(attempts), values)


def record_crashes(tx: Connection, rows: Sequence[Any]) -> None:
    """Keeps that these attempts died with their worker."""
    _record_attempts(tx, rows, "crashed")


@retries.repeat
def settle(db: Database, outcomes: Sequence[Outcome]) -> Settlement:
    """Stores outcomes with their session turns, batch counts and usage in one transaction.

    An outcome counts only if its attempt still holds the job; otherwise it is dropped ("fenced").
    A job that was withdrawn in time ends cancelled, whatever became of it. Lines that wait for the
    answer of one of these jobs have it in the same transaction.
    """
    with db.write() as tx:
        offered = {(o.job_id, o.attempt): o for o in outcomes}
        rows = {row.id: row for row in _lock_held(tx, list(offered))}
        held = [offered[row.id, row.attempt] for row in rows.values()]
        done = [o for o in held if _succeeds(o, rows[o.job_id])]
        answered = twins.name_groups(rows[o.job_id] for o in done)
        twins.lock(tx, answered)
        successes.store_results(tx, done)
        successes.end_jobs(tx, done, rows)
        successes.store_turns(tx, [o for o in done if rows[o.job_id].session_id], rows)
        successes.store_symbols(tx, done)
        twins.answer(tx, answered)
        for outcome in held:
            if not _succeeds(outcome, rows[outcome.job_id]):
                _end_unsuccessful(tx, outcome, rows[outcome.job_id])
        ended = _find_ended(tx, {row.batch_id for row in rows.values() if row.batch_id})
    fenced = frozenset(o.job_id for o in outcomes) - frozenset(rows)
    return Settlement(frozenset(rows), fenced, ended)


def _succeeds(outcome: Outcome, row: Any) -> bool:
    return outcome.state == JobState.SUCCEEDED and not withdrawals.is_withdrawn(row)


def _end_unsuccessful(tx: Connection, outcome: Outcome, row: Any) -> None:
    is_withdrawn = withdrawals.is_withdrawn(row)
    state = JobState.CANCELLED if is_withdrawn else JobState(outcome.state)
    problem = outcome.problem if state == JobState.FAILED else None
    end(tx, [outcome.job_id], state, problem.as_json() if problem else None)
    if problem is not None and problem.spent is not None:
        successes.count_lost(tx, row.batch_id, problem.spent)


def _find_ended(tx: Connection, batch_ids: set[str]) -> frozenset[str]:
    counted = batches.c.completed + batches.c.failed >= batches.c.total
    ended = sa.select(batches.c.id).where(batches.c.id.in_(batch_ids), counted, batches.c.total > 0)
    return frozenset(tx.execute(ended).scalars()) if batch_ids else frozenset()


def release_unknown(db: Database, holder: Holder, known: Sequence[tuple[str, int]]) -> int:
    """Gives back running jobs of `holder` that are not among `known`: a claim whose answer was
    lost. Returns how many."""
    with db.read() as tx:
        held = _list_running(tx, holder)
    return release(db, [each for each in held if each not in set(known)])


def _list_running(tx: Connection, holder: Holder) -> list[tuple[str, int]]:
    mine = (jobs.c.slot == holder.slot, jobs.c.epoch == holder.epoch)
    running = sa.select(jobs.c.id, jobs.c.attempt).where(*mine, jobs.c.state == JobState.RUNNING)
    return [(row.id, row.attempt) for row in tx.execute(running)]
