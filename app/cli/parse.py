"""`autoglm parse`: the syntax tree of an instruction, as JSON."""

import json

import click

from app.coding import instruction


@click.command("parse", help="cli.help_parse")
@click.argument("text", metavar="INSTRUCTION")
def command(text: str) -> None:
    """Prints the tree of INSTRUCTION, or of standard input for a dash."""
    if text == "-":
        text = click.get_text_stream("stdin", encoding="utf-8", errors="replace").read()
    click.echo(json.dumps(instruction.parse(text).as_json(), indent=2, ensure_ascii=False))
