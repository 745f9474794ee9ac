"""JSON from outside, read strictly: what is let in can be stored, sent and read back by anyone."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from app.errors import BadRequest

_INTEGER_DIGITS = 40  # beyond any field's range; longer ones cost time to convert
_SHOWN = 40


def loads(content: bytes) -> Any:
    """The value of a UTF-8 JSON text; BadRequest naming what is wrong with it.

    Refused beside malformed text: NaN, infinite and endless numbers, duplicate keys, lone
    surrogates, NUL characters and nesting beyond the interpreter's depth.
    """
    value = _parse(_decode(content))
    if b"\\u" in content:  # only an escape can smuggle these in
        _check_strings(value)
    return value


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest("invalid_utf8", position=error.start) from error


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRequest("invalid_json", line=error.lineno, column=error.colno) from error
    except RecursionError as error:
        raise BadRequest("json_too_deep") from error


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest("json_duplicate_key", name=twice[:_SHOWN])
    return found


def _refuse_number(text: str) -> NoReturn:
    raise BadRequest("json_bad_number", value=text[:_SHOWN])


def _read_float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _read_int(text: str) -> int:
    return int(text) if len(text) <= _INTEGER_DIGITS else _refuse_number(text)


_DECODER = json.JSONDecoder(  # made once: `json.loads` would make one for each line of a batch
    object_pairs_hook=_make_object,
    parse_constant=_refuse_number,
    parse_float=_read_float,
    parse_int=_read_int,
)


def _check_strings(value: Any) -> None:
    for text in _strings(value):
        if "\0" in text:
            raise BadRequest("nul_character")
        if not text.isascii():
            _check_unicode(text)


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest("json_surrogate") from error


def _strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, keys too, without recursion."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            rest.extend((*item.keys(), *item.values()))
        elif isinstance(item, list):
            rest.extend(item)
