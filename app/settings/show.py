"""Settings as plain data: complete for a child process, without secrets for people."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from app.settings import kinds
from app.settings.schema import Settings

_URL = re.compile(r"([\w+.-]+://)(?:([^:@/]*)(:.*)?@)?(.*)", re.DOTALL)
_QUERY_SECRET = re.compile(r"([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def plain(settings: Settings) -> dict[str, Any]:
    """Everything, as JSON types and under the keys of config.yaml, passwords included."""
    return _settings(settings, redacts=False)


def describe(settings: Settings) -> dict[str, Any]:
    """The same without passwords: for `autoglm config` and for logs."""
    return _settings(settings, redacts=True)


def redact(url: str) -> str:
    """A URL without its passwords, also where they hold characters that break a URL."""
    found = _URL.fullmatch(url)
    if found is None:
        return "***"
    scheme, user, password, rest = found.groups()
    login = "" if user is None else f"{user}:***@" if password else f"{user}@"
    return scheme + login + _QUERY_SECRET.sub(r"\1***", rest)


def _settings(settings: Settings, *, redacts: bool) -> dict[str, Any]:
    """All sections; each model stands under its name."""
    models = [_section(model, redacts=redacts) for model in settings.models]
    named = {model.pop("name"): model for model in models}
    return {**_section(settings, redacts=redacts), "models": named}


def _plain(value: Any, *, redacts: bool) -> Any:
    if is_dataclass(value):
        return _section(value, redacts=redacts)
    if isinstance(value, tuple):
        return [_plain(item, redacts=redacts) for item in value]
    return str(value) if isinstance(value, Path) else value


def _section(section: Any, *, redacts: bool) -> dict[str, Any]:
    hints = kinds.hints(type(section))
    shown: dict[str, Any] = {}
    for field in fields(section):
        value = getattr(section, field.name)
        if redacts and value is not None and kinds.is_secret(hints[field.name]):
            value = redact(value)
        shown[field.name] = _plain(value, redacts=redacts)
    return shown
