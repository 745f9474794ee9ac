"""Jobs that a call waits for: made, watched to their end, cancelled when the client hangs up and has
no key with which to ask for the answer again."""

from collections.abc import Callable
from typing import Any

import flask

from app import clock
from app.api import context, hangup, idempotency
from app.errors import ClientGone, Conflict, NotFound, Overdue, Unavailable
from app.models import jobs
from app.models.database import Database
from app.settings import Model
from app.wire import render
from app.wire.rows import Job, NewJob

LOOK_SECONDS = 0.5  # how soon it is noticed that a client has hung up


def start(
    model: Model, endpoint: str, request: dict[str, Any], *, metadata: dict[str, str] | None = None
) -> Job:
    """Stores an interactive job and wakes a worker; it outranks every line of a batch."""
    current, caller = context.current(), context.caller()
    new = NewJob(
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        model=model.name,
        endpoint=endpoint,
        request=request,
        idempotency_key=idempotency.read_key(),
        request_hash=idempotency.hash_body(),
        metadata=metadata,
        trace_id=flask.g.trace_id,
        expires_at=clock.latest() + current.settings.limits.interactive_seconds,
    )
    return submit(new)


def submit(new: NewJob) -> Job:
    """Stores a job and wakes a worker for it."""
    current = context.current()
    job, is_new = jobs.create(current.db, new, max_queued=current.backlog.find_cap())
    if is_new:
        current.publisher.hint(job.model, [job.id])
    return job


def finish(job: Job) -> Job:
    """The job once it has succeeded. Raises what else became of it, ClientGone (and gives the job
    up) when nobody waits any more."""
    wait(job, hangup.make_probe())
    return conclude(context.current().db, job)


def wait(job: Job, is_gone: Callable[[], bool]) -> None:
    """Returns when the job has ended or the API stops; gives it up when the client hangs up."""
    while not context.current().notifier.wait(job.id, LOOK_SECONDS):
        if is_gone():
            give_up(job)
            raise ClientGone("client_gone")


def give_up(job: Job) -> None:
    """Cancels the job of a call that ends without its answer. With an idempotency key it goes on:
    the client may ask again, and others may wait for it now."""
    if idempotency.read_key() is None:
        jobs.cancel(context.current().db, job.tenant_id, job.id)


def conclude(db: Database, job: Job) -> Job:
    """The succeeded job; raises Failed, Conflict, Overdue or Unavailable otherwise."""
    ended = jobs.get(db, job.tenant_id, job.id)
    if ended.finished_at is None:  # the API stops
        give_up(job)
        raise Unavailable("stopping")
    refuse_unsuccessful(ended)
    return ended


def refuse_unsuccessful(job: Job) -> None:
    """Raises what became of an ended job, unless it succeeded."""
    if job.state == "failed":
        raise render.as_error(job)
    if job.state == "cancelled":
        raise Conflict("job_cancelled", id=job.id)
    if job.state == "expired":
        raise Overdue("job_expired")
    if job.result is None:
        raise NotFound("job_not_found", param="id", id=job.id)
