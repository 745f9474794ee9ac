"""`autoglm doctor`: what this machine has and lacks, row by row, with the remedy."""

import json

import click

from app import cli, locales, settings
from app.stack import checkup


@click.command("doctor", help="doctor.help")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
@cli.json_option("doctor.help_json")
@click.pass_context
def command(ctx: click.Context, config: str | None, as_json: bool) -> None:
    """Exits with 1 if a check failed; warnings do not matter for that."""
    has_failed = False
    for row in checkup.run(settings.load(config)):
        has_failed = has_failed or row.state == checkup.FAILED
        told = cli.say(f"doctor.{row.key}", **row.values)
        if as_json:
            shown = {"subject": row.subject, "state": row.state, "code": row.key, "message": told}
            click.echo(json.dumps(shown, ensure_ascii=False))
        else:
            state = locales.message(f"doctor.state_{row.state}", locales.system())
            click.echo(f"{state}  {row.subject}: {told}")
    ctx.exit(1 if has_failed else 0)
