"""/v1/responses: answers that may be generated in the background, polled, and gone on with."""

from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app import clock
from app.api import (
    answers,
    context,
    hooks,
    idempotency,
    interactive,
    language,
    replays,
    schemas,
    streams,
)
from app.errors import BadRequest, NotFound
from app.intake import schemas as guides
from app.models import chains, jobs
from app.wire import beats, generation, objects, render, replies, responses
from app.wire.rows import Job, NewJob

PATH = responses.ENDPOINT
_CANCEL_SECONDS = 5.0  # how long a cancellation waits for the engine to let go

routes = APIBlueprint(
    "responses", __name__, abp_tags=[{"name": "responses"}], abp_responses=answers.WAITS
)


@routes.post(PATH, responses={"200": answers.ResponseObject})
def create(query: schemas.NoQuery, body: responses.Body) -> flask.Response:
    """Answer an input: at once, with `stream` while it is generated, or with `background` later."""
    if body.background and body.store is False:
        raise BadRequest("background_not_stored", param="store")
    job = _start(body)
    if body.background:
        return replays.answer(job) if body.stream else flask.jsonify(_show(job))
    if body.stream:
        return streams.answer(job, beats.Response(job))
    return flask.jsonify(_show(interactive.finish(job)))


def _start(body: responses.Body) -> Job:
    current = context.current()
    model = current.catalog.find(body.model)
    request = generation.extract(body, current.settings.limits)
    guides.check(request, PATH)
    _check_length(body, request)
    if body.stream:
        request["stream"] = True
    job, is_new = chains.create(
        current.db,
        _read_job(body, model.name, request),
        previous_id=body.previous_response_id,
        max_queued=current.backlog.find_cap(),
    )
    if is_new:
        current.publisher.hint(job.model, [job.id])
    return job


def _check_length(body: responses.Body, request: dict[str, Any]) -> None:
    """Of what is sent now; with the turns before it the worker counts again."""
    told = request.get("instructions")
    first = [] if told is None else [{"role": "system", "content": told}]
    catalog = context.current().catalog
    try:
        messages = {"messages": [*first, *responses.find_least(request)["messages"]]}
        catalog.check_length(catalog.find(body.model), request | messages)
    except BadRequest as error:
        raise responses.rename(error) from error


def _read_job(body: responses.Body, model: str, request: dict[str, Any]) -> NewJob:
    current, caller = context.current(), context.caller()
    wait_seconds = current.settings.limits.interactive_seconds
    return NewJob(
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        model=model,
        endpoint=PATH,
        request=request,
        idempotency_key=idempotency.read_key(),
        request_hash=idempotency.hash_body(),
        metadata=body.metadata,
        trace_id=flask.g.trace_id,
        expires_at=None if body.background else clock.latest() + wait_seconds,
        webhook=hooks.read(body.webhook),
        is_announced=bool(body.background),
    )


def _show(job: Job) -> dict[str, Any]:
    error = None
    if job.state == "failed":
        error = render.failure(job, language.explain)
    elif job.state == "expired":
        error = {"message": language.explain("job_expired", {}), "type": "server_error"}
    return replies.show(job, error)


@routes.get(f"{PATH}/<response_id>", responses={"200": answers.ResponseObject})
def read(path: schemas.ResponsePath, query: schemas.ResponseQuery) -> flask.Response:
    """One response; with `stream` its events, from the first on or after `starting_after`."""
    job = find(path.response_id)
    if not query.stream:
        if query.starting_after is not None:
            raise BadRequest("stream_options_alone", param="starting_after")
        return flask.jsonify(_show(job))
    if not job.request.get("stream"):
        raise BadRequest("response_not_streamed", param="stream", id=path.response_id)
    return replays.answer(job, after=-1 if query.starting_after is None else query.starting_after)


def find(response_id: str) -> Job:
    """The tenant's stored response; NotFound("response_not_found") otherwise."""
    tenant_id = context.caller().tenant_id
    try:
        job = jobs.get(context.current().db, tenant_id, replies.find_job_id(response_id))
    except NotFound:
        job = None
    if job is None or not replies.is_reply(job):
        raise NotFound("response_not_found", param="response_id", id=response_id)
    return job


@routes.post(f"{PATH}/<response_id>/cancel", responses={"200": answers.ResponseObject})
def cancel(path: schemas.ResponsePath, query: schemas.NoQuery) -> flask.Response:
    """Cancel a background response; one that has ended is returned as it is."""
    job = find(path.response_id)
    if not job.request["response"].get("background"):
        raise BadRequest("response_not_background", param="response_id", id=path.response_id)
    current = context.current()
    jobs.cancel(current.db, job.tenant_id, job.id)
    current.notifier.wait(job.id, _CANCEL_SECONDS)
    return flask.jsonify(_show(find(path.response_id)))


@routes.delete(f"{PATH}/<response_id>", responses={"200": answers.DeletedObject})
def delete(path: schemas.ResponsePath, query: schemas.NoQuery) -> flask.Response:
    """Delete a response; if it is not finished, its generation ends."""
    job = find(path.response_id)
    chains.delete(context.current().db, job.tenant_id, job.id)
    return flask.jsonify(objects.show_deleted("response", path.response_id))


@routes.get(f"{PATH}/<response_id>/deliveries", responses={"200": answers.ListObject})
def list_deliveries(path: schemas.ResponsePath, query: schemas.NoQuery) -> flask.Response:
    """What was told about a response, to whom, and how that went."""
    return hooks.show(find(path.response_id).id)
