"""`autoglm parse`: the syntax tree of an instruction, as JSON."""

import json
import sys

import click

from app.coding import instruction


@click.command("parse", help="cli.help_parse")
@click.argument("text", metavar="INSTRUCTION")
def command(text: str) -> None:
    """Prints the tree of INSTRUCTION, or of standard input for a dash."""
    if text == "-":
        text = sys.stdin.buffer.read().decode(errors="replace")
    tree = instruction.parse(text)
    click.echo(json.dumps(tree.as_json(), indent=2, ensure_ascii=False))
