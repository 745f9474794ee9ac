"""Ids of a request: x-request-id names the request, the trace id follows its work to the worker."""

import logging
import re
import secrets
import time

import flask

from app import log
from app.api import context

_logger = logging.getLogger("app.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def begin() -> None:
    """Takes the request's ids from its headers, or makes them; binds the trace id for logging."""
    headers = flask.request.headers
    flask.g.started = time.monotonic()
    flask.g.request_id = _sane(_REQUEST_ID, headers.get("x-request-id")) or (
        f"req_{secrets.token_hex(16)}"
    )
    flask.g.trace_id = _read_trace() or secrets.token_hex(16)
    log.bind_trace(flask.g.trace_id)


def _read_trace() -> str | None:
    headers = flask.request.headers
    parent = _PARENT.fullmatch(headers.get("traceparent", "").strip())
    if parent and parent[1] != _NO_TRACE and parent[2] != _NO_SPAN:
        return parent[1]
    return _sane(_TRACE_ID, headers.get("X-Trace-ID"))


def _sane(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value and pattern.fullmatch(value) else None


def end(response: flask.Response) -> flask.Response:
    """Names the ids in the answer, counts it, and writes the request's one log line."""
    response.headers["x-request-id"] = flask.g.request_id
    response.headers["X-Trace-ID"] = flask.g.trace_id
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    seconds = time.monotonic() - flask.g.started
    rule = flask.request.url_rule
    route = rule.rule if rule else "(unknown)"
    method = flask.request.method if rule else "(any)"
    context.current().metrics.count_request(method, route, response.status_code, seconds)
    _write(response, seconds)
    return response


def _write(response: flask.Response, seconds: float) -> None:
    method, path, status = flask.request.method, flask.request.path, response.status_code
    values = {
        "action": "request",
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 2),
        "request_id": flask.g.request_id,
    }
    _logger.info("%s %s %d", method, path, status, extra=values)
