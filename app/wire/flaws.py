"""What pydantic found wrong with a body, as one of our errors with code and param."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from app.errors import AutoglmError, BadRequest

_SHOWN = 60
_EXPECTED = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "int_parsing": "integer",
    "int_parsing_size": "integer",
    "float_type": "number",
    "float_parsing": "number",
    "finite_number": "number",
    "bool_type": "boolean",
    "bool_parsing": "boolean",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "is_instance_of": "file",  # the one class that a form asks for
}
_OWN = frozenset(
    {
        "invalid_type",
        "missing_required_parameter",
        "tool_message",
        "unknown_parameter",
        "unsupported_content",
        "unsupported_parameter",
        "invalid_schema",
        "schema_invalid",
        "template_option",
    }
)  # raised by validators of app.wire.bodies
UNSERVED = frozenset(
    {
        "access_programs",
        "audio",
        "background_options",
        "best_of",
        "context_management",
        "conversation",
        "echo",
        "image",
        "include",
        "max_tool_calls",
        "moderation",
        "prediction",
        "prompt",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "stream_options",
        "suffix",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters of OpenAI's that an endpoint here may lack: said so, where another name is a mistake,
and null counts as absent."""
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}
_LENGTHS = {
    "string_too_short": ("too_short", "min_length"),
    "too_short": ("too_short", "min_length"),
    "string_too_long": ("too_long", "max_length"),
    "too_long": ("too_long", "max_length"),
}
_NAMES: tuple[tuple[type[Any], str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)

Flaw = Mapping[str, Any]


def explain(error: ValidationError) -> BadRequest:
    """The first flaw, named by code and param."""
    flaw = error.errors(include_url=False)[0]
    param = ".".join(str(part)[:_SHOWN] for part in flaw["loc"] if part != "[key]") or None
    if param is None and flaw["type"] in ("model_type", "model_attributes_type"):
        return BadRequest("body_not_object")
    return _translator(str(flaw["type"]))(flaw, param)


def word(json_type: str) -> AutoglmError:
    """The name of a JSON type as a value of a message, said in the reader's language."""
    return AutoglmError(f"json_{json_type}")


def name_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")


def _translator(kind: str) -> Callable[[Flaw, str | None], BadRequest]:
    if kind in _EXPECTED:
        return _bad_type
    if kind in _BOUNDS:
        return _bad_bound
    if kind in _LENGTHS:
        return _bad_length
    if kind in _OWN:
        return _own
    return {"missing": _missing, "extra_forbidden": _unknown}.get(kind, _bad_choice)


def _missing(flaw: Flaw, param: str | None) -> BadRequest:
    return BadRequest("missing_required_parameter", param=param)


def _unknown(flaw: Flaw, param: str | None) -> BadRequest:
    plain = None if param is None else param.removesuffix("[]")  # so lists are written in a query
    if plain in UNSERVED:
        return BadRequest("unsupported_parameter", param=plain)
    return BadRequest("unknown_parameter", param=param)


def _bad_type(flaw: Flaw, param: str | None) -> BadRequest:
    expected, actual = _EXPECTED[flaw["type"]], name_type(flaw["input"])
    return BadRequest("invalid_type", param=param, expected=word(expected), actual=word(actual))


def _bad_choice(flaw: Flaw, param: str | None) -> BadRequest:
    allowed = str(flaw.get("ctx", {}).get("expected", "-")).replace(" or ", ", ")
    return BadRequest("invalid_value", param=param, value=show(flaw["input"]), allowed=allowed)


def _bad_bound(flaw: Flaw, param: str | None) -> BadRequest:
    sign, name = _BOUNDS[flaw["type"]]
    allowed = f"{sign} {_plain(flaw['ctx'][name])}" if name in flaw["ctx"] else sign
    return BadRequest("out_of_range", param=param, value=show(flaw["input"]), allowed=allowed)


def _plain(bound: float) -> str:
    """A bound in digits: 2592000, not 2.592e+06; 2, not 2.0."""
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _bad_length(flaw: Flaw, param: str | None) -> BadRequest:
    code, name = _LENGTHS[flaw["type"]]
    return BadRequest(code, param=param, limit=flaw["ctx"][name])


def _own(flaw: Flaw, param: str | None) -> BadRequest:
    """An error raised by one of our own validators: its type is the code. `within` is the way to
    what is wrong in a value that pydantic does not see into."""
    values = dict(flaw.get("ctx", {}))
    within = values.pop("within", None)
    return BadRequest(str(flaw["type"]), param=f"{param}.{within}" if within else param, **values)


def show(value: Any) -> str:
    """A value as a message quotes it, cut if long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
