"""/v1/batches, as OpenAI's clients call it. The control process reads the file and writes the
results; here the batch is only made, shown and cancelled."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app import queue
from app.api import answers, context, hooks, idempotency, language, schemas
from app.errors import BadRequest, NotFound
from app.models import batches, files
from app.wire import objects
from app.wire.rows import NewBatch

PATH = "/v1/batches"
WINDOW_SECONDS = {"24h": 24 * 3600}

routes = APIBlueprint(
    "batches", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.CHANGES
)


@routes.post(PATH, responses={"200": answers.BatchObject})
def create(query: schemas.NoQuery, body: schemas.BatchBody) -> flask.Response:
    """Make a batch of an uploaded file. Its lines are checked after the answer."""
    current = context.current()
    _check_purpose(body.input_file_id)
    batch, is_new = batches.create(
        current.db, _read_batch(body), max_lines=current.settings.queue.max_waiting_lines
    )
    if is_new:
        current.publisher.control(queue.INGEST_TASK, batch_id=batch.id)
    return flask.jsonify(current.outlook.show(batch))


def _check_purpose(file_id: str) -> None:
    """A file that is not there is no error here: the batch fails while it is validated."""
    try:
        file = files.get(context.current().db, context.caller().tenant_id, file_id)
    except NotFound:
        return
    if file.purpose != "batch":
        raise BadRequest("file_purpose", param="input_file_id", purpose=file.purpose)


def _read_batch(body: schemas.BatchBody) -> NewBatch:
    caller, expiry = context.caller(), body.output_expires_after
    return NewBatch(
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        endpoint=body.endpoint,
        input_file_id=body.input_file_id,
        completion_window=body.completion_window,
        window_seconds=WINDOW_SECONDS[body.completion_window],
        request_hash=idempotency.hash_body(),
        locale=language.choose(),
        idempotency_key=idempotency.read_key(),
        retry_seconds=idempotency.find_retry_seconds(),
        tries=idempotency.count_tries(),
        metadata=body.metadata,
        webhook=hooks.read(body.webhook),
        output_expires_seconds=None if expiry is None else expiry.seconds,
        trace_id=flask.g.trace_id,
    )


@routes.get(PATH, responses={"200": answers.BatchList})
def list_batches(query: schemas.Page) -> flask.Response:
    """The tenant's batches, newest first."""
    current = context.current()
    page, has_more = batches.list_page(
        current.db, context.caller().tenant_id, limit=query.limit, after=query.after
    )
    return flask.jsonify(objects.show_list(current.outlook.show_all(page), has_more=has_more))


@routes.get(f"{PATH}/<batch_id>", responses={"200": answers.BatchObject})
def read(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """One batch."""
    found = batches.get(context.current().db, context.caller().tenant_id, path.batch_id)
    return flask.jsonify(context.current().outlook.show(found))


@routes.post(f"{PATH}/<batch_id>/cancel", responses={"200": answers.BatchObject})
def cancel(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """Cancel a batch; what is done is kept. The body is not read."""
    found = batches.cancel(context.current().db, context.caller().tenant_id, path.batch_id)
    return flask.jsonify(context.current().outlook.show(found))
