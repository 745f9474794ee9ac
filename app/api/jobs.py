"""/v1/jobs: submit, poll, list and cancel generation jobs."""

from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, hooks, idempotency, language, schemas
from app.errors import BadRequest
from app.intake import kinds
from app.intake import schemas as guides
from app.models import evidence, jobs
from app.settings import Model
from app.wire import generation, history, objects
from app.wire.rows import Job, NewJob

ENDPOINT = "/v1/jobs"
RETRY_SECONDS = 1  # when a client that does not wait should ask again
_HOPELESS = ("no_worker", "session_turn_pending")  # for a model that nobody will ever serve

routes = APIBlueprint("jobs", __name__, abp_tags=[{"name": "jobs"}], abp_responses=answers.CHANGES)


@routes.post(ENDPOINT, responses={"202": answers.JobObject})
def submit(query: schemas.NoQuery, body: schemas.JobBody) -> flask.Response:
    """Accept a job; it is stored before the answer is sent."""
    current = context.current()
    job, is_new = jobs.create(current.db, _read_job(body), max_queued=current.backlog.find_cap())
    if is_new:
        current.publisher.hint(job.model, [job.id])
    response = flask.jsonify(_show(job))
    response.status_code = 202
    response.headers["Location"] = f"{ENDPOINT}/{job.id}"
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _read_job(body: schemas.JobBody) -> NewJob:
    current, caller = context.current(), context.caller()
    model = current.catalog.find(body.model)
    request = generation.extract(body, current.settings.limits)
    guides.check(request, ENDPOINT)
    return NewJob(
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        model=model.name,
        kind=body.kind,
        request=_make_request(body, model, request),
        priority=body.priority,
        session_id=body.session_id,
        idempotency_key=idempotency.read_key(),
        request_hash=idempotency.hash_body(),
        metadata=body.metadata,
        webhook=hooks.read(body.webhook),
        trace_id=flask.g.trace_id,
    )


def _make_request(body: schemas.JobBody, model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """A code job needs a conversation: its prompt is composed from several messages."""
    if body.kind != "code":
        if body.scope is not None:
            raise BadRequest("scope_without_code", param="scope")
        return _check_input(model, request, body)
    if body.scope is not None:
        kinds.check_scope(body.scope)
    chat, limit_name = _as_chat(request), generation.name_limit(body.max_completion_tokens)
    context.current().catalog.check_length(model, chat, limit_name=limit_name)
    return chat if body.scope is None else {**chat, "scope": body.scope}


def _check_input(model: Model, request: dict[str, Any], body: schemas.JobBody) -> dict[str, Any]:
    """The request as it is stored. A prompt is one user message; only a model that has no chat
    template gets it as raw text, and then without a session."""
    catalog = context.current().catalog
    chat, limit_name = _as_chat(request), generation.name_limit(body.max_completion_tokens)
    try:
        catalog.check_length(model, chat, limit_name=limit_name)
    except BadRequest as error:
        has_text = "prompt" in request and body.session_id is None
        if error.code != "no_chat_template" or not has_text:
            raise
        catalog.check_length(model, request, limit_name=limit_name)
        return request
    return chat


def _as_chat(request: dict[str, Any]) -> dict[str, Any]:
    if "prompt" not in request:
        return request
    rest = {name: value for name, value in request.items() if name != "prompt"}
    return {"messages": [{"role": "user", "content": request["prompt"]}], **rest}


@routes.get(ENDPOINT, responses={"200": answers.ListObject})
def list_jobs(query: schemas.JobPage) -> flask.Response:
    """The tenant's jobs, newest first."""
    current = context.current()
    page, has_more = jobs.list_page(
        current.db,
        context.caller().tenant_id,
        limit=query.limit,
        after=query.after,
        filters=_read_filters(query),
    )
    shown = [objects.show_job(job, language.explain) for job in page]
    return flask.jsonify(objects.show_list(shown, has_more=has_more))


def _read_filters(query: schemas.JobPage) -> dict[str, str]:
    """Columns and the values they must have."""
    filters = query.model_dump(include={"session_id", "batch_id"}, exclude_none=True)
    if query.status is not None:
        filters["state"] = query.status
    if query.model is not None:
        filters["model"] = context.current().catalog.find(query.model).name
    return filters


@routes.get(f"{ENDPOINT}/<job_id>", responses={"200": answers.JobObject})
def read(path: schemas.JobPath, query: schemas.Wait) -> flask.Response:
    """One job; with `wait`, answers as soon as it has ended or when the seconds have passed."""
    current, tenant_id = context.current(), context.caller().tenant_id
    longest = current.settings.limits.max_wait_seconds
    if query.wait > longest:
        raise BadRequest("out_of_range", param="wait", value=query.wait, allowed=f"<= {longest}")
    job = jobs.get(current.db, tenant_id, path.job_id)
    if query.wait and job.finished_at is None:
        current.notifier.wait(job.id, query.wait)
        job = jobs.get(current.db, tenant_id, path.job_id)
    response = flask.jsonify(_show(job))
    if job.finished_at is None:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


@routes.post(f"{ENDPOINT}/<job_id>/cancel", responses={"200": answers.JobObject})
def cancel(path: schemas.JobPath, query: schemas.NoQuery) -> flask.Response:
    """Cancel a job: at once if it waits, at the next step if it runs. The body is not read."""
    job = jobs.cancel(context.current().db, context.caller().tenant_id, path.job_id)
    return flask.jsonify(_show(job))


def _show(job: Job) -> dict[str, Any]:
    position, reason = None, None
    if job.state == "queued":
        position, reason = jobs.explain_wait(context.current().db, job)
        if reason in _HOPELESS and not _is_served(job.model):
            reason = "model_not_served"
    shown = objects.show_job(job, language.explain, position=position, reason=reason)
    return {**shown, "evidence": _show_evidence(job)}


def _show_evidence(job: Job) -> list[dict[str, Any]]:
    """What was left by each worker that died with this job."""
    left = evidence.find(context.current().db, job.id) if job.crashes else {}
    return [
        {"attempt": number, **(history.show_evidence(each) or {})} for number, each in left.items()
    ]


def _is_served(model: str) -> bool:
    """Whether the model's own name stands in the configuration; workers know no aliases."""
    return any(model == each.name for each in context.current().settings.models)
