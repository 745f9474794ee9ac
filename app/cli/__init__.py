"""The `autoglm` command: finds its subcommands by file, loads only the one that runs."""

import errno
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import app
from app import errors, locales
from app.cli import phrases

COMMANDS = (
    "up",
    "demo",
    "submit",
    "jobs",
    "batches",
    "memory",
    "api",
    "worker",
    "control",
    "flower",
    "weights",
    "keys",
    "webhooks",
    "db",
    "config",
    "parse",
    "doctor",
)
INTERRUPTED = 130
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSALS = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EIO,
)
_AS_JSON = f"{__name__}.as_json"  # in the context that all commands share
F = TypeVar("F", bound=Callable[..., Any])
_MESSAGE_KEY = re.compile(r"[a-z_]+(\.[a-z_]+)+")


class Commands(click.Group):
    """Each subcommand is the object `command` of the module app.cli.<name>, if that exists."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        present = {path.stem for path in Path(__file__).parent.iterdir()}
        return [name for name in COMMANDS if name in present]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        _translate(command)
        return command

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(say("cli.help"))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _translate(self)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from the message files, so that help imports none of them."""
        with formatter.section(say("cli.commands_title")):
            formatter.write_dl(
                [(name, say(f"cli.command_{name}")) for name in self.list_commands(ctx)]
            )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except errors.AutoglmError as error:
            click.echo(_tell(error, as_json=ctx.meta.get(_AS_JSON, False)), err=True)
            ctx.exit(exit_status(error))
        except OSError as error:
            told = _find_reason(error)
            if told is None:
                raise
            click.echo(_tell(told, as_json=ctx.meta.get(_AS_JSON, False)), err=True)
            ctx.exit(exit_status(told))
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)


def _find_reason(error: OSError) -> errors.AutoglmError | None:
    """What to say of a file that no command expected to refuse; None for what is our own fault."""
    if error.errno in _NO_SPACE:
        return errors.Full("file_no_space", path=str(error.filename or "-"))
    if error.filename is None or error.errno not in _REFUSALS:
        return None
    reason = error.strerror or str(error)
    return errors.InputError("file_refused", path=str(error.filename), reason=reason)


def exit_status(error: errors.AutoglmError) -> int:
    """2 where the user's configuration or input is wrong, 1 for everything else."""
    return 2 if isinstance(error, errors.SettingsError | errors.InputError) else 1


def json_option(help_key: str) -> Callable[[F], F]:
    """The option --json of a command, as `as_json`; errors are JSON then, too."""

    def note(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
        ctx.meta[_AS_JSON] = value
        return value

    return click.option("--json", "as_json", is_flag=True, callback=note, help=help_key)


def _tell(error: errors.AutoglmError, *, as_json: bool) -> str:
    """The error as a person reads it, or as one JSON object on one line."""
    message = locales.explain(error, locale=locales.system())
    if not as_json:
        return message
    told = {**error.values, "code": error.code, "message": message, "param": error.param}
    return json.dumps({"error": told}, ensure_ascii=False, default=str)


def say(key: str, **values: Any) -> str:
    """The message `key` in the language of this terminal."""
    return locales.message(key, locale=locales.system(), **values)


def _translate(command: click.Command) -> None:
    """Replaces help texts that are message keys (`submit.help`) by the messages."""
    for owner in (command, *command.params):
        text = getattr(owner, "help", None)
        if text and _MESSAGE_KEY.fullmatch(text):
            setattr(owner, "help", say(text))  # noqa: B010 - Command and Option share the name only
    for subcommand in getattr(command, "commands", {}).values():
        _translate(subcommand)


phrases.install()


@click.group(cls=Commands)
@click.version_option(version=app.__version__, prog_name="autoglm", help="click.version_shown")
def main() -> None:
    """Runs one command and turns its deliberate errors into a message and an exit status."""
