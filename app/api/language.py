"""The language of an answer: what the client asks for, else the route's own default."""

from collections.abc import Mapping
from typing import Any

import flask

from app import locales
from app.api import context
from app.errors import AutoglmError

OPENAI_PREFIXES = (
    "/v1/files",
    "/v1/batches",
    "/v1/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
)
_ENGLISH = "en-US"


def choose() -> str:
    """The locale of this request."""
    options = context.current().settings.locale
    path, rule = flask.request.path, flask.request.url_rule
    is_openai = path.startswith(OPENAI_PREFIXES) or (rule is None and path.startswith("/v1/"))
    return locales.negotiate(
        flask.request.headers.get("Accept-Language"),
        default=_ENGLISH if is_openai else options.default,
        fallback=options.fallback,
        supported=options.supported,
    )


def explain(code: str, values: Mapping[str, Any]) -> str:
    """The text of an error code, in this request's language."""
    given = {name: value for name, value in values.items() if name != "param"}
    error = AutoglmError(code, param=values.get("param"), **given)
    fallback = context.current().settings.locale.fallback
    return locales.explain(error, choose(), fallback=fallback)
