"""Every text a person reads, by key and language; loaded once from messages_<locale>.yaml."""

import re
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.errors import AutoglmError
from app.locales.negotiation import negotiate, system

FALLBACK = "en-US"

_FOLDER = Path(__file__).parent
_reading = threading.RLock()  # a signal may need a text while its thread is in here
_PLACEHOLDER = re.compile(r"\{(\w+)(?::([\w |()-]*))?\}")

__all__ = ["FALLBACK", "explain", "message", "negotiate", "system", "texts"]


def message(
    key: str, /, locale: str | None = None, *, fallback: str = FALLBACK, **values: Any
) -> str:
    """The text of a dotted key; an unknown locale or a missing key falls back to `fallback`, and
    from there to English."""
    return _render(key, locale or fallback, fallback, values)


def explain(error: AutoglmError, locale: str | None = None, *, fallback: str = FALLBACK) -> str:
    """The text of an error: `errors.<code>` filled with its values and its `param`."""
    values = {"param": error.param, **error.values}
    return _render(f"errors.{error.code}", locale or fallback, fallback, values)


def texts(locale: str) -> Mapping[str, str]:
    """All texts of one shipped locale by dotted key; empty for a locale that is not shipped. Threads
    that ask at once wait for the first: 200 that each read the file kept a new API busy for 20 s."""
    with _reading:
        return _read(locale)


@cache
def _read(locale: str) -> Mapping[str, str]:
    path = _FOLDER / f"messages_{locale}.yaml"
    if path.name not in {shipped.name for shipped in _FOLDER.glob("messages_*.yaml")}:
        return {}
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        f"{section}.{name}": text
        for section, entries in sections.items()
        for name, text in (entries or {}).items()
    }


def _render(key: str, locale: str, fallback: str, values: Mapping[str, Any]) -> str:
    names = (locale, fallback, FALLBACK)
    spoken = next((name for name in names if key in texts(name)), None)
    if spoken is None:
        return _render("locales.missing", locale, fallback, {"key": key})
    template = texts(spoken)[key]
    return _PLACEHOLDER.sub(lambda found: _show(found, spoken, values), template)


def _show(found: re.Match[str], locale: str, values: Mapping[str, Any]) -> str:
    """What stands for one placeholder; a value that was not given leaves its name in sight."""
    name, forms = found.groups()
    if name not in values:
        return found[0]
    return _text(values[name], locale) if forms is None else _count(values[name], forms, locale)


def _count(number: Any, forms: str, locale: str) -> str:
    """A number with its thousands set apart, and the noun that goes with it: "1 file|2 files" is
    written {count:file|files}. Chinese and Japanese have one form and may leave it empty."""
    if not isinstance(number, int):
        return _text(number, locale)
    one, _, many = forms.partition("|")
    noun = one if number == 1 else many or one
    return f"{number:,} {noun}" if noun else f"{number:,}"


def _text(value: Any, locale: str) -> str:
    if isinstance(value, AutoglmError):
        return explain(value, locale)
    if isinstance(value, (list, tuple, set, frozenset)):
        errors = any(isinstance(item, AutoglmError) for item in value)
        return ("\n" if errors else ", ").join(_text(item, locale) for item in value)
    return str(value)
