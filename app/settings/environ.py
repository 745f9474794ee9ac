"""The process environment: the only place that reads or writes it."""

import os


def variable(name: str) -> str | None:
    """The value of an environment variable, if it is set."""
    return os.environ.get(name)


def set_variable(name: str, value: str) -> None:
    """Sets a variable of this process and of the children it starts from now on."""
    os.environ[name] = value


def child_environ(**extra: str) -> dict[str, str]:
    """A copy of the environment for a subprocess, with `extra` added."""
    return {**os.environ, **extra}
