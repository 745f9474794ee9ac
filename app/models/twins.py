"""Lines of one batch with one request, which has one answer: the first is run, its twins wait.

Such lines have one `twin_no`, the number of the first of them in the file. While any of them is
open, one at most may be claimed; the others are its twins (`is_twin`), held as if paused, so that
the claim's index leads past them. The success of that one ends its twins too, in the same
transaction; if it ends otherwise, the next of them takes its place. A line that is read after that
success is answered at once.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import endings, retries
from app.models.database import Database
from app.models.states import OPEN, BatchState, JobState
from app.models.tables import batches, jobs, results

Groups = set[tuple[str, int]]
"""(batch id, twin_no) of lines with one request."""

_PIECE = 1000
_OPEN = [state.value for state in OPEN]
_SHARED = ("text", "finish_reason", "prompt_tokens", "completion_tokens", "provenance", "details")


def name_groups(rows: Iterable[Any]) -> Groups:
    """The groups of job rows, as far as they have one."""
    return {(row.batch_id, row.twin_no) for row in rows if row.twin_no is not None}


def find_groups(tx: Connection, job_ids: Sequence[str]) -> Groups:
    """The groups of these jobs."""
    named = sa.select(jobs.c.batch_id, jobs.c.twin_no).where(
        jobs.c.id.in_(job_ids), jobs.c.twin_no.is_not(None)
    )
    return name_groups(tx.execute(named))


def lock(tx: Connection, groups: Groups) -> None:
    """Locks the twins that wait: PostgreSQL's deadlocks are rare if everybody locks jobs before
    batches."""
    for batch_id, numbers in _by_batch(groups):
        waiting = sa.select(jobs.c.seq).where(*_are_waiting(batch_id, numbers))
        tx.execute(waiting.order_by(jobs.c.seq).with_for_update())


def _by_batch(groups: Groups) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for batch_id, number in sorted(groups):
        found.setdefault(batch_id, []).append(number)
    return list(found.items())


def _are_waiting(batch_id: str, numbers: Sequence[int]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        jobs.c.batch_id == batch_id,
        jobs.c.twin_no.in_(numbers),
        jobs.c.state == JobState.QUEUED,
        jobs.c.is_twin,
    )


def place(tx: Connection, rows: Sequence[dict[str, Any]]) -> Groups:
    """Marks which of a batch's new lines wait for another, before they are stored. Returns the
    groups that have their answer already: answer() them once the lines are there."""
    named = {row["twin_no"] for row in rows if row["twin_no"] is not None}
    if not named:
        return set()
    batch_id = rows[0]["batch_id"]
    states = _read_states(tx, batch_id, sorted(named))
    served = {number for number, found in states.items() if found & {*_OPEN, JobState.SUCCEEDED}}
    for row in rows:
        if row["twin_no"] is None or row["state"] != JobState.QUEUED:
            continue
        if row["twin_no"] in served:
            row.update(is_twin=True, held=True)
        served.add(row["twin_no"])
    return {(batch_id, n) for n, found in states.items() if JobState.SUCCEEDED in found}


def _read_states(tx: Connection, batch_id: str, numbers: Sequence[int]) -> dict[int, set[str]]:
    known = sa.select(jobs.c.twin_no, jobs.c.state).where(
        jobs.c.batch_id == batch_id, jobs.c.twin_no.in_(numbers)
    )
    found: dict[int, set[str]] = {}
    for number, state in tx.execute(known.distinct()):
        found.setdefault(number, set()).add(state)
    return found


def answer(tx: Connection, groups: Groups) -> None:
    """Ends the twins of groups of which a line has succeeded, with its answer, in the group of
    endings that is open in their batch."""
    for batch_id, numbers in _by_batch(groups):
        waiting = _are_waiting(batch_id, numbers)
        found = sa.select(jobs.c.twin_no).where(*waiting).distinct()
        for number in tx.execute(found).scalars().all():
            _answer_group(tx, batch_id, number)


def _answer_group(tx: Connection, batch_id: str, number: int) -> None:
    origin = _find_origin(tx, batch_id, number)
    if origin is None:
        return
    waiting = _are_waiting(batch_id, [number])
    _copy_result(tx, origin, waiting)
    ending = sa.update(jobs).where(*waiting)
    ended_no = endings.current_group()
    count = tx.execute(
        ending.values(state=JobState.SUCCEEDED, finished_at=time.time(), ended_no=ended_no)
    ).rowcount
    prompt, completion = count * origin["prompt_tokens"], count * origin["completion_tokens"]
    more = {
        "completed": count,
        "input_tokens": prompt,
        "cached_tokens": prompt,
        "output_tokens": completion,
        "reused_lines": count,
        "reused_tokens": completion,
    }
    counting = sa.update(batches).where(batches.c.id == batch_id)
    tx.execute(counting.values({name: batches.c[name] + more[name] for name in more}))


def _find_origin(tx: Connection, batch_id: str, number: int) -> Mapping[str, Any] | None:
    """The line of the group that was run and succeeded, with what its answer cost."""
    columns = (results.c.prompt_tokens, results.c.completion_tokens)
    joined = jobs.join(results, results.c.job_id == jobs.c.id)
    ran = (jobs.c.batch_id == batch_id, jobs.c.twin_no == number, ~jobs.c.is_twin)
    query = sa.select(jobs.c.id, jobs.c.custom_id, *columns).select_from(joined).where(*ran)
    found = tx.execute(query.where(jobs.c.state == JobState.SUCCEEDED)).mappings().first()
    return None if found is None else dict(found)


def _copy_result(
    tx: Connection, origin: Mapping[str, Any], waiting: tuple[sa.ColumnElement[bool], ...]
) -> None:
    """One statement, however many there are. The whole prompt counts as cached."""
    source = {"job_id": origin["id"], "custom_id": origin["custom_id"]}
    made = {
        "job_id": jobs.c.id,
        "attempt": jobs.c.attempt,
        "cached_tokens": results.c.prompt_tokens,
        "created_at": sa.literal(time.time(), sa.Float()),
        "reused_from": sa.literal(source, results.c.reused_from.type),
        **{name: results.c[name] for name in _SHARED},
    }
    pairs = jobs.join(results, results.c.job_id == origin["id"])
    copies = sa.select(*made.values()).select_from(pairs).where(*waiting)
    tx.execute(sa.insert(results).from_select(list(made), copies))


def free(tx: Connection, groups: Groups) -> None:
    """Lets the next twin run in groups in which nobody else will."""
    for batch_id, numbers in _by_batch(groups):
        other = jobs.alias("other")
        runs = sa.exists().where(
            other.c.batch_id == jobs.c.batch_id,
            other.c.twin_no == jobs.c.twin_no,
            other.c.state.in_([*_OPEN, JobState.SUCCEEDED.value]),
            ~other.c.is_twin,
        )
        waiting = (*_are_waiting(batch_id, numbers), ~runs)
        first = sa.select(sa.func.min(jobs.c.line_no)).where(*waiting).group_by(jobs.c.twin_no)
        if chosen := list(tx.execute(first).scalars()):
            is_paused = sa.select(batches.c.paused_at.is_not(None)).where(batches.c.id == batch_id)
            freeing = sa.update(jobs).where(jobs.c.batch_id == batch_id)
            freeing = freeing.where(jobs.c.line_no.in_(chosen))
            tx.execute(freeing.values(is_twin=False, held=is_paused.scalar_subquery()))


@retries.repeat
def mend(db: Database) -> int:
    """Serves twins that wait for nobody any more, as when the line before them was deleted:
    answers or frees them. Returns in how many groups."""
    with db.read() as tx:
        lost = _find_lost(tx)
    if lost:
        with db.write() as tx:
            lock(tx, lost)
            endings.open_groups(tx, {batch_id for batch_id, _ in lost})
            answer(tx, lost)
            free(tx, lost)
    return len(lost)


def _find_lost(tx: Connection) -> Groups:
    other = jobs.alias("other")
    active = (BatchState.IN_PROGRESS.value, BatchState.CANCELLING.value)
    runs = sa.exists().where(
        other.c.batch_id == jobs.c.batch_id,
        other.c.twin_no == jobs.c.twin_no,
        other.c.state.in_(_OPEN),
        ~other.c.is_twin,
    )
    waiting = (jobs.c.state == JobState.QUEUED, jobs.c.is_twin, jobs.c.twin_no.is_not(None), ~runs)
    joined = batches.join(jobs, jobs.c.batch_id == batches.c.id)
    found = sa.select(jobs.c.batch_id, jobs.c.twin_no).select_from(joined).distinct()
    found = found.where(batches.c.status.in_(active), *waiting)
    return name_groups(tx.execute(found.limit(_PIECE)))


def count_waiting(tx: Connection, batch_id: str, limit: int) -> int:
    """The lines of the batch that wait for an identical one, counted up to `limit`."""
    waiting = (jobs.c.batch_id == batch_id, jobs.c.state == JobState.QUEUED, jobs.c.is_twin)
    bounded = sa.select(jobs.c.seq).where(*waiting, jobs.c.twin_no.is_not(None)).limit(limit)
    return tx.execute(sa.select(sa.func.count()).select_from(bounded.subquery())).scalar_one()
