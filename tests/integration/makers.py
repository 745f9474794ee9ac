"""Rows for tests: one call makes what a client, a worker or an upload would make."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from app.models import batches, claims, jobs, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import WorkerState
from app.wire.rows import Batch, Job, Line, NewBatch, NewJob, Outcome, Problem, Result

MODEL = "m"
ENDPOINT = "/v1/chat/completions"
_DAY_SECONDS = 86_400


def add_job(db: Database, **changes: Any) -> Job:
    return jobs.create(db, new_job(**changes))[0]


def new_job(**changes: Any) -> NewJob:
    request = {"messages": [{"role": "user", "content": "hi"}], "sampling": {}}
    fields = {"tenant_id": DEFAULT_TENANT, "key_id": None, "model": MODEL, "request": request}
    return NewJob(**(fields | changes))


def add_worker(
    db: Database, slot: str = "h/cpu:0", model: str = MODEL, max_attempts: int = 3
) -> Holder:
    """A worker that owns its slot and can claim."""
    identity = workers.Identity(slot, model, "h", 1, 1)
    holder, _ = workers.enroll(db, identity, max_attempts=max_attempts)
    workers.update(db, holder, state=WorkerState.READY.value)
    return holder


def take(db: Database, holder: Holder, limit: int = 100, may_isolate: bool = True) -> list[Job]:
    return claims.claim(db, holder, MODEL, limit=limit, may_isolate=may_isolate)


def succeed(job: Job, text: str = "done") -> Outcome:
    result = Result(text, "stop", 3, 2, 1, {"weights_sha256": "0" * 64})
    said = [{"role": "user", "content": "hi"}] if job.session_id else None
    return Outcome(job.id, job.attempt, "succeeded", result, messages=said)


def fail(job: Job, code: str = "context_length_exceeded") -> Outcome:
    return Outcome(job.id, job.attempt, "failed", problem=Problem(code))


def add_batch(db: Database, num_lines: int = 0, **changes: Any) -> Batch:
    """A batch; with lines it is in progress and all of them are stored."""
    batch = batches.create(db, new_batch(**changes))[0]
    if num_lines:
        batches.accept(db, batch.id, model=MODEL, total=num_lines)
        batches.add_lines(db, batch, make_lines(range(1, num_lines + 1)), last_line=num_lines)
    return reload(db, batch)


def new_batch(**changes: Any) -> NewBatch:
    fields = {
        "tenant_id": DEFAULT_TENANT,
        "key_id": None,
        "endpoint": ENDPOINT,
        "input_file_id": "file-in",
        "completion_window": "24h",
        "window_seconds": _DAY_SECONDS,
        "request_hash": "h",
        "locale": "en-US",
    }
    return NewBatch(**(fields | changes))


def make_lines(numbers: Sequence[int] | range) -> list[Line]:
    request = {"messages": [{"role": "user", "content": "hi"}], "sampling": {}}
    return [Line(number, f"c{number}", MODEL, request) for number in numbers]


def reload(db: Database, batch: Batch) -> Batch:
    found = batches.find(db, batch.id)
    assert found is not None
    return found


def age(db: Database, table: str, column: str, seconds: float) -> None:
    """Moves a time column of all rows into the past: tests wait for nothing."""
    with db.write() as tx:
        moving = sa.text(f"UPDATE {table} SET {column} = :moment")
        tx.execute(moving, {"moment": time.time() - seconds})
