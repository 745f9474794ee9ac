"""/v1/chat/completions and /v1/completions: interactive jobs that the call waits for."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, interactive, schemas, streams
from app.errors import BadRequest
from app.intake import schemas as guides
from app.wire import bodies, events, generation, render
from app.wire.rows import Job

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"

routes = APIBlueprint(
    "completions", __name__, abp_tags=[{"name": "completions"}], abp_responses=answers.WAITS
)


@routes.post(CHAT, responses={"200": answers.ChatCompletion})
def create_chat(query: schemas.NoQuery, body: bodies.Chat) -> flask.Response:
    """Answer a conversation; with `stream`, while the answer is generated."""
    return _answer(body, CHAT)


@routes.post(TEXT, responses={"200": answers.TextCompletion})
def create_text(query: schemas.NoQuery, body: bodies.Completion) -> flask.Response:
    """Go on with a raw text; with `stream`, while it is generated."""
    return _answer(body, TEXT)


def _answer(body: bodies.Chat | bodies.Completion, endpoint: str) -> flask.Response:
    if body.stream_options is not None and not body.stream:
        raise BadRequest("stream_options_alone", param="stream_options")
    job = _start(body, endpoint)
    if body.stream:
        has_usage = bool(body.stream_options and body.stream_options.include_usage)
        return streams.answer(job, events.Completion(job, has_usage=has_usage))
    ended = interactive.finish(job)
    assert ended.result is not None
    return flask.jsonify(render.completion(ended, ended.result))


def _start(body: bodies.Chat | bodies.Completion, endpoint: str) -> Job:
    current = context.current()
    model = current.catalog.find(body.model)
    request = generation.extract(body, current.settings.limits)
    guides.check(request, endpoint)
    limit_name = generation.name_limit(body.max_completion_tokens)
    current.catalog.check_length(model, request, limit_name=limit_name)
    if body.stream:
        request["stream"] = True
    return interactive.start(model, endpoint, request, metadata=body.metadata)
