"""`autoglm flower`: the dashboard of workers, shifts and control tasks."""

import os
import sys

import click

from app import settings
from app.errors import SettingsError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def require_auth(address: str) -> None:
    """SettingsError("flower_needs_auth") for an address that others can reach, without password."""
    if address not in _LOOPBACK and not settings.variable("FLOWER_BASIC_AUTH"):
        raise SettingsError("flower_needs_auth", param="FLOWER_BASIC_AUTH", address=address)


@click.command(help="cli.help_flower")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
@click.option("--address", default="127.0.0.1", show_default=True, help="cli.help_flower_address")
@click.option("--port", default=5555, show_default=True, help="cli.help_flower_port")
def command(config: str | None, address: str, port: int) -> None:
    """Becomes Flower. Beyond loopback it needs FLOWER_BASIC_AUTH=user:password; without a password
    its pages can be read and its API, which could stop workers, stays shut."""
    options = settings.load(config)
    if options.redis.url is None:
        raise SettingsError("redis_url_missing", param="redis.url")
    require_auth(address)
    environ = settings.child_environ(**settings.environment(options))
    program = [sys.executable, "-m", "celery", "-A", "app.workers.dashboard", "flower"]
    os.execve(sys.executable, [*program, f"--address={address}", f"--port={port}"], environ)
