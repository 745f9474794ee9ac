"""`autoglm memory`: what a session or scope remembers, listed, exported, pinned, forgotten."""

import tempfile
from pathlib import Path
from typing import Any

import click

from app.cli import client, server

_PAGE = 100
_SESSION = click.argument("session_id")


@click.group("memory", help="memory.help")
def command() -> None:
    """Prints JSON, one object a line."""


def _list(api: client.Client, path: str, cursor: str) -> None:
    """Every page; `cursor` is the field of an object that the next page starts after."""
    after = 0
    while True:
        page = api.ask("GET", path, params={"limit": _PAGE, "after": after})
        for each in page["data"]:
            server.show(each)
        if not page["has_more"]:
            return
        after = int(str(page["data"][-1][cursor]).removeprefix("sym_"))


def _place(session_id: str, *, is_scope: bool) -> str:
    kind = "scopes" if is_scope else "sessions"
    return f"/v1/{kind}/{client.name_part(session_id)}"


@command.command("symbols", help="memory.help_symbols")
@_SESSION
@click.option("--scope", "is_scope", is_flag=True, help="memory.help_scope")
@server.options
def list_symbols(session_id: str, is_scope: bool, **given: Any) -> None:
    with server.connect(**given) as api:
        _list(api, f"{_place(session_id, is_scope=is_scope)}/symbols", "id")


@command.command("turns", help="memory.help_turns")
@_SESSION
@server.options
def list_turns(session_id: str, **given: Any) -> None:
    with server.connect(**given) as api:
        _list(api, f"{_place(session_id, is_scope=False)}/turns", "number")


@command.command("export", help="memory.help_export")
@_SESSION
@click.option("-o", "--output", type=click.Path(path_type=Path), help="memory.help_output")
@server.options
def export(session_id: str, output: Path | None, **given: Any) -> None:
    with server.connect(**given) as api, tempfile.TemporaryDirectory() as folder:
        target = output or Path(folder) / "export.jsonl"
        api.save(f"{_place(session_id, is_scope=False)}/export", target)
        if output is None:
            click.echo(target.read_text(encoding="utf-8"), nl=False)


@command.command("pin", help="memory.help_pin")
@_SESSION
@click.argument("which", metavar="NAME_OR_TURN")
@click.option("--off", is_flag=True, help="memory.help_off")
@click.option("--scope", "is_scope", is_flag=True, help="memory.help_scope")
@server.options
def pin(session_id: str, which: str, off: bool, is_scope: bool, **given: Any) -> None:
    with server.connect(**given) as api:
        path = f"{_place(session_id, is_scope=is_scope)}/{_name(which, is_scope=is_scope)}/pin"
        server.show(api.ask("POST", path, json={"pinned": not off}))


def _name(which: str, *, is_scope: bool) -> str:
    """Where a symbol, or the turn of this number, is; scopes have no turns."""
    is_turn = which.isdecimal() and not is_scope
    return f"turns/{which}" if is_turn else f"symbols/{client.name_part(which)}"


@command.command("forget", help="memory.help_forget")
@_SESSION
@click.argument("which", metavar="[NAME_OR_TURN]", required=False)
@click.option("--scope", "is_scope", is_flag=True, help="memory.help_scope")
@server.options
def forget(session_id: str, which: str | None, is_scope: bool, **given: Any) -> None:
    with server.connect(**given) as api:
        rest = _name(which, is_scope=is_scope) if which is not None else "symbols"
        server.show(api.ask("DELETE", f"{_place(session_id, is_scope=is_scope)}/{rest}"))
