"""Chat messages as templates expect them: contents are plain strings, anything else is refused."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.errors import BadRequest

_ROLE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def normalize(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copies messages, joining text parts; raises BadRequest naming the place."""
    if not messages:
        raise BadRequest("empty_messages", param="messages")
    return [_message(each, f"messages.{number}") for number, each in enumerate(messages)]


def _message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    _check_role(message.get("role"), f"{where}.role")
    for text in list_strings(message):
        check_unicode(text, where)
    return {**message, "content": _content(message.get("content"), f"{where}.content")}


def _check_role(role: Any, where: str) -> None:
    """A role is a word: templates write it into the middle of a special token."""
    if not isinstance(role, str):
        raise BadRequest("missing_role", param=where)
    if not _ROLE.fullmatch(role):
        raise BadRequest("unsupported_role", param=where)


def _content(content: Any, where: str) -> str:
    """None is what OpenAI's clients send beside tool calls. Parts are joined with nothing between."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise BadRequest("unsupported_content", param=where, kind=type(content).__name__)
    return "".join(_part(part, f"{where}.{number}") for number, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    if kind != "text" or not isinstance(part.get("text"), str):
        raise BadRequest("unsupported_content", param=where, kind=str(kind)[:40])
    return str(part["text"])


def list_strings(value: Any) -> Iterator[str]:
    """Every string at any depth, names of entries included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from list_strings(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from list_strings(each)


def check_unicode(text: str, where: str) -> None:
    """Refuses lone surrogates: JSON can carry them, no tokenizer can."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest("invalid_unicode", param=where) from error
