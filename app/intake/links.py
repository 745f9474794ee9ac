"""How a line of a batch names its conversation: a session, or an earlier line of the same file."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from app.errors import BadRequest
from app.wire import flaws, responses

PREFIX = responses.LINE_PREFIX
_ENDPOINTS = ("/v1/chat/completions", responses.ENDPOINT)  # those whose lines hold messages
_NAMES = ("session_id", "previous_response_id")
_SHOWN = 100


@dataclass(frozen=True)
class Links:
    """What comes before a line: the turns of a session, or line `parent_line` and what precedes it."""

    session_id: str | None = None
    parent_line: int | None = None


@dataclass
class Index:
    """The lines read so far, by the hash of their custom_id."""

    _numbers: dict[bytes, int] = field(default_factory=dict)

    def add(self, custom_id: str | None, number: int) -> None:
        if custom_id is not None:
            self._numbers.setdefault(_digest(custom_id), number)

    def find(self, custom_id: str) -> int | None:
        return self._numbers.get(_digest(custom_id))


def _digest(custom_id: str) -> bytes:
    return hashlib.blake2b(custom_id.encode(), digest_size=8).digest()


def split(body: dict[str, Any], endpoint: str, index: Index) -> tuple[dict[str, Any], Links]:
    """The body without what names its conversation, and what it names. Only lines before this one
    can be named, so no circle is possible. The body of a response keeps its `previous_response_id`:
    its object repeats it, and one that names no line is for others to refuse. BadRequest:
    `session_and_previous`, `invalid_type`, `too_short`, `previous_line_not_found`."""
    if endpoint not in _ENDPOINTS or not any(name in body for name in _NAMES):
        return body, Links()
    session_id, previous = (body.get(name) for name in _NAMES)
    if session_id is not None and previous is not None:
        raise BadRequest("session_and_previous", param="previous_response_id")
    is_reply = endpoint == responses.ENDPOINT
    dropped = _NAMES[:1] if is_reply else _NAMES
    rest = {name: value for name, value in body.items() if name not in dropped}
    if session_id is not None:
        return rest, Links(session_id=_require_text(session_id, "session_id"))
    if previous is None or (is_reply and not responses.names_line(previous)):
        return rest, Links()
    return rest, Links(parent_line=_find_parent(previous, index))


def _find_parent(previous: Any, index: Index) -> int:
    name = _require_text(previous, "previous_response_id")
    found = index.find(name.removeprefix(PREFIX)) if responses.names_line(name) else None
    if found is None:
        shown = name.removeprefix(PREFIX)[:_SHOWN]
        raise BadRequest(
            "previous_line_not_found", param="previous_response_id", custom_id=shown, prefix=PREFIX
        )
    return found


def _require_text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        values = {"expected": flaws.word("string"), "actual": flaws.word(flaws.name_type(value))}
        raise BadRequest("invalid_type", param=param, **values)
    if not value:
        raise BadRequest("too_short", param=param, limit=1)
    return value
