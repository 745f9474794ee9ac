"""Worker incarnations: who owns a slot, under which epoch, and whether it still lives."""

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import claims, retries, states
from app.models.database import Database
from app.models.states import JobState, WorkerState
from app.models.tables import jobs, workers
from app.wire.rows import Problem, Worker

ALIVE = tuple(state.value for state in states.ALIVE)


@dataclass(frozen=True)
class Identity:
    """Which process on which machine asks for a slot, and what it will serve."""

    slot: str
    model: str
    machine: str
    pid: int
    parent_pid: int


@dataclass(frozen=True)
class Recovery:
    """What happened to a dead incarnation's jobs."""

    requeued: int = 0
    failed: int = 0


@retries.repeat
def enroll(
    db: Database, identity: Identity, *, max_attempts: int, is_crash: bool | None = None
) -> tuple[claims.Holder, Recovery]:
    """Makes the caller the slot's owner under a new epoch and, in the same transaction, takes over
    the jobs that earlier epochs of this slot left running (slot takeover: no wait for a lease).
    `is_crash`: see `recover`."""
    with db.write() as tx:
        is_crash = _is_crash(tx, identity.slot, is_crash)
        epoch = _next_epoch(tx, identity)
        recovered = _recover(tx, claims.Holder(identity.slot, epoch - 1), max_attempts, is_crash)
    return claims.Holder(identity.slot, epoch), recovered


def _is_crash(tx: Connection, slot: str, told: bool | None) -> bool:
    """What the caller knows better; else whether the slot's owner was not told to end."""
    if told is not None:
        return told
    asked = sa.select(workers.c.state).where(workers.c.slot == slot).with_for_update()
    return tx.execute(asked).scalar_one_or_none() != WorkerState.STOPPING


def _next_epoch(tx: Connection, identity: Identity) -> int:
    now = time.time()
    fresh = vars(identity) | {
        "state": WorkerState.LOADING.value,
        "reason": None,
        "pulse": 0,
        "step": 0,
        "in_flight": 0,
        "in_shift": False,
        "shifts": 0,
        "started_at": now,
        "pulsed_at": now,
    }
    taking = sa.update(workers).where(workers.c.slot == identity.slot)
    taken = tx.execute(
        taking.values(**fresh, epoch=workers.c.epoch + 1, model_loads_total=0).returning(
            workers.c.epoch
        )
    ).scalar_one_or_none()
    if taken is None:
        tx.execute(sa.insert(workers).values(**fresh, epoch=1, model_loads_total=0))
    return taken or 1


@retries.repeat
def recover(
    db: Database,
    holder: claims.Holder,
    *,
    max_attempts: int,
    state: WorkerState,
    is_crash: bool | None = None,
) -> Recovery:
    """Declares incarnations of a slot up to the holder's epoch dead and frees their jobs. Whether
    this death counts against the jobs says `is_crash`; if None, the row: one that was told to end
    was killed since it took too long, which is no job's fault."""
    with db.write() as tx:
        is_crash = _is_crash(tx, holder.slot, is_crash)
        mine = (workers.c.slot == holder.slot, workers.c.epoch == holder.epoch)
        tx.execute(sa.update(workers).where(*mine).values(state=state.value))
        return _recover(tx, holder, max_attempts, is_crash)


def _recover(tx: Connection, dead: claims.Holder, max_attempts: int, is_crash: bool) -> Recovery:
    """Of still older epochs it is not known how they ended."""
    released = 0 if is_crash else claims.release_all(tx, dead)
    crashed = _count_crashes(tx, dead, max_attempts)
    return Recovery(crashed.requeued + released, crashed.failed)


def _count_crashes(tx: Connection, dead: claims.Holder, max_attempts: int) -> Recovery:
    columns = (
        jobs.c.id,
        jobs.c.attempt,
        jobs.c.slot,
        jobs.c.epoch,
        jobs.c.claimed_at,
        jobs.c.crashes,
        jobs.c.cancel_requested,
    )
    orphaned = (jobs.c.slot == dead.slot, jobs.c.epoch <= dead.epoch)
    running = sa.select(*columns).where(*orphaned, jobs.c.state == JobState.RUNNING)
    rows = tx.execute(running.with_for_update()).all()
    claims.record_crashes(tx, rows)
    cancelled = [row.id for row in rows if row.cancel_requested]
    spent = [r.id for r in rows if r.crashes + 1 >= max_attempts and not r.cancel_requested]
    again = [r.id for r in rows if r.id not in {*cancelled, *spent}]
    claims.end(tx, cancelled, JobState.CANCELLED, None)
    problem = Problem("worker_crashed", values={"attempts": max_attempts})
    claims.end(tx, spent, JobState.FAILED, problem.as_json())
    claims.requeue(tx, again, crashes=1)
    return Recovery(len(again), len(spent))


def update(db: Database, holder: claims.Holder, **values: Any) -> WorkerState | None:
    """Writes fields of the caller's own row and returns its state (LOST: it was declared dead);
    None when the slot has a newer owner."""
    with db.write() as tx:
        mine = (workers.c.slot == holder.slot, workers.c.epoch == holder.epoch)
        writing = sa.update(workers).where(*mine).values(**values, pulsed_at=time.time())
        state = tx.execute(writing.returning(workers.c.state)).scalar_one_or_none()
    return None if state is None else WorkerState(state)


def count_load(db: Database, holder: claims.Holder) -> None:
    """Counts one load of the model by this incarnation."""
    with db.write() as tx:
        mine = (workers.c.slot == holder.slot, workers.c.epoch == holder.epoch)
        counting = sa.update(workers).where(*mine)
        tx.execute(counting.values(model_loads_total=workers.c.model_loads_total + 1))


@retries.repeat
def begin_stop(db: Database, slot: str, parent_pid: int) -> None:
    """Notes that this parent's child was told to end: it can claim no more, and if it is killed
    before it has given its jobs back, they are queued again uncounted."""
    with db.write() as tx:
        mine = (workers.c.slot == slot, workers.c.parent_pid == parent_pid)
        stopping = sa.update(workers).where(*mine, workers.c.state.in_(ALIVE))
        tx.execute(stopping.values(state=WorkerState.STOPPING.value))


@retries.repeat
def retire(db: Database, holder: claims.Holder) -> int:
    """Ends an incarnation in order, in one transaction: it can claim no more, and all that it still
    holds is queued again, uncounted. Returns how many jobs that were."""
    with db.write() as tx:
        mine = (workers.c.slot == holder.slot, workers.c.epoch == holder.epoch)
        leaving = sa.update(workers).where(*mine).values(state=WorkerState.STOPPED.value)
        tx.execute(leaving.values(in_flight=0, in_shift=False, pulsed_at=time.time()))
        return claims.release_all(tx, holder)


def get(db: Database, slot: str) -> Worker | None:
    """The current incarnation of a slot, if it ever had one."""
    with db.read() as tx:
        row = tx.execute(sa.select(workers).where(workers.c.slot == slot)).mappings()
        found = row.one_or_none()
    return None if found is None else Worker(**found)


def list_all(db: Database) -> list[Worker]:
    """Every slot's current incarnation."""
    with db.read() as tx:
        rows = tx.execute(sa.select(workers).order_by(workers.c.slot)).mappings().all()
    return [Worker(**row) for row in rows]
