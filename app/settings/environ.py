"""The process environment: the only place that reads or writes it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from app.errors import SettingsError
from app.settings.schema import Settings
from app.settings.show import plain
from app.settings.tree import Found, Place, from_plain

PREFIX = "AUTOGLM_"
SETTINGS = "AUTOGLM_SETTINGS"
NOT_SETTINGS = frozenset({SETTINGS, "AUTOGLM_CONFIG", "AUTOGLM_API_KEY", "AUTOGLM_API_URL"})
RUN_PREFIX = "AUTOGLM_RUN_"  # what one process tells its own children, such as their slot


def variable(name: str) -> str | None:
    """The value of an environment variable, if it is set."""
    return os.environ.get(name)


def set_variable(name: str, value: str) -> None:
    """Sets a variable of this process and of the children it starts from now on."""
    os.environ[name] = value


def child_environ(**extra: str) -> dict[str, str]:
    """A copy of the environment for a subprocess, with `extra` added."""
    return {**os.environ, **extra}


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a child process load exactly these settings."""
    return {SETTINGS: json.dumps(plain(settings))}


def read_snapshot(text: str) -> tuple[Path | None, Found]:
    """The source and the tree that `environment` wrote down."""
    try:
        entries = json.loads(text)
        source = entries.pop("source")
    except (ValueError, AttributeError, KeyError):
        raise SettingsError("settings_snapshot_broken", name=SETTINGS) from None
    return Path(source) if source else None, from_plain(entries, Place(SETTINGS))


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that set something, by name without the prefix."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and not name.startswith(RUN_PREFIX)
    }
