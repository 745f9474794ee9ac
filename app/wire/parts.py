"""The content of a message: a text, or a list of parts that are texts."""

from collections.abc import Container
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.wire import flaws

_PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}


def join(*kinds: str, idle: Container[str] = ()) -> BeforeValidator:
    """OpenAI's list of text parts of these kinds as one string; anything else is left for the type
    check. Parts may have the members `idle` and, beside them, null alone."""

    def read(content: Any) -> Any:
        if not isinstance(content, list):
            return content
        return "".join(_read_part(part, number, kinds, idle) for number, part in enumerate(content))

    return BeforeValidator(read)


def _read_part(part: Any, number: int, kinds: Container[Any], idle: Container[str]) -> str:
    kind = part.get("type") if isinstance(part, dict) else flaws.name_type(part)
    if not isinstance(part, dict) or not isinstance(kind, str) or kind not in kinds:
        raise PydanticCustomError("unsupported_content", "unsupported", {"kind": str(kind)[:40]})
    text = _read_text(part, f"{number}.text")
    for name, value in part.items():
        if name not in ("type", "text") and name not in idle and value is not None:
            within = {"within": f"{number}.{name[:40]}"}
            raise PydanticCustomError("unknown_parameter", "unknown", within)
    return text


def _read_text(part: dict[str, Any], within: str) -> str:
    if "text" not in part:
        raise PydanticCustomError("missing_required_parameter", "missing", {"within": within})
    text = part["text"]
    if isinstance(text, str):
        return text
    kinds = {"expected": flaws.word("string"), "actual": flaws.word(flaws.name_type(text))}
    raise PydanticCustomError("invalid_type", "type", {"within": within, **kinds})


Content = Annotated[
    str,
    join("text"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]}),
]
