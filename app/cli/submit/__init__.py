"""`autoglm submit`: sends a file of requests as batches and writes the results in input order."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from app import cli, errors, locales, settings
from app.cli import client
from app.cli.submit import check, division, preflight, progress, run, state
from app.cli.submit.source import Source

DEFAULT_URL = "http://127.0.0.1:8080"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTPUT = click.Path(dir_okay=False, path_type=Path)
_POSITIVE = click.IntRange(min=1)
_BYTES = click.IntRange(min=1024)
_LIMITS = division.Limits()


@dataclass(frozen=True)
class Options:
    """The command line."""

    file: Path
    output: Path | None
    check_only: bool
    server: str | None
    resume: bool
    url: str | None
    api_key: str | None
    timeout: float | None
    quiet: bool
    as_json: bool
    batch_lines: int
    batch_bytes: int


@click.command("submit", help="submit.help")
@click.argument("file", type=_FILE)
@click.option("-o", "--output", type=_OUTPUT, help="submit.help_output")
@click.option("--check", "check_only", is_flag=True, help="submit.help_check")
@click.option("--server", help="submit.help_server")
@click.option("--resume/--no-resume", default=True, help="submit.help_resume")
@click.option("--url", help="submit.help_url")
@click.option("--api-key", help="submit.help_api_key")
@click.option("--timeout", type=click.FloatRange(min=0), help="submit.help_timeout")
@click.option("--quiet", is_flag=True, help="submit.help_quiet")
@cli.json_option("submit.help_json")
@click.option(
    "--batch-lines", type=_POSITIVE, default=_LIMITS.batch_lines, help="submit.help_batch_lines"
)
@click.option(
    "--batch-bytes", type=_BYTES, default=_LIMITS.batch_bytes, help="submit.help_batch_bytes"
)
@click.pass_context
def command(ctx: click.Context, /, **arguments: Any) -> None:
    """Exit status: 0 all lines succeeded, 1 some failed or the server refused, 2 bad input."""
    options = Options(**arguments)
    submission = _plan(options)
    try:
        if options.check_only and options.server:
            _ask_server(submission, options)
        elif options.check_only:
            _check(submission, options)
        elif _submit(submission, options).failed:
            ctx.exit(1)
    except OSError as error:
        raise errors.AutoglmError(
            "file_failed", path=error.filename or str(submission.results), reason=error.strerror
        ) from error


def _plan(options: Options) -> run.Submission:
    results = options.output or options.file.with_suffix(".results.jsonl")
    if results.resolve() == options.file.resolve():
        raise errors.InputError("output_is_input", path=str(options.file))
    line_bytes = min(_LIMITS.line_bytes, options.batch_bytes - 1)
    limits = division.Limits(options.batch_lines, options.batch_bytes, line_bytes)
    report = _Report(options.file, as_json=options.as_json)
    return run.Submission(options.file, results, limits, report)


class _Report:
    """Prints each problem as it is found: like a compiler on stderr, or as JSON on stdout."""

    def __init__(self, path: Path, *, as_json: bool) -> None:
        self._path = path
        self._as_json = as_json

    def __call__(self, problem: check.Problem) -> None:
        if self._as_json:
            _print_json(problem.to_json())
            return
        place = f"{self._path}:{problem.line}" if problem.line else str(self._path)
        mark = "" if problem.severity == "error" else f"{problem.severity}: "
        click.echo(f"{place}: {mark}{problem.code}: {problem.message}", err=True)


def _check(submission: run.Submission, options: Options) -> None:
    verdict = run.check_source(submission)
    counts = {"lines": verdict.lines, "batches": len(verdict.chunks)}
    if options.as_json:
        _print_json({**counts, "problems": verdict.problems})
    elif not options.quiet:
        click.echo(cli.say("submit.checked", path=str(submission.source), **counts))


def _ask_server(submission: run.Submission, options: Options) -> None:
    """The server's judgement; InputError when it found an error. What a file of several batches
    breaks as a whole, and that there is nothing to judge, only we can see."""
    display = progress.open_display(sys.stderr, quiet=options.quiet)
    silent = check.check_file(submission.source, submission.limits, lambda _problem: None)
    if len(silent.chunks) != 1:
        run.check_source(submission)
    with _open_client(options, display) as api:
        source = Source(submission.source)
        judgement = preflight.ask(api, source, silent, submission.report)
    display.close()
    if options.as_json:
        _print_json(asdict(judgement))
    elif not options.quiet:
        click.echo(_describe(submission.source, judgement))
    if judgement.errors:
        path = str(submission.source)
        raise errors.InputError("invalid_input_file", path=path, problems=judgement.errors)


def _describe(path: Path, judgement: preflight.Judgement) -> str:
    tokens, minutes = judgement.prompt_tokens, judgement.device_minutes
    why = "lengths" if judgement.reason == "lengths_unknown" else "minutes"
    unknown = cli.say(f"submit.{why}_unknown")
    shown = {
        "path": str(path),
        "prompt_tokens": "?" if tokens is None else tokens,
        "device_minutes": unknown
        if minutes is None
        else cli.say("submit.minutes", minutes=minutes),
    }
    return cli.say("submit.judged", **asdict(judgement) | shown)


def _open_client(options: Options, display: progress.Display) -> client.Client:
    given = options.server or options.url
    url = given or settings.variable("AUTOGLM_API_URL") or DEFAULT_URL
    return client.Client(
        url,
        language=locales.system(),
        api_key=options.api_key or settings.variable("AUTOGLM_API_KEY"),
        timeout=options.timeout,
        on_pause=progress.Pauses(display, url),
    )


def _submit(submission: run.Submission, options: Options) -> run.Summary:
    display = progress.open_display(sys.stderr, quiet=options.quiet)
    api = _open_client(options, display)
    try:
        with state.locked(submission.results), api:
            summary = run.run_submission(submission, api, display, resume=options.resume)
    except KeyboardInterrupt:
        display.close()
        _explain_interruption(submission)
        raise
    finally:
        display.close()
    _print_summary(summary, options)
    return summary


def _explain_interruption(submission: run.Submission) -> None:
    if submission.state_path.exists():
        state_path = str(submission.state_path)
        click.echo("\n" + cli.say("submit.interrupted", state=state_path), err=True)


def _print_summary(summary: run.Summary, options: Options) -> None:
    if options.as_json:
        _print_json(asdict(summary))
    elif not options.quiet:
        click.echo(cli.say("submit.summary", **asdict(summary)))


def _print_json(content: dict[str, Any]) -> None:
    click.echo(orjson.dumps(content).decode())
