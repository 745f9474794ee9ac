"""Jobs as clients see them: create, read, list, cancel, and the place in the queue."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import JSON
from sqlalchemy.engine import Connection, RowMapping

from app.errors import Conflict, NotFound
from app.models import bulk, deliveries, endings, retries, room, sizes, twins
from app.models.database import Database
from app.models.states import OPEN, JobState, sources
from app.models.tables import batches, jobs, results, sessions, workers
from app.wire import ids, responses
from app.wire.rows import Job, NewJob, Result

_POSITION_LIMIT = 10_000
_REPEATED = ("response", "instructions")
_ASIDE = {"webhook", "is_announced"}  # of a new job, but not in its row
_HIDDEN = {
    "key_id",
    "idempotency_key",
    "request_hash",
    "slot",
    "epoch",
    "held",
    "claimed_at",
    "ended_no",
    "twin_no",
}
JOB_COLUMNS = tuple(column for column in jobs.c if column.name not in _HIDDEN)
_NAMES = frozenset(column.name for column in JOB_COLUMNS)
_RESULT_COLUMNS = tuple(
    column.label(f"result_{column.name}")
    for column in results.c
    if column.name not in {"job_id", "attempt", "created_at"}
)
_RESULT_NAMES = {label.name.removeprefix("result_"): label.name for label in _RESULT_COLUMNS}
_REPEATED_NAMES = {name: f"request_{name}" for name in _REPEATED}


@retries.repeat
def create(db: Database, new: NewJob, *, max_queued: int | None = None) -> tuple[Job, bool]:
    """Stores a queued job; returns it and whether it is new.

    The same idempotency key, endpoint and body give the first job again. Raises Conflict
    ("idempotency_conflict") for the same key with another body or endpoint, NotFound
    ("session_not_found"), Busy ("queue_full") when `max_queued` jobs wait already that are no
    lines of batches.
    """
    with db.write() as tx:
        earlier = find_duplicate(tx, new)
        if earlier is not None:
            return earlier, False
        if new.session_id is not None:
            _require_session(tx, new.tenant_id, new.session_id)
        return place(tx, new, max_queued=max_queued), True


def place(tx: Connection, new: NewJob, *, max_queued: int | None) -> Job:
    """Stores a job whose session and key are checked; Busy("queue_full") without room."""
    if max_queued is not None:
        room.require_place(tx, max_queued)
    return _insert(tx, new)


def find_duplicate(tx: Connection, new: NewJob) -> Job | None:
    """The job that was made with this idempotency key; Conflict if it came with another body or to
    another endpoint."""
    if new.idempotency_key is None:
        return None
    same_key = (jobs.c.tenant_id == new.tenant_id, jobs.c.idempotency_key == new.idempotency_key)
    compared = (jobs.c.id, jobs.c.endpoint, jobs.c.request_hash)
    row = tx.execute(sa.select(*compared).where(*same_key)).one_or_none()
    if row is None:
        require_unused(tx, batches, new.tenant_id, new.idempotency_key)
        return None
    if (row.endpoint, row.request_hash) != (new.endpoint, new.request_hash):
        raise Conflict("idempotency_conflict", param="Idempotency-Key")
    return _load(tx, jobs.c.id == row.id)


def require_unused(tx: Connection, elsewhere: sa.Table, tenant_id: str, key: str | None) -> None:
    """Conflict("idempotency_conflict") if the key came with a call that made something `elsewhere`:
    among the batches or among the jobs."""
    same = (elsewhere.c.tenant_id == tenant_id, elsewhere.c.idempotency_key == key)
    if tx.execute(sa.select(elsewhere.c.id).where(*same).limit(1)).one_or_none() is not None:
        raise Conflict("idempotency_conflict", param="Idempotency-Key")


def _require_session(tx: Connection, tenant_id: str, session_id: str) -> None:
    """Locks the session's row: the order of a session's jobs is the order of their commits."""
    owned = (sessions.c.id == session_id, sessions.c.tenant_id == tenant_id)
    locked = sa.select(sessions.c.id).where(*owned).with_for_update(key_share=True)
    if tx.execute(locked).one_or_none() is None:
        raise NotFound("session_not_found", param="session_id", id=session_id)


def _insert(tx: Connection, new: NewJob) -> Job:
    now = time.time()
    values = {name: value for name, value in vars(new).items() if name not in _ASIDE} | {
        "id": ids.make_job(),
        "state": JobState.QUEUED.value,
        "created_at": now,
        "queued_at": now,
    }
    row = tx.execute(sa.insert(jobs).values(**values).returning(*JOB_COLUMNS)).mappings().one()
    if new.webhook or new.is_announced:
        deliveries.subscribe(tx, new.tenant_id, row["id"], new.webhook)
    return Job(**row)


def get(db: Database, tenant_id: str, job_id: str) -> Job:
    """The tenant's job with its result; NotFound("job_not_found") otherwise."""
    with db.look() as tx:
        job = _load(tx, jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
    if job is None:
        raise NotFound("job_not_found", param="id", id=job_id)
    return job


def _load(tx: Connection, *conditions: sa.ColumnElement[bool]) -> Job | None:
    row = tx.execute(with_results().where(*conditions)).mappings().one_or_none()
    return None if row is None else read_row(row)


def with_results() -> sa.Select[Any]:
    """Jobs beside their results, for `read_row`."""
    joined = jobs.outerjoin(results, results.c.job_id == jobs.c.id)
    return sa.select(*JOB_COLUMNS, *_RESULT_COLUMNS).select_from(joined)


def read_row(row: RowMapping | Mapping[str, Any]) -> Job:
    """A Job, with its Result, from a joined row."""
    job = {name: row[name] for name in _NAMES if name in row}
    if "request" not in job:
        repeated = {name: row[label] for name, label in _REPEATED_NAMES.items()}
        job["request"] = {name: value for name, value in repeated.items() if value is not None}
    if row["result_text"] is None:
        return Job(**job)
    result = Result(**{name: row[label] for name, label in _RESULT_NAMES.items()})
    return Job(**job, result=result)


def list_page(
    db: Database,
    tenant_id: str,
    *,
    limit: int,
    after: str | None = None,
    filters: Mapping[str, str] | None = None,
) -> tuple[list[Job], bool]:
    """The tenant's jobs, newest first, and whether more follow, as far as they are one page
    (app.models.sizes). `filters` compares columns (state, model, session_id, batch_id).
    NotFound("job_not_found") for an unknown `after`."""
    with db.read() as tx:
        query = with_results().where(jobs.c.tenant_id == tenant_id)
        for name, value in (filters or {}).items():
            query = query.where(jobs.c[name] == value)
        if after is not None:
            query = query.where(jobs.c.seq < _cursor(tx, tenant_id, after))
        query = query.order_by(jobs.c.seq.desc())
        number, has_more = sizes.fit(tx, query, limit, has_requests=True)
        rows = tx.execute(query.limit(number)).mappings().all()
    return [read_row(row) for row in rows], has_more


def _cursor(tx: Connection, tenant_id: str, job_id: str) -> int:
    owned = (jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
    seq = tx.execute(sa.select(jobs.c.seq).where(*owned)).scalar_one_or_none()
    if seq is None:
        raise NotFound("job_not_found", param="after", id=job_id)
    return int(seq)


def list_lines(
    db: Database, batch_id: str, *, after_line: int, limit: int, has_requests: bool = True
) -> list[Job]:
    """A page of a batch's jobs with results, in the order of its input lines. Without requests,
    `request` holds no prompt (a page of large ones would not fit into memory), but what a response
    object repeats of its request."""
    page = with_results() if has_requests else select_answers()
    page = page.where(jobs.c.batch_id == batch_id, jobs.c.line_no > after_line)
    return _read_page(db, page, limit, has_requests=has_requests)


def _read_page(
    db: Database, page: sa.Select[Any], limit: int, *, has_requests: bool = False
) -> list[Job]:
    """Fewer than `limit` where they are large: see app.models.sizes."""
    ordered = page.order_by(jobs.c.line_no)
    with db.look() as tx:
        number, _ = sizes.fit(tx, ordered, limit, has_requests=has_requests)
        found = bulk.read(tx.execute(ordered.limit(number))) if number else []
        return [read_row(row) for row in found]


def _repeat(name: str) -> sa.Label[Any]:
    """A field of the request, for responses alone."""
    is_reply = jobs.c.endpoint == responses.ENDPOINT
    found = sa.case((is_reply, jobs.c.request[name]), else_=sa.null())
    return sa.type_coerce(found, JSON).label(f"request_{name}")


def list_ended(db: Database, batch_id: str, *, after_line: int, limit: int) -> list[Job]:
    """The same of lines that have ended, without requests."""
    page = select_answers().where(
        jobs.c.batch_id == batch_id,
        jobs.c.line_no > after_line,
        jobs.c.state.not_in([state.value for state in OPEN]),
    )
    return _read_page(db, page, limit)


def select_answers(*more: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Jobs with results, of their requests no more than a response object repeats, and whatever
    columns `more` names."""
    page = with_results()
    rest = [c for c in page.selected_columns if c.name != "request"]
    return page.with_only_columns(*rest, *map(_repeat, _REPEATED), *more)


@retries.repeat
def cancel(db: Database, tenant_id: str, job_id: str) -> Job:
    """Cancels a queued job at once, asks a running one to stop, leaves an ended one as it is.
    NotFound("job_not_found") otherwise."""
    owned = (jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
    with db.write() as tx:
        cancel_where(tx, *owned, reason={"code": "job_cancelled", "values": {"id": job_id}})
        job = _load(tx, *owned)
    if job is None:
        raise NotFound("job_not_found", param="id", id=job_id)
    return job


def cancel_where(
    tx: Connection, *conditions: sa.ColumnElement[bool], reason: dict[str, Any] | None = None
) -> int:
    """Cancels the queued jobs that match, counted in their batches, and flags the running ones;
    returns how many ended. Where others wait for their answers, the next of them may be claimed.
    `reason` ("code", "values") is why, where it is not the cancellation of a whole batch."""
    is_queued = jobs.c.state == JobState.QUEUED
    to_ask = (*conditions, jobs.c.state.in_(sources(JobState.CANCELLED)))
    locked = sa.select(jobs.c.batch_id, jobs.c.twin_no).where(*to_ask).with_for_update()
    rows = tx.execute(locked).all()
    groups = twins.name_groups(rows)
    twins.lock(tx, groups)
    endings.open_groups(tx, {row.batch_id for row in rows})
    asking = sa.update(jobs).where(*to_ask)
    asking = asking.values(  # one statement: no job can change sides between two
        state=sa.case((is_queued, JobState.CANCELLED.value), else_=jobs.c.state),
        finished_at=sa.case((is_queued, time.time()), else_=jobs.c.finished_at),
        ended_no=sa.case((is_queued, endings.current_group()), else_=jobs.c.ended_no),
        cancel_requested=sa.true(),
        error=jobs.c.error if reason is None else reason,
    )
    rows = tx.execute(asking.returning(jobs.c.state, jobs.c.batch_id)).all()
    ended = [row.batch_id for row in rows if row.state == JobState.CANCELLED]
    count_failed(tx, Counter(filter(None, ended)), have_run=False)
    twins.free(tx, groups)
    return len(ended)


def count_failed(tx: Connection, failed: Counter[str], *, have_run: bool = True) -> None:
    """Adds to the `failed` count of batches: their jobs that ended without success."""
    for batch_id, number in failed.items():
        counting = sa.update(batches).where(batches.c.id == batch_id)
        unrun = batches.c.unrun + (0 if have_run else number)
        tx.execute(counting.values(failed=batches.c.failed + number, unrun=unrun))


def find_terminal(db: Database, job_ids: Sequence[str]) -> set[str]:
    """Which of these jobs have ended or were deleted. One statement for all waiters of a process."""
    is_open = jobs.c.state.in_([state.value for state in OPEN])
    with db.look() as tx:
        found = tx.execute(sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), is_open))
        return set(job_ids).difference(found.scalars())


def explain_wait(db: Database, job: Job) -> tuple[int, str]:
    """A queued job's place (1 = next; counted up to 10,000) and a reason code:
    batch_paused, twin_pending, session_turn_pending, no_worker, worker_loading or workers_busy."""
    with db.read() as tx:
        position = _count_ahead(tx, job) + 1
        if job.is_twin:
            return position, "twin_pending"
        held = sa.select(jobs.c.held).where(jobs.c.id == job.id)
        if tx.execute(held).scalar_one_or_none():
            return position, "batch_paused"
        if job.session_id is not None and _is_session_busy(tx, job):
            return position, "session_turn_pending"
        states = tx.execute(sa.select(workers.c.state).where(workers.c.model == job.model))
        return position, _worker_reason(set(states.scalars()))


def _count_ahead(tx: Connection, job: Job) -> int:
    """Ranges of one index rather than one OR, which would walk the whole queue."""
    more_urgent = (jobs.c.priority > job.priority,)
    alike = jobs.c.priority == job.priority
    before = (alike, jobs.c.place < job.place)
    earlier = (alike, jobs.c.place == job.place, jobs.c.seq < job.seq)
    waiting = (
        jobs.c.model == job.model,
        jobs.c.state == JobState.QUEUED,
        jobs.c.held == sa.false(),
    )
    number = sum(
        room.count(tx, _POSITION_LIMIT, *waiting, *each) for each in (more_urgent, before, earlier)
    )
    return min(number, _POSITION_LIMIT)


def _is_session_busy(tx: Connection, job: Job) -> bool:
    earlier = sa.select(jobs.c.seq).where(
        jobs.c.session_id == job.session_id,
        jobs.c.seq < job.seq,
        jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value]),
    )
    return tx.execute(earlier.limit(1)).first() is not None


def _worker_reason(states: set[str]) -> str:
    if "ready" in states:
        return "workers_busy"
    return "worker_loading" if "loading" in states else "no_worker"
