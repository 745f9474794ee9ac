"""`autoglm api`: the HTTP API alone, in the foreground."""

import click

from app import log, settings
from app.api import server


@click.command("api", help="api.help")
@click.option("--config", help="api.help_config")
@click.option("--host", help="api.help_host")
@click.option("--port", type=int, help="api.help_port")
def command(config: str | None, host: str | None, port: int | None) -> None:
    """Serves until it is told to stop."""
    options = settings.load(config, overrides={"server.host": host, "server.port": port})
    log.configure(options.log_level)
    server.serve(options)
