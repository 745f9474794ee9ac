"""Batches, reasons and lines as tables of a terminal."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from app import cli
from app.cli.batches import calls, follow

_WIDTH = 160  # where no terminal says how wide it is


def show_list(batches: Sequence[dict[str, Any]]) -> None:
    """One row a batch."""
    names = ("id", "status", "model", "lines", "failed", "created", "eta")
    _print(names, ([*_list_row(batch)] for batch in batches))


def _list_row(batch: dict[str, Any]) -> Iterator[str]:
    counts = batch["request_counts"]
    yield batch["id"]
    yield calls.describe(batch) + (" !" if batch.get("at_risk") else "")
    yield batch.get("model") or "-"
    yield f"{counts['completed'] + counts['failed']}/{counts['total']}"
    yield str(counts["failed"])
    yield _date(batch["created_at"])
    yield _end(batch)


def show_batch(batch: dict[str, Any]) -> None:
    """One row a property, then what the batch waits for and what is wrong with its file."""
    counts, usage = batch["request_counts"], batch.get("usage") or {}
    rows = {
        "id": batch["id"],
        "status": calls.describe(batch) + (" !" if batch.get("at_risk") else ""),
        "model": batch.get("model"),
        "endpoint": batch["endpoint"],
        "lines": f"{counts['completed'] + counts['failed']}/{counts['total']}",
        "failed": str(counts["failed"]),
        "tokens": f"{usage.get('input_tokens', 0)} + {usage.get('output_tokens', 0)}",
        "pace": _pace(batch),
        "created": _date(batch["created_at"]),
        "eta": _end(batch),
        "expires": _date(batch.get("expires_at")),
        "output": batch.get("output_file_id"),
        "errors": batch.get("error_file_id"),
        "retried_from": batch.get("retried_from"),
        "retries": " ".join(batch.get("retries") or ()),
    }
    _print(None, ([cli.say(f"batches.column_{name}"), text] for name, text in rows.items() if text))
    show_reasons(batch)
    _show_problems((batch.get("errors") or {}).get("data") or [])


def _end(batch: dict[str, Any]) -> str:
    """When it ended, or with `~` when it will probably have."""
    ended = (batch.get(f"{status}_at") for status in sorted(follow.ENDED))
    stamp = next((each for each in ended if each is not None), None)
    if stamp is not None:
        return _date(stamp)
    return "-" if batch.get("eta_at") is None else f"~{_date(batch['eta_at'])}"


def _pace(batch: dict[str, Any]) -> str | None:
    lines, tokens = batch.get("lines_per_second"), batch.get("tokens_per_second")
    if lines is None:
        return None
    return cli.say("batches.pace", lines=f"{lines:.1f}", tokens=f"{tokens or 0:.0f}")


def show_reasons(batch: dict[str, Any]) -> None:
    """What it waits for, and what would change that."""
    reasons = batch.get("reasons") or []
    if reasons:
        rows = ([each["code"], each["message"], each["change"]] for each in reasons)
        _print(("code", "reason", "change"), rows)


def _show_problems(problems: Sequence[dict[str, Any]]) -> None:
    if problems:
        rows = ([str(p["line"] or "-"), p["code"], p["message"]] for p in problems)
        _print(("line", "code", "message"), rows)


def show_line(line: dict[str, Any]) -> None:
    """A line, then its attempts."""
    shown = ("line", "custom_id", "status", "job_id", "crashes")
    _print(None, ([cli.say(f"batches.column_{name}"), str(line[name])] for name in shown))
    names = ("attempt", "slot", "outcome", "claimed", "ended")
    _print(names, ([*_attempt_row(each)] for each in line["attempts"]))
    for attempt in line["attempts"]:
        if attempt.get("evidence"):
            _show_evidence(attempt["attempt"], attempt["evidence"])


def _show_evidence(attempt: int, found: dict[str, Any]) -> None:
    """What a worker left that died in this attempt: where it stood, and its last log lines."""
    click.echo(cli.say(f"batches.evidence_{found['cause']}", attempt=attempt))
    logged = (str(entry.get("message", "")) for entry in found["log"])
    for text in (*found["stacks"].splitlines(), *logged):
        click.echo(f"  {_plain(text)}")


def _attempt_row(attempt: dict[str, Any]) -> Iterator[str]:
    yield str(attempt["attempt"])
    yield attempt["slot"] or "-"
    code = attempt.get("error_code")
    yield attempt["outcome"] + (f" ({code})" if code else "")
    yield _date(attempt["claimed_at"])
    yield _date(attempt["ended_at"])


def _print(names: Sequence[str] | None, rows: Iterator[list[str]]) -> None:
    from rich import box, console, table  # here, because other commands need not their 0.1 s

    width = None if sys.stdout.isatty() else _WIDTH
    drawn = table.Table(box=box.SIMPLE, show_header=names is not None, pad_edge=False)
    for name in names or ("", ""):
        heading = cli.say(f"batches.column_{name}") if name else ""
        drawn.add_column(heading, overflow="fold", no_wrap=name == "id")
    for row in rows:
        drawn.add_row(*map(_plain, row))
    console.Console(width=width, highlight=False, markup=False).print(drawn)


def _plain(text: str) -> str:
    """Text of a server as a terminal may show it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _date(stamp: float | None) -> str:
    if stamp is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp))
