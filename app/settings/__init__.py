"""The configuration: what can be set, where it is read from, and the process environment."""

from app.settings.environ import child_environ, environment, set_variable, variable
from app.settings.load import load
from app.settings.schema import (
    LOCALES,
    Batches,
    CodeTemplate,
    Database,
    Fake,
    Limits,
    Locale,
    Manifests,
    Memory,
    Model,
    Queue,
    Redis,
    Retention,
    Server,
    Settings,
    Verify,
    Webhooks,
    Worker,
)
from app.settings.show import describe, redact

__all__ = [
    "LOCALES",
    "Batches",
    "CodeTemplate",
    "Database",
    "Fake",
    "Limits",
    "Locale",
    "Manifests",
    "Memory",
    "Model",
    "Queue",
    "Redis",
    "Retention",
    "Server",
    "Settings",
    "Verify",
    "Webhooks",
    "Worker",
    "child_environ",
    "describe",
    "environment",
    "load",
    "redact",
    "set_variable",
    "variable",
]
