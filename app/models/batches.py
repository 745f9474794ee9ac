"""Batches: their life from an uploaded file to output files. Every step may be repeated."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app import clock
from app.errors import Conflict, NotFound
from app.models import bulk, cursors, deliveries, lineage, picks, retries, room, twins
from app.models import jobs as job_store
from app.models.database import Database
from app.models.states import CANCELLABLE, BatchState, JobState
from app.models.tables import batches, jobs, tenants
from app.wire import ids
from app.wire.rows import Batch, Line, NewBatch

_OVERTAKEN_SECONDS = 30.0  # a first try hardly arrives later than this after one of its retries
_NOT_STORED = ("window_seconds", "retry_seconds", "webhook")
_HIDDEN = ("idempotency_key", "announced_at", "input_sha256", "manifest", "tries")
_COLUMNS = tuple(column for column in batches.c if column.name not in _HIDDEN)
# Built once: they answer every poll.
_BY_ID = sa.select(*_COLUMNS).where(batches.c.id == sa.bindparam("batch_id"))
_RETRIES = (
    sa.select(batches.c.retried_from, batches.c.id)
    .where(batches.c.retried_from.in_(sa.bindparam("origins", expanding=True)))
    .order_by(batches.c.seq)
)


@retries.repeat
def create(db: Database, new: NewBatch, *, max_lines: int | None = None) -> tuple[Batch, bool]:
    """Stores a batch in `validating`; returns it and whether it is new. The same idempotency key
    and body give the first one again, another body raises Conflict("idempotency_conflict"). So
    does a client's own retry (`retry_seconds`) of the same body with the same API key, and a first try
    (`tries` 0) that arrives after its own retry, the first such one. Busy("batches_full") when
    `max_lines` lines of batches wait already."""
    with db.write() as tx:
        earlier = _admit(tx, new, max_lines)
        return (earlier, False) if earlier else (_insert(tx, new), True)


@retries.repeat
def admit(db: Database, new: NewBatch, *, max_lines: int | None = None) -> Batch | None:
    """The batch that `create` would give again, None if it would store this one; raises what it
    would. For a caller who has much to write first."""
    with db.write() as tx:
        return _admit(tx, new, max_lines)


def _admit(tx: Connection, new: NewBatch, max_lines: int | None) -> Batch | None:
    _lock_tenant(tx, new.tenant_id)
    earlier = _find_duplicate(tx, new) if new.idempotency_key else _find_first_try(tx, new)
    if earlier is None and max_lines is not None:
        room.require_lines(tx, max_lines)
    return earlier


def _lock_tenant(tx: Connection, tenant_id: str) -> None:
    """One creation at a time for each tenant: a retry must see the try that is still under way."""
    tx.execute(sa.select(tenants.c.id).where(tenants.c.id == tenant_id).with_for_update())


def _find_first_try(tx: Connection, new: NewBatch) -> Batch | None:
    """What an earlier try of the same call made; its client sent no idempotency key either."""
    recent = _may_be_same(new)
    if recent is None:
        return None
    alike = sa.select(*_COLUMNS).where(
        batches.c.tenant_id == new.tenant_id,
        batches.c.key_id.is_not_distinct_from(new.key_id),
        batches.c.idempotency_key.is_(None),
        batches.c.request_hash == new.request_hash,
        recent,
    )
    row = tx.execute(alike.order_by(batches.c.seq.desc()).limit(1)).mappings().one_or_none()
    if row is None:
        return None
    if new.tries == 0:  # it has arrived: another first try is another call
        tx.execute(sa.update(batches).where(batches.c.id == row["id"]).values(tries=0))
    return Batch(**row)


def _may_be_same(new: NewBatch) -> sa.ColumnElement[bool] | None:
    """Which batches another try of this call can have made: for a retry whatever is young enough,
    for a first try that was overtaken by its own retries what one of them made just now."""
    now = clock.earliest()
    if new.retry_seconds is not None:
        return batches.c.created_at >= now - new.retry_seconds
    if new.tries == 0:
        return sa.and_(batches.c.tries > 0, batches.c.created_at >= now - _OVERTAKEN_SECONDS)
    return None


def _find_duplicate(tx: Connection, new: NewBatch) -> Batch | None:
    same_key = (
        batches.c.tenant_id == new.tenant_id,
        batches.c.idempotency_key == new.idempotency_key,
    )
    row = tx.execute(sa.select(*_COLUMNS).where(*same_key)).mappings().one_or_none()
    if row is not None and row["request_hash"] != new.request_hash:
        raise Conflict("idempotency_conflict", param="Idempotency-Key")
    if row is None:
        job_store.require_unused(tx, jobs, new.tenant_id, new.idempotency_key)
        return None
    return Batch(**row)


def _insert(tx: Connection, new: NewBatch) -> Batch:
    now = clock.latest()
    fields = {name: value for name, value in vars(new).items() if name not in _NOT_STORED}
    next_seq = sa.select(sa.func.coalesce(sa.func.max(batches.c.seq), 0) + 1).scalar_subquery()
    values = fields | {
        "id": ids.make_batch(),
        "seq": next_seq,
        "status": BatchState.VALIDATING.value,
        "created_at": now,
        "expires_at": now + new.window_seconds,
    }
    row = tx.execute(sa.insert(batches).values(**values).returning(*_COLUMNS)).mappings().one()
    if new.webhook:
        deliveries.subscribe(tx, new.tenant_id, row["id"], new.webhook)
    return Batch(**row)


def get(db: Database, tenant_id: str, batch_id: str, *, param: str = "id") -> Batch:
    """The tenant's batch; NotFound("batch_not_found") otherwise. `param` is what the client calls
    the id."""
    batch = find(db, batch_id)
    if batch is None or batch.tenant_id != tenant_id:
        raise NotFound("batch_not_found", param=param, id=batch_id)
    return batch


def find(db: Database, batch_id: str) -> Batch | None:
    """Any tenant's batch, for the control process."""
    with db.look() as tx:
        return _load(tx, batch_id)


def _load(tx: Connection, batch_id: str) -> Batch | None:
    row = tx.execute(_BY_ID, {"batch_id": batch_id}).mappings().one_or_none()
    return None if row is None else Batch(**row)


def list_page(
    db: Database, tenant_id: str, *, limit: int, after: str | None = None
) -> tuple[list[Batch], bool]:
    """The tenant's batches, newest first, and whether more follow."""
    query = sa.select(*_COLUMNS).where(batches.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(batches.c.seq < _find_place(db, tenant_id, after))
    with db.look() as tx:
        rows = tx.execute(query.order_by(batches.c.seq.desc()).limit(limit + 1)).mappings().all()
    return [Batch(**row) for row in rows[:limit]], len(rows) > limit


def _find_place(db: Database, tenant_id: str, batch_id: str) -> int:
    """Where a page goes on, also after a batch that was forgotten meanwhile."""
    place = cursors.find(db, tenant_id, batch_id)
    return get(db, tenant_id, batch_id, param="after").seq if place is None else int(place)


def find_retries(db: Database, batch_ids: Sequence[str]) -> dict[str, list[str]]:
    """For each of these batches that was run again: the batches that did, oldest first."""
    found: dict[str, list[str]] = {}
    with db.look() as tx:
        for origin, batch_id in tx.execute(_RETRIES, {"origins": list(batch_ids)}):
            found.setdefault(origin, []).append(batch_id)
    return found


@retries.repeat
def cancel(db: Database, tenant_id: str, batch_id: str) -> Batch:
    """Starts cancelling: queued lines end, running ones may finish. A batch that is cancelling or
    cancelled is returned as it is. Conflict("batch_not_cancellable") for one that has ended
    otherwise."""
    batch = get(db, tenant_id, batch_id)
    with db.write() as tx:
        stamp = {"cancelling_at": clock.latest()}
        if _move(tx, batch_id, CANCELLABLE, BatchState.CANCELLING, stamp):
            job_store.cancel_where(tx, jobs.c.batch_id == batch_id)
        batch = _load(tx, batch_id) or batch
    if batch.status not in (BatchState.CANCELLING, BatchState.CANCELLED):
        raise Conflict("batch_not_cancellable", status=batch.status)
    return batch


def _move(
    tx: Connection,
    batch_id: str,
    origin: Sequence[BatchState],
    target: BatchState,
    values: dict[str, Any],
) -> bool:
    moving = sa.update(batches).where(
        batches.c.id == batch_id, batches.c.status.in_([state.value for state in origin])
    )
    return tx.execute(moving.values(status=target.value, **values)).rowcount == 1


def accept(db: Database, batch_id: str, *, model: str | None, total: int) -> bool:
    """validating -> in_progress, once its file is checked. No model: no line of it can run."""
    values = {"model": model, "total": total, "in_progress_at": time.time()}
    with db.write() as tx:
        return _move(tx, batch_id, (BatchState.VALIDATING,), BatchState.IN_PROGRESS, values)


def refuse(db: Database, batch_id: str, problems: list[dict[str, Any]]) -> bool:
    """validating -> failed, with every bad line of its file."""
    values = {"errors": problems, "failed_at": time.time()}
    with db.write() as tx:
        return _move(tx, batch_id, (BatchState.VALIDATING,), BatchState.FAILED, values)


class UnstorableError(Exception):
    """The database cannot hold a line of a piece."""


@retries.repeat
def add_lines(db: Database, batch: Batch, lines: Sequence[Line], *, last_line: int) -> bool:
    """Stores a piece of a batch's lines as jobs and remembers how far it came (`last_line`).

    Safe to repeat: a line that is there already is left as it is. A line with a problem is stored
    as failed, every line of a batch that is being cancelled as cancelled; both are counted. A line
    whose twin has been answered is answered too. False if the batch takes no more lines.
    UnstorableError: nothing was stored, as a line would be refused again for what it holds.
    """
    with db.write() as tx:
        locked = sa.select(
            batches.c.status, batches.c.lines_ingested, batches.c.settles, batches.c.paused_at
        ).where(batches.c.id == batch.id)
        row = tx.execute(locked.with_for_update()).one_or_none()
        if row is None or row.status not in (BatchState.IN_PROGRESS, BatchState.CANCELLING):
            return False
        fresh = [line for line in lines if line.line_no > row.lines_ingested]
        fresh = lineage.check_sessions(tx, batch.tenant_id, fresh)
        rows = [_line_row(batch, line, row) for line in fresh]
        answered = twins.place(tx, rows)
        try:
            bulk.insert(tx, jobs, rows)
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            raise UnstorableError from error
        counting = sa.update(batches).where(batches.c.id == batch.id)
        num_ended = sum(row["state"] != JobState.QUEUED for row in rows)
        tx.execute(
            counting.values(
                settles=row.settles + 1,
                lines_ingested=max(last_line, row.lines_ingested),
                failed=batches.c.failed + num_ended,
                unrun=batches.c.unrun + num_ended,
            )
        )
        twins.answer(tx, answered)
        return True


def _first_state(status: str, line: Line) -> JobState:
    if status == BatchState.CANCELLING:
        return JobState.CANCELLED
    return JobState.QUEUED if line.problem is None else JobState.FAILED


def _line_row(batch: Batch, line: Line, current: Any) -> dict[str, Any]:
    """`current`: the batch's row as it is now."""
    now, state = time.time(), _first_state(current.status, line)
    failure = line.problem.as_json() if line.problem and state == JobState.FAILED else None
    return {
        "id": ids.make_job(),
        "tenant_id": batch.tenant_id,
        "key_id": batch.key_id,
        "kind": line.kind,
        "model": line.model,
        "endpoint": batch.endpoint,
        "state": state.value,
        "priority": room.BATCH_PRIORITY,
        "request": line.request,
        "batch_id": batch.id,
        "custom_id": line.custom_id,
        "session_id": line.session_id,
        "parent_line": line.parent_line,
        "line_no": line.line_no,
        "twin_no": line.twin_no,
        "is_twin": False,
        "place": picks.name_place(batch.seq, line.place_key),
        "error": failure,
        "trace_id": batch.trace_id,
        "created_at": now,
        "queued_at": now,
        "finished_at": None if state == JobState.QUEUED else now,
        "expires_at": batch.expires_at,
        "held": current.paused_at is not None,
        "ended_no": None if state == JobState.QUEUED else current.settles + 1,
    }


def count_lines(db: Database, batch_id: str) -> int:
    """How many lines of the batch are stored."""
    stored = sa.select(sa.func.count()).where(jobs.c.batch_id == batch_id)
    with db.look() as tx:
        return tx.execute(stored).scalar_one()


def close_input(db: Database, batch_id: str, problems: list[dict[str, Any]]) -> None:
    """Lets the batch end with the lines that are stored, since no more can be read."""
    stored = sa.select(sa.func.count()).where(jobs.c.batch_id == batch_id).scalar_subquery()
    with db.write() as tx:
        closing = sa.update(batches).where(batches.c.id == batch_id)
        tx.execute(closing.values(total=stored, errors=problems))


def find_unfinished(db: Database) -> list[Batch]:
    """Batches that the control process has something to do for: to check or ingest
    (validating, or in_progress/cancelling with lines missing), to expire, or to finalize."""
    waiting = batches.c.status.in_(
        [
            BatchState.VALIDATING.value,
            BatchState.IN_PROGRESS.value,
            BatchState.CANCELLING.value,
            BatchState.FINALIZING.value,
        ]
    )
    with db.look() as tx:
        rows = tx.execute(sa.select(*_COLUMNS).where(waiting).order_by(batches.c.seq)).mappings()
        return [Batch(**row) for row in rows]


def has_expired_jobs(db: Database, batch_id: str) -> bool:
    """Whether any line of the batch ran out of time."""
    expired = (jobs.c.batch_id == batch_id, jobs.c.state == JobState.EXPIRED)
    with db.read() as tx:
        return tx.execute(sa.select(jobs.c.seq).where(*expired).limit(1)).first() is not None


def start_finalizing(db: Database, batch_id: str) -> bool:
    """in_progress -> finalizing, when every line is stored and counted."""
    moving = sa.update(batches).where(
        batches.c.id == batch_id,
        batches.c.status == BatchState.IN_PROGRESS,
        batches.c.completed + batches.c.failed >= batches.c.total,
    )
    with db.write() as tx:
        values = {"status": BatchState.FINALIZING.value, "finalizing_at": time.time()}
        return tx.execute(moving.values(**values)).rowcount == 1


def finish(
    db: Database,
    batch_id: str,
    state: BatchState,
    *,
    output_file_id: str | None,
    error_file_id: str | None,
) -> bool:
    """finalizing | cancelling -> completed | expired | cancelled, with the files it produced."""
    origin = {
        BatchState.COMPLETED: BatchState.FINALIZING,
        BatchState.EXPIRED: BatchState.FINALIZING,
        BatchState.CANCELLED: BatchState.CANCELLING,
    }[state]
    values = {
        "output_file_id": output_file_id,
        "error_file_id": error_file_id,
        f"{state.value}_at": time.time(),
    }
    with db.write() as tx:
        return _move(tx, batch_id, (origin,), state, values)
