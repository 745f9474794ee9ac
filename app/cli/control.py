"""`autoglm control`: the process that ingests and finalizes batches and sweeps."""

from pathlib import Path

import click

from app import settings
from app.errors import SettingsError


@click.command("control", help="cli.help_control")
@click.option("--config", type=click.Path(path_type=Path), help="cli.help_config_file")
@click.pass_context
def command(ctx: click.Context, config: Path | None) -> None:
    """Reads the settings before Celery's app, which is made on import, reads them again."""
    loaded = settings.load(config)
    if loaded.redis.url is None:
        raise SettingsError("redis_url_missing", param="redis.url")
    for name, value in settings.environment(loaded).items():
        settings.set_variable(name, value)
    from app.workers import control

    ctx.exit(control.serve())
