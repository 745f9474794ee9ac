"""`autoglm batches`: make, list, watch, read, retry, pause and cancel batches on a server."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from app import cli, locales, settings
from app.cli import client, server
from app.cli.batches import calls, follow, tables, verify
from app.cli.batches import output as files
from app.cli.submit import DEFAULT_URL, progress

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTPUT = click.Path(dir_okay=False, path_type=Path)
_LIFETIME = click.IntRange(3600, 2_592_000)
_BATCH = click.argument("batch_id")


@click.group("batches", help="batches.help")
def command() -> None:
    """Every command takes the same options of the server, and --json for machines."""


def _server(function: F) -> F:
    """The options that say which server, and how to speak."""
    return server.options(cli.json_option("batches.help_json")(function))


class _Session:
    """A client of the server, and how its answers are printed."""

    def __init__(
        self, url: str | None, api_key: str | None, timeout: float | None, *, as_json: bool
    ) -> None:
        self.as_json = as_json
        self.display = progress.open_display(sys.stderr, quiet=as_json)
        where = url or settings.variable("AUTOGLM_API_URL") or DEFAULT_URL
        self.api = client.Client(
            where,
            language=locales.system(),
            api_key=api_key or settings.variable("AUTOGLM_API_KEY"),
            timeout=timeout,
            on_pause=progress.Pauses(self.display, where),
        )

    def __enter__(self) -> "_Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.display.close()
        self.api.close()

    def print(self, content: dict[str, Any], shown: Callable[[dict[str, Any]], None]) -> None:
        """JSON for machines, else as `shown` draws it."""
        if self.as_json:
            print_json(content)
        else:
            shown(content)


def print_json(content: dict[str, Any]) -> None:
    click.echo(orjson.dumps(content).decode())


@command.command("create", help="batches.help_create")
@click.argument("file", type=_FILE)
@click.option("--endpoint", help="batches.help_endpoint")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="batches.help_metadata")
@click.option("--webhook", metavar="URL", help="batches.help_webhook")
@click.option("--output-expires-after", "lifetime", type=_LIFETIME, help="batches.help_lifetime")
@click.option("--watch", "is_watched", is_flag=True, help="batches.help_then_watch")
@_server
@click.pass_context
def create(
    ctx: click.Context, /, file: Path, endpoint: str | None, is_watched: bool, **given: Any
) -> None:
    fields, server = _part(given, "metadata", "webhook", "lifetime")
    options = calls.read_options(**fields)
    with _Session(**server) as session:
        named = endpoint or calls.guess_endpoint(file)
        batch = calls.create(session.api, file, named, options)
        _finish(ctx, session, batch, is_watched=is_watched)


def _part(given: dict[str, Any], *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given under these names, and the rest."""
    rest = {name: value for name, value in given.items() if name not in names}
    return {name: given[name] for name in names}, rest


def _finish(
    ctx: click.Context, session: _Session, batch: dict[str, Any], *, is_watched: bool
) -> None:
    """Prints the batch, now or once it has ended; exit status 1 when lines of it failed."""
    if not is_watched:
        session.print(batch, tables.show_batch)
        return
    ended = follow.watch(session.api, session.display, batch["id"])
    session.display.close()
    session.print(ended, tables.show_batch)
    if not follow.is_clean(ended):
        ctx.exit(1)


@command.command("list", help="batches.help_list")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="batches.help_limit")
@click.option("--status", help="batches.help_status")
@_server
def list_batches(limit: int, status: str | None, **server: Any) -> None:
    with _Session(**server) as session:
        found = calls.list_batches(session.api, limit, status)
        if not session.as_json:
            tables.show_list(list(found))
            return
        for batch in found:
            print_json(batch)


@command.command("show", help="batches.help_show")
@_BATCH
@_server
def show(batch_id: str, **server: Any) -> None:
    with _Session(**server) as session:
        batch = session.api.fetch_batch(batch_id)
        reasons = calls.explain(session.api, batch_id)
        session.print({**batch, "reasons": reasons["reasons"]}, tables.show_batch)


@command.command("watch", help="batches.help_watch")
@_BATCH
@_server
@click.pass_context
def watch(ctx: click.Context, /, batch_id: str, **server: Any) -> None:
    with _Session(**server) as session:
        _finish(ctx, session, {"id": batch_id}, is_watched=True)


@command.command("results", help="batches.help_results")
@_BATCH
@click.option("-o", "--output", type=_OUTPUT, help="batches.help_output")
@click.option("--follow/--no-follow", "is_followed", default=True, help="batches.help_follow")
@click.option("--after", help="batches.help_after")
@_server
def results(
    batch_id: str, output: Path | None, is_followed: bool, after: str | None, **server: Any
) -> None:
    with _Session(**server) as session:
        begun = files.find_cursor(session.api, batch_id, output)
        lines = follow.read_results(session.api, batch_id, after or begun, is_followed=is_followed)
        number = files.write(lines, output)
        if output is not None and not session.as_json:
            click.echo(cli.say("batches.written", lines=number, path=str(output)), err=True)


@command.command("retry", help="batches.help_retry")
@_BATCH
@click.option("--watch", "is_watched", is_flag=True, help="batches.help_then_watch")
@_server
@click.pass_context
def retry(ctx: click.Context, /, batch_id: str, is_watched: bool, **server: Any) -> None:
    with _Session(**server) as session:
        batch = calls.act(session.api, batch_id, "retry")
        _finish(ctx, session, batch, is_watched=is_watched)


def _add_action(verb: str) -> None:
    @command.command(verb, help=f"batches.help_{verb}")
    @_BATCH
    @_server
    def act(batch_id: str, **server: Any) -> None:
        with _Session(**server) as session:
            session.print(calls.act(session.api, batch_id, verb), tables.show_batch)


for _verb in ("pause", "resume", "cancel"):
    _add_action(_verb)


@command.command("explain", help="batches.help_explain")
@_BATCH
@_server
def explain(batch_id: str, **server: Any) -> None:
    with _Session(**server) as session:
        session.print(calls.explain(session.api, batch_id), tables.show_reasons)


@command.command("line", help="batches.help_line")
@_BATCH
@click.argument("line")
@_server
def line(batch_id: str, line: str, **server: Any) -> None:
    with _Session(**server) as session:
        session.print(calls.read_line(session.api, batch_id, line), tables.show_line)


command.add_command(verify.verify)
