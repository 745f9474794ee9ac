"""Every text a person reads, by key and language; loaded once from messages_<locale>.yaml."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.errors import AutoglmError
from app.locales.negotiation import negotiate, system

FALLBACK = "en-US"

_FOLDER = Path(__file__).parent
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

__all__ = ["FALLBACK", "explain", "message", "negotiate", "system", "texts"]


def message(key: str, /, locale: str | None = None, **values: Any) -> str:
    """The text of a dotted key; an unknown locale or a missing key falls back to English."""
    return _render(key, locale, values)


def explain(error: AutoglmError, locale: str | None = None) -> str:
    """The text of an error: `errors.<code>` filled with its values and its `param`."""
    return _render(f"errors.{error.code}", locale, {"param": error.param, **error.values})


@cache
def texts(locale: str) -> Mapping[str, str]:
    """All texts of one shipped locale by dotted key; empty for a locale that is not shipped."""
    path = _FOLDER / f"messages_{locale}.yaml"
    if path.name not in {shipped.name for shipped in _FOLDER.glob("messages_*.yaml")}:
        return {}
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        f"{section}.{name}": text
        for section, entries in sections.items()
        for name, text in (entries or {}).items()
    }


def _render(key: str, locale: str | None, values: Mapping[str, Any]) -> str:
    locale = locale or FALLBACK
    template = texts(locale).get(key) or texts(FALLBACK).get(key)
    if template is None:
        return _render("locales.missing", locale, {"key": key})
    return _PLACEHOLDER.sub(lambda found: _show(found, locale, values), template)


def _show(found: re.Match[str], locale: str, values: Mapping[str, Any]) -> str:
    """What stands for one placeholder; a value that was not given leaves its name in sight."""
    return _text(values[found[1]], locale) if found[1] in values else found[0]


def _text(value: Any, locale: str) -> str:
    if isinstance(value, AutoglmError):
        return explain(value, locale)
    if isinstance(value, (list, tuple, set, frozenset)):
        errors = any(isinstance(item, AutoglmError) for item in value)
        return ("\n" if errors else ", ").join(_text(item, locale) for item in value)
    return str(value)
