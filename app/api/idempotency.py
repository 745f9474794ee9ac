"""The Idempotency-Key header, and the hash that tells whether two bodies ask for the same."""

import hashlib
import json
from typing import Any

import flask

from app.errors import BadRequest

HEADER = "Idempotency-Key"
_LONGEST = 255


def read_key() -> str | None:
    """The client's key, if it sent one; BadRequest for one that cannot be stored."""
    key = flask.request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST or not key.isprintable() or not key.isascii():
        raise BadRequest("idempotency_key_invalid", param=HEADER, limit=_LONGEST)
    return key


def hash_body() -> str:
    """SHA-256 of the body, whatever its spacing and the order of its keys."""
    body: Any = flask.request.get_json()
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
