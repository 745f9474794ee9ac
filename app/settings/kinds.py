"""Types of settings: the normal form of a value, and the errors for one that has none."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from app.errors import SettingsError
from app.settings.rules import Secret

SCALARS: dict[Any, str] = {bool: "bool", int: "int", float: "float", str: "str", Path: "str"}
NAMES = SCALARS | {NoneType: "null", list: "list", tuple: "list", dict: "map"}

_LOOKS = {"int": r"\d+", "float": r"\d+(\.\d+)?", "bool": "true|false", "str": r"[\d.]+"}
_SAMPLES = {
    "int": "8",
    "float": "0.5",
    "str": '"text"',
    "bool": "true",
    "list": "[a, b]",
    "map": "{key: value}",
}


def hints(kind: type[Any]) -> dict[str, Any]:
    """The annotations of a section's fields, rules included."""
    return get_type_hints(kind, include_extras=True)


def unwrap(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The bare type (without rules and `| None`) and the rules of an annotation."""
    if get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    if is_optional(hint):
        return unwrap(next(option for option in get_args(hint) if option is not NoneType))
    return hint, ()


def is_optional(hint: Any) -> bool:
    """True for `X | None`."""
    return NoneType in get_args(hint)


def is_secret(hint: Any) -> bool:
    """True if values of this annotation must not be shown."""
    return any(isinstance(rule, Secret) for rule in unwrap(hint)[1])


def typed(hint: Any, value: Any) -> Any:
    """The value in its normal form; SettingsError (bad type or bad value) without a key."""
    if value is None and is_optional(hint):
        return None
    bare, rules = unwrap(hint)
    value = _cast(bare, value, hint)
    for rule in rules:
        value = _obey(rule, value, hint)
    return value


def check(section: Any) -> None:
    """Brings every field of a section into its normal form, or raises SettingsError."""
    kind: type[Any] = type(section)
    for field in fields(section):
        hint = hints(kind)[field.name]
        try:
            value = typed(hint, getattr(section, field.name))
        except SettingsError as error:
            raise locate(error, field.name, kind.__name__) from None
        object.__setattr__(section, field.name, value)


def locate(
    error: SettingsError, key: str, where: str, *, file: str | None = None, line: int | None = None
) -> SettingsError:
    """The same error, saying which key it is about and where that was given."""
    place = {"key": key, "where": where, "file": file, "line": line}
    return SettingsError(error.code, param=key, **{**error.values, **place})


def show(value: Any, hint: Any = None) -> str:
    """A value as a message shows it: quoted if it is a string, cut if long, *** if secret."""
    if is_secret(hint):
        return "***"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _cast(bare: Any, value: Any, hint: Any) -> Any:
    if get_origin(bare) is tuple:
        return _elements(bare, value, hint)
    if bare not in SCALARS:
        return _same(bare, value, hint)
    if bare is Path and value == "":  # Path("") is the current directory: nobody means that
        raise SettingsError("setting_bad_value", value=show(value, hint), allowed='!= ""')
    converters: dict[Any, Callable[[Any], Any]] = {float: float, Path: Path}
    accepted = {float: (int, float), Path: (str, Path)}.get(bare, (bare,))
    if type(value) is not bare and not _is_any(value, accepted):
        raise bad_type(hint, value)
    try:
        return converters.get(bare, lambda same: same)(value)
    except OverflowError:
        raise bad_type(hint, value) from None


def _is_any(value: Any, accepted: tuple[type, ...]) -> bool:
    """True if the value is of an accepted type; a bool is never taken for a number."""
    return isinstance(value, accepted) and (bool in accepted or not isinstance(value, bool))


def _elements(bare: Any, value: Any, hint: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise bad_type(hint, value)
    return tuple(typed(get_args(bare)[0], element) for element in value)


def _same(bare: Any, value: Any, hint: Any) -> Any:
    if not isinstance(value, bare):
        raise bad_type(hint, value)
    return value


def _obey(rule: Any, value: Any, hint: Any) -> Any:
    try:
        return rule.apply(value)
    except ValueError:
        values = {"value": show(value, hint), "allowed": rule.allowed}
        raise SettingsError("setting_bad_value", **values) from None


def bad_type(hint: Any, value: Any) -> SettingsError:
    """The error for a value of another type than the annotation asks for."""
    expected = type_name(hint)
    actual = NAMES.get(type(value), type(value).__name__)
    is_scalar = not isinstance(value, (dict, list, tuple))
    shown = show(value, hint) if is_scalar and expected != "map" else "..."
    values = {"value": shown, "expected": expected, "actual": actual}
    return SettingsError("setting_bad_type", **values, example=_example(expected, value, hint))


def _example(expected: str, value: Any, hint: Any) -> str:
    """The same value as it should have been written where that can be told, else any right one."""
    if is_secret(hint) or not re.fullmatch(_LOOKS.get(expected, ""), str(value)):
        return _SAMPLES[expected]
    return json.dumps(str(value)) if expected == "str" else str(value)


def type_name(hint: Any) -> str:
    """How documentation and messages call a type: int, float, str, bool, list or map."""
    bare, _ = unwrap(hint)
    return "list" if get_origin(bare) is tuple else SCALARS.get(bare, "map")
