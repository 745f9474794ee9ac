"""/openapi.json and /docs: the description of this API, readable without the internet."""

from typing import Any, NoReturn

import flask
from flask_openapi.openapi import OpenAPI
from pydantic import ValidationError

from app.api import auth
from app.wire import flaws

_PAGE = "swagger.swagger"
_KEYLESS = frozenset(auth.OPEN)


def register(app: OpenAPI) -> None:
    """Adds the description's own routes."""
    app.view_functions["openapi.openapi"] = lambda: flask.redirect(flask.url_for(_PAGE))
    app.add_url_rule("/openapi.json", "openapi_json", lambda: flask.jsonify(describe(app)))


def describe(app: OpenAPI) -> dict[str, Any]:
    """The OpenAPI description, with the key that every route but /health* needs."""
    found: dict[str, Any] = app.api_doc
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _KEYLESS else [{"bearer": []}]
    return found


def refuse(error: ValidationError) -> NoReturn:
    """Turns what pydantic found in path, query, form or body into our own error."""
    raise flaws.explain(error) from error
