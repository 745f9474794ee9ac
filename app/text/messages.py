"""Chat messages as templates expect them: contents are plain strings, anything else is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.errors import BadRequest


def normalize(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copies messages, joining text parts; raises BadRequest naming the place."""
    if not messages:
        raise BadRequest("empty_messages", param="messages")
    return [_message(each, f"messages.{number}") for number, each in enumerate(messages)]


def _message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(message.get("role"), str):
        raise BadRequest("missing_role", param=f"{where}.role")
    for text in list_strings(message):
        check_unicode(text, where)
    return {**message, "content": _content(message.get("content"), f"{where}.content")}


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
    """Every string value at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
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
