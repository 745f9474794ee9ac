"""The configuration: what can be set, where it is read from, and the process environment."""

from app.settings.environ import child_environ, set_variable, variable
from app.settings.schema import (
    LOCALES,
    Database,
    Fake,
    Limits,
    Locale,
    Model,
    Queue,
    Redis,
    Retention,
    Server,
    Settings,
    Verify,
    Worker,
)

__all__ = [
    "LOCALES",
    "Database",
    "Fake",
    "Limits",
    "Locale",
    "Model",
    "Queue",
    "Redis",
    "Retention",
    "Server",
    "Settings",
    "Verify",
    "Worker",
    "child_environ",
    "set_variable",
    "variable",
]
