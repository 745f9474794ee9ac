"""`autoglm config`: the configuration in force, checked, with secrets left out."""

import json

import click

from app import settings


@click.command("config", help="cli.help_config")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
def command(config: str | None) -> None:
    """Prints it as JSON; a wrong one ends with status 2 and says what to change."""
    click.echo(json.dumps(settings.describe(settings.load(config)), indent=2, ensure_ascii=False))
