"""What gunicorn refuses before our app sees it, in the one error envelope instead of HTML."""

import contextlib
import json
import logging
import secrets
from http import HTTPStatus
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from app import locales

_logger = logging.getLogger(__name__)
_LOCALE = "en-US"  # the header that names another one was not read
_OURS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)
_STATUSES: dict[type[Exception], tuple[HTTPStatus, str]] = {
    errors.LimitRequestLine: (HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long"),
    errors.LimitRequestHeaders: (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
    errors.ExpectationFailed: (HTTPStatus.EXPECTATION_FAILED, "expectation_unsupported"),
    errors.UnsupportedTransferCoding: (
        HTTPStatus.NOT_IMPLEMENTED,
        "transfer_encoding_unsupported",
    ),
    errors.ForbiddenProxyRequest: (HTTPStatus.FORBIDDEN, "bad_request"),
}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's worker with threads, which asks `handle_error` to answer such requests."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answers and logs; the connection is closed after it."""
        status, code = judge(exc)
        request_id = f"req_{secrets.token_hex(16)}"
        values = {
            "action": "refused",
            "status": int(status),
            "request_id": request_id,
            "peer": addr[0] if isinstance(addr, tuple) else str(addr),
        }
        cause = None if status < HTTPStatus.INTERNAL_SERVER_ERROR else exc
        _logger.warning("refused: %s: %s", type(exc).__name__, exc, exc_info=cause, extra=values)
        with contextlib.suppress(OSError):  # the client may be gone
            util.write_nonblock(client, render(status, code, request_id))


def judge(error: Exception) -> tuple[HTTPStatus, str]:
    """The status and code of what stopped gunicorn."""
    if isinstance(error, errors.ParseException) and not isinstance(error, _OURS):
        return _STATUSES.get(type(error), (HTTPStatus.BAD_REQUEST, "bad_request"))
    return HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"


def render(status: HTTPStatus, code: str, request_id: str) -> bytes:
    """The whole answer."""
    kind = "server_error" if code == "internal_error" else "invalid_request_error"
    message = locales.message(f"errors.{code}", locale=_LOCALE)
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = json.dumps({"error": error}).encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-request-id: {request_id}",
        "X-Content-Type-Options: nosniff",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
