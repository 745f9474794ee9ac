"""The options that say which server a command talks to, and the client they make."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson

from app import locales, settings
from app.cli import client
from app.cli.submit import DEFAULT_URL

F = TypeVar("F", bound=Callable[..., Any])


def options(function: F) -> F:
    """--url, --api-key and --timeout, as `url`, `api_key` and `timeout`."""
    for option in (
        click.option("--timeout", type=click.FloatRange(min=0), help="submit.help_timeout"),
        click.option("--api-key", help="submit.help_api_key"),
        click.option("--url", help="submit.help_url"),
    ):
        function = option(function)
    return function


@contextmanager
def connect(url: str | None, api_key: str | None, timeout: float | None) -> Iterator[client.Client]:
    """A client of the server that the options, the environment or the default name."""
    where = url or settings.variable("AUTOGLM_API_URL") or DEFAULT_URL
    key = api_key or settings.variable("AUTOGLM_API_KEY")
    language = locales.system()
    with client.Client(where, language=language, api_key=key, timeout=timeout) as api:
        yield api


def show(content: dict[str, Any]) -> None:
    """An object on one line."""
    click.echo(orjson.dumps(content).decode())
