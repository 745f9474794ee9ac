"""Which queued jobs a worker gets next, and in which part of a batch it works.

Lines of a batch are claimed by their `place`, which puts lines that begin alike side by side
(app.intake.places). Each worker goes on where its last claim ended, and begins at its own share of
what is left, so that lines with a common beginning meet in the cache of one worker.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import lineage
from app.models.states import JobState, WorkerState
from app.models.tables import jobs, workers

_EARLIER = jobs.alias("earlier")
POLICY = (jobs.c.priority.desc(), jobs.c.place, jobs.c.seq)
_OWNER_DIGITS = 10
_END = "g"  # after every hexadecimal digit


@dataclass(frozen=True)
class Wish:
    """What the worker of a slot asks for: see claims.claim()."""

    slot: str
    limit: int
    may_isolate: bool
    near: str


def name_place(batch_seq: int, key: str) -> str:
    """The place of a line: its batch's number, then what it begins with. Jobs outside batches
    have an empty one, so they come first among those of their priority."""
    return f"{batch_seq:0{_OWNER_DIGITS}d}{key}"


@functools.lru_cache(64)  # composing it takes as long as running it
def is_claimable(model: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions under which a job of `model` may be claimed now."""
    blocked = sa.exists().where(
        _EARLIER.c.session_id == jobs.c.session_id,
        _EARLIER.c.seq < jobs.c.seq,
        _EARLIER.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value]),
    )
    in_turn = sa.or_(jobs.c.session_id.is_(None), ~blocked)
    return (
        jobs.c.model == model,
        jobs.c.state == JobState.QUEUED,
        jobs.c.held == sa.false(),
        sa.and_(in_turn, ~lineage.is_waiting()),
    )


def choose(tx: Connection, model: str, wish: Wish) -> list[int]:
    """The `seq` of the jobs to take, locked."""
    ready = is_claimable(model)
    found = _choose_lines(tx, model, wish)
    rest = (*ready, jobs.c.seq.not_in(found)) if found else ready
    rows = _lock(tx, wish.limit - len(found), *rest) if len(found) < wish.limit else []
    if rows and rows[0].crashes:
        return found or ([rows[0].seq] if wish.may_isolate else [])
    first_suspect = next((i for i, row in enumerate(rows) if row.crashes), len(rows))
    return found + [row.seq for row in rows[:first_suspect]]


def _choose_lines(tx: Connection, model: str, wish: Wish) -> list[int]:
    """Lines of the batch that is next, from the worker's own region; [] if a job outside batches
    or a suspect is next."""
    ready = is_claimable(model)
    first = sa.select(jobs.c.priority, jobs.c.place, jobs.c.crashes).where(*ready)
    head = tx.execute(first.order_by(*POLICY).limit(1)).one_or_none()
    if head is None or head.crashes or not head.place:
        return []
    mine = (*ready, jobs.c.priority == head.priority, jobs.c.crashes == 0)
    found: list[int] = []
    if _is_same_batch(wish.near, head.place):
        found = [r.seq for r in _lock(tx, wish.limit, *mine, _is_from(wish.near))]
    if len(found) < wish.limit:
        start = _find_start(tx, wish.slot, model, head)
        rest = (*mine, _is_from(start), jobs.c.seq.not_in(found))
        found += [r.seq for r in _lock(tx, wish.limit - len(found), *rest)]
    return found


def _lock(tx: Connection, limit: int, *conditions: sa.ColumnElement[bool]) -> Sequence[Any]:
    ordered = sa.select(jobs.c.seq, jobs.c.crashes).where(*conditions)
    ordered = ordered.order_by(*POLICY).limit(limit)
    return tx.execute(ordered.with_for_update(skip_locked=True)).all()


def _find_start(tx: Connection, slot: str, model: str, head: Any) -> str:
    """Where this worker begins in the batch of the line `head`: the first of n workers at the
    beginning, the second after one n-th of what is left, and so on."""
    number, workers_ready = _find_rank(tx, slot, model)
    if number == 0:
        return str(head.place)
    mine = (*is_claimable(model), jobs.c.priority == head.priority, _is_from(head.place))
    left = tx.execute(sa.select(sa.func.count()).select_from(jobs).where(*mine)).scalar_one()
    at = sa.select(jobs.c.place).where(*mine).order_by(*POLICY).limit(1)
    found = tx.execute(at.offset(left * number // workers_ready)).scalar_one_or_none()
    return str(head.place if found is None else found)


def _find_rank(tx: Connection, slot: str, model: str) -> tuple[int, int]:
    """The number of this worker among the ready ones of its model, from 0, and how many they are."""
    ready = (workers.c.model == model, workers.c.state == WorkerState.READY)
    slots = sorted({slot, *tx.execute(sa.select(workers.c.slot).where(*ready)).scalars()})
    return slots.index(slot), len(slots)


def _is_same_batch(place: str, other: str) -> bool:
    """Whether both are places of one batch."""
    return bool(place) and place[:_OWNER_DIGITS] == other[:_OWNER_DIGITS]


def _is_from(place: str) -> sa.ColumnElement[bool]:
    """Whether a line of the same batch stands at `place` or behind it."""
    return sa.and_(jobs.c.place >= place, jobs.c.place < place[:_OWNER_DIGITS] + _END)
