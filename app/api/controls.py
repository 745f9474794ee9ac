"""What can be done to a batch beside cancelling it: pause, resume, run its lost lines again."""

import hashlib

import flask
from flask_openapi.blueprint import APIBlueprint

from app import clock, queue
from app.api import (
    answers,
    batches,
    carrying,
    context,
    idempotency,
    language,
    schemas,
    uploads,
)
from app.errors import Busy, Conflict, Contention, Full, NotFound
from app.models import batches as batch_store
from app.models import deliveries, files, pauses
from app.models import lines as line_store
from app.models.states import ENDED
from app.wire import ids
from app.wire.rows import Batch, File, NewBatch

_FILE_SECONDS = 30 * 24 * 3600

routes = APIBlueprint(
    "controls", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.CHANGES
)


@routes.post(f"{batches.PATH}/<batch_id>/pause", responses={"200": answers.BatchObject})
def pause(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """Let no more lines of the batch begin. What runs is finished. The body is not read."""
    current, caller = context.current(), context.caller()
    paused = pauses.pause(current.db, caller.tenant_id, path.batch_id)
    return flask.jsonify(current.outlook.show(paused))


@routes.post(f"{batches.PATH}/<batch_id>/resume", responses={"200": answers.BatchObject})
def resume(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """Let a paused batch go on. The body is not read."""
    current, caller = context.current(), context.caller()
    resumed = pauses.resume(current.db, caller.tenant_id, path.batch_id)
    if resumed.model is not None:
        current.publisher.hint(resumed.model, [])
    return flask.jsonify(current.outlook.show(resumed))


@routes.post(f"{batches.PATH}/<batch_id>/retry", responses={"200": answers.BatchObject})
def retry(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """Make a new batch of the lines that failed, expired or were cancelled. Answers that they follow
    on are kept. It keeps metadata and webhook. The body is not read."""
    current, caller = context.current(), context.caller()
    origin = batch_store.get(current.db, caller.tenant_id, path.batch_id)
    if origin.status not in ENDED:
        raise Conflict("batch_not_ended", status=origin.status)
    lost = line_store.list_lost(current.db, origin.id)
    if not lost.numbers:
        code = "nothing_to_retry" if origin.completed else "batch_not_run"
        raise Conflict(code, id=origin.id, status=origin.status)
    new, max_lines = _make_batch(origin), current.settings.queue.max_waiting_lines
    batch = batch_store.admit(current.db, new, max_lines=max_lines)  # before much is written
    if batch is None:
        batch = _create(new, _copy_lines(origin, lost, new.input_file_id), max_lines)
    return flask.jsonify(current.outlook.show(batch))


def _create(new: NewBatch, file: File, max_lines: int) -> Batch:
    """Stores and starts the batch of this file, which is removed if another one was first."""
    current = context.current()
    try:
        batch, is_new = batch_store.create(current.db, new, max_lines=max_lines)
    except (Busy, Conflict, Contention, Full):  # it is not stored; after another error it may be
        _remove(file)
        raise
    if is_new:
        current.publisher.control(queue.INGEST_TASK, batch_id=batch.id)
    else:
        _remove(file)
    return batch


def _remove(file: File) -> None:
    """The bytes first: of a full disk the row may not go before them."""
    current = context.current()
    (current.files_dir / file.path).unlink(missing_ok=True)
    files.delete(current.db, file.tenant_id, file.id)


def _copy_lines(origin: Batch, lost: line_store.Lost, file_id: str) -> File:
    """A new input file of this id with these lines of the old one."""
    current, now = context.current(), clock.latest()
    limits = current.settings.limits
    source = files.get(current.db, origin.tenant_id, origin.input_file_id, param="input_file_id")
    sink = uploads.Sink(current.files_dir, limits.max_file_bytes)
    flask.g.setdefault("sinks", []).append(sink)
    try:
        path = current.files_dir / source.path
        for line in carrying.copy(current.db, origin.id, lost, path, limits.max_line_bytes):
            sink.write(line)
    except FileNotFoundError as error:
        raise NotFound("file_content_missing", param="input_file_id", id=source.id) from error
    file = File(
        id=file_id,
        tenant_id=origin.tenant_id,
        key_id=context.caller().key_id,
        filename=f"{origin.id}_retry.jsonl",
        purpose="batch",
        bytes=sink.size,
        sha256=sink.sha256,
        path=file_id,
        created_at=now,
        expires_at=now + _FILE_SECONDS,
    )
    return sink.record(current.db, file)


def _make_batch(origin: Batch) -> NewBatch:
    """The new batch, of a file that is not there yet."""
    return NewBatch(
        tenant_id=origin.tenant_id,
        key_id=context.caller().key_id,
        endpoint=origin.endpoint,
        input_file_id=ids.make_file(),
        completion_window=origin.completion_window,
        window_seconds=batches.WINDOW_SECONDS[origin.completion_window],
        request_hash=hashlib.sha256(f"retry {origin.id}".encode()).hexdigest(),
        locale=language.choose(),
        idempotency_key=idempotency.read_key(),
        retry_seconds=idempotency.find_retry_seconds(),
        tries=idempotency.count_tries(),
        metadata=origin.metadata,
        output_expires_seconds=origin.output_expires_seconds,
        # checked when it is told, as every URL is, by the list of that time: see workers.outlet
        webhook=deliveries.find_url(context.current().db, origin.id),
        trace_id=flask.g.trace_id,
        retried_from=origin.id,
    )
