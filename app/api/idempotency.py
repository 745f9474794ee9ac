"""The Idempotency-Key header, and the hash that tells whether two bodies ask for the same."""

import hashlib
import json
import math
from typing import Any

import flask

from app.errors import BadRequest

HEADER = "Idempotency-Key"
_LONGEST = 255
_RETRY_COUNT = "x-stainless-retry-count"
_READ_TIMEOUT = "x-stainless-read-timeout"
_TIMEOUT_SECONDS = 600.0  # OpenAI's clients wait this long for an answer unless told otherwise
_PAUSE_SECONDS = 120.0  # the longest Retry-After that they obey
_MAX_TRIES = 10


def read_key() -> str | None:
    """The client's key, if it sent one; BadRequest for one that cannot be stored."""
    key = flask.request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST or not key.isprintable() or not key.isascii():
        raise BadRequest("idempotency_key_invalid", param=HEADER, limit=_LONGEST)
    return key


def find_retry_seconds() -> float | None:
    """How long ago the first try of this request can have been, if it says that it is a retry.

    OpenAI's clients repeat a POST whose answer was lost, without an idempotency key; they only
    count the tries.
    """
    tries = count_tries()
    if not tries:
        return None
    timeout = _read_number(_READ_TIMEOUT) or _TIMEOUT_SECONDS
    return tries * (timeout + _PAUSE_SECONDS)


def count_tries() -> int | None:
    """How many tries came before this one, ten at most; None if the client does not say."""
    tries = _read_number(_RETRY_COUNT)
    return None if tries is None else int(min(tries, _MAX_TRIES))


def _read_number(name: str) -> float | None:
    """A header's number; None for anything that is none."""
    try:
        value = float(flask.request.headers.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def hash_body() -> str:
    """SHA-256 of the body, whatever its spacing and the order of its keys. A field that is null counts
    as absent; deeper down, in a schema, null is a value."""
    body: Any = flask.request.get_json()
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if value is not None}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
