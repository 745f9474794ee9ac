"""/openapi.json and /docs: the description of this API, readable without the internet."""

from typing import Any, NoReturn

import flask
from flask_openapi.openapi import OpenAPI
from pydantic import ValidationError

from app.api import auth
from app.wire import flaws

_PAGE = "swagger.swagger"
_KEYLESS = frozenset(auth.OPEN)
_CONTENTS = ("/content", "/output", "/errors")  # routes that give out bytes
_STREAMS = (
    ("/v1/chat/completions", "post"),
    ("/v1/completions", "post"),
    ("/v1/responses", "post"),
    ("/v1/responses/{response_id}", "get"),
    ("/v1/batches/{batch_id}/results", "get"),
)  # what may be answered as server-sent events


def register(app: OpenAPI) -> None:
    """Adds the description's own routes."""
    app.view_functions["openapi.openapi"] = lambda: flask.redirect(flask.url_for(_PAGE))
    app.add_url_rule("/openapi.json", "openapi_json", lambda: flask.jsonify(describe(app)))


def describe(app: OpenAPI) -> dict[str, Any]:
    """The OpenAPI description, with the key that every route but /health* needs."""
    found: dict[str, Any] = app.api_doc
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            operation["security"] = [] if path in _KEYLESS else [{"bearer": []}]
            _drop_impossible(path, method, operation)
    for path, method in _STREAMS:
        shown = found["paths"][path][method]["responses"]["200"]["content"]
        shown["text/event-stream"] = {"schema": {"type": "string"}}
    return found


def _drop_impossible(path: str, method: str, operation: dict[str, Any]) -> None:
    """Takes out what the routes beside this one may answer, but this one never does."""
    never = set() if method == "post" else {"409", "499", "504", "507"}
    never |= set() if "requestBody" in operation else {"413", "415"}
    never |= set() if path.endswith(_CONTENTS) else {"416"}
    for status in never:
        operation["responses"].pop(status, None)


def refuse(error: ValidationError) -> NoReturn:
    """Turns what pydantic found in path, query, form or body into our own error."""
    raise flaws.explain(error) from error
