"""Judges the server's answers: a success, a reason to try again, or a refusal."""

import email.utils
import time
from typing import Any

import httpx

from app import errors

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
BAD_INPUT = frozenset({400, 413, 422})


class Again(Exception):
    """The server asks to be tried again, after `after` seconds if it said so."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def check(response: httpx.Response) -> None:
    """Returns on success; raises Again where trying again may help, else the server's refusal."""
    if response.is_success:
        return
    response.read()
    if _may_retry(response):
        raise Again(f"HTTP {response.status_code}: {_reason(response)}", _retry_after(response))
    refusal = errors.InputError if response.status_code in BAD_INPUT else errors.RequestError
    raise refusal(
        "server_refused",
        status=response.status_code,
        message=_reason(response),
        server_code=_find(response, "code"),
    )


def _may_retry(response: httpx.Response) -> bool:
    asked: str | None = response.headers.get("x-should-retry")
    if asked in {"true", "false"}:
        return asked == "true"
    return response.status_code in RETRIED


def _reason(response: httpx.Response) -> str:
    """The message of the error envelope, or the start of whatever came instead."""
    return _find(response, "message") or response.text.strip()[:200] or response.reason_phrase


def _find(response: httpx.Response, name: str) -> str | None:
    """A member of the error envelope; None if it is null, or this is no envelope."""
    try:
        found = response.json()["error"][name]
    except (ValueError, KeyError, TypeError):
        return None
    return None if found is None else str(found)


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds (a number, or an HTTP date); None without one."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def read_object(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; RequestError if this is no answer of our API."""
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise errors.RequestError("server_unexpected", url=str(response.url))
    return answer
