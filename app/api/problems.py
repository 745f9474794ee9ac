"""Every failure as the one error envelope, in the reader's language, without a stack trace."""

import errno
import logging
from http import HTTPStatus
from typing import Any

import flask
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute

from app.api import language, refusals
from app.errors import (
    AutoglmError,
    BadRequest,
    Busy,
    Conflict,
    Failed,
    Full,
    Overdue,
    RequestError,
    Unavailable,
)
from app.wire import render

RETRY_SECONDS = 2

_logger = logging.getLogger(__name__)
_FINAL = (Conflict, Failed, Overdue)
"""What OpenAI's clients would try again although it would end the same way."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNCODED = frozenset({"batch_file_format", "batch_not_cancellable"})
"""Errors that OpenAI answers with `"code": null`; their clients know them by status and text."""
_UNSERVED = frozenset({"/v1/responses/input_tokens", "/v1/responses/compact"})
"""Routes of OpenAI's that are not here, and that look like an object of ours."""
_CODES = {
    404: "route_not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    431: "headers_too_large",
}


def register(app: flask.Flask) -> None:
    """Makes these the handlers of the app."""
    app.register_error_handler(AutoglmError, _answer_known)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(ParseException, _answer_malformed)
    app.register_error_handler(Exception, _answer_unknown)


def envelope(error: AutoglmError, kind: str) -> dict[str, Any]:
    """The body of an error answer."""
    text = render.choose_text(error.code, error.values)
    message = language.explain(text, {**error.values, "param": error.param})
    code = None if error.code in _UNCODED else error.code
    body = {"message": message, "type": kind, "param": error.param, "code": code}
    return {"error": body | render.show_last(error.code, error.values)}


def _answer_known(error: AutoglmError) -> flask.Response:
    if not isinstance(error, RequestError):
        return _answer_unknown(error)
    if isinstance(error, Unavailable):
        _logger.warning("unavailable: %s", error, extra={"action": "unavailable"})
    response = flask.jsonify(envelope(error, error.type))
    response.status_code = error.status
    if isinstance(error, Busy | Unavailable):
        response.headers["Retry-After"] = str(error.values.get("retry_after", RETRY_SECONDS))
    if isinstance(error, _FINAL):
        response.headers["x-should-retry"] = "false"
    return response


def _answer_http(error: HTTPException) -> flask.Response:
    """werkzeug's own refusals; redirects pass."""
    if isinstance(error, MethodNotAllowed) and flask.request.path.rstrip("/") in _UNSERVED:
        error = NoRoute()
    response = flask.Response(headers=[h for h in error.get_headers() if h[0] != "Content-Type"])
    response.status_code = error.code or 500
    if response.status_code < 400 or error.response is not None:
        return error.get_response()  # type: ignore[return-value]  # flask made it
    code = _CODES.get(response.status_code, "bad_request")
    method, path = flask.request.method, flask.request.path[:200]
    known = BadRequest(code, method=method, path=path)
    response.data = flask.json.dumps(envelope(known, BadRequest.type))
    response.mimetype = "application/json"
    return response


def _answer_malformed(error: Exception) -> flask.Response:
    """A body in pieces that gunicorn could not put together. It closes the connection after it."""
    status, code = refusals.judge(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer_unknown(error)
    values = {"action": "refused", "request_id": flask.g.get("request_id")}
    _logger.warning("refused: %s: %s", type(error).__name__, error, extra=values)
    response = flask.jsonify(envelope(BadRequest(code), BadRequest.type))
    response.status_code = status
    return response


def _answer_unknown(error: Exception) -> flask.Response:
    """The last handler: the details go to the log, the client gets an id to quote."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return _answer_known(Full("storage_full"))
    values = {"action": "failed", "request_id": flask.g.get("request_id")}
    _logger.error("request failed: %s", type(error).__name__, exc_info=error, extra=values)
    response = flask.jsonify(envelope(AutoglmError("internal_error"), "server_error"))
    response.status_code = 500
    return response
