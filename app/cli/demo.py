"""`autoglm demo`: the whole way of a job on a fresh machine, in one command."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import httpx

from app import settings
from app.cli import say
from app.errors import Unavailable
from app.stack import ports

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_CLI = (sys.executable, "-m", "app.cli")


@click.command("demo", help="demo.help")
@click.option("--input", "source", default="examples/batch.jsonl", help="demo.help_input")
@click.option("--sessions", default="examples/session.jsonl", help="demo.help_sessions")
@click.option("--folder", default="var/demo", help="demo.help_folder")
@click.pass_context
def command(ctx: click.Context, source: str, sessions: str, folder: str) -> None:
    """Starts everything on free ports, submits, prints, stops. Exits with submit's status."""
    started = time.monotonic()
    place = Path(folder).absolute()
    shutil.rmtree(place / "data", ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    results = place / "results.jsonl"
    with _running(place) as url:
        click.echo(say("demo.started", seconds=f"{time.monotonic() - started:.1f}"), err=True)
        status = _submit(Path(source), results, url)
        _print_answers(Path(source), results)
        _show_sessions(Path(sessions), url)
    seconds = f"{time.monotonic() - started:.1f}"
    click.echo(say("demo.done", seconds=seconds, path=_relative(results)), err=True)
    ctx.exit(status)


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@contextlib.contextmanager
def _running(place: Path) -> Iterator[str]:
    """`autoglm up` on free loopback ports while the block runs; yields its address."""
    port, flower_port = ports.find_free(), ports.find_free()
    url = f"http://127.0.0.1:{port}"
    click.echo(say("demo.starting", url=url), err=True)
    where = ("--host", "127.0.0.1", "--port", str(port), "--flower-port", str(flower_port))
    own = place / "config.yaml"  # the demo shows the defaults, whatever is configured here
    own.write_text("{}\n")
    with (place / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*_CLI, "up", "--config", str(own), *where, "--data-dir", str(place / "data")],
            env=settings.child_environ(),
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(process, url, place)
        yield url
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, place: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    with httpx.Client(base_url=url, timeout=5.0, trust_env=False) as client:
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if client.get("/health").status_code == 200:
                    return
            time.sleep(0.1)
    raise Unavailable("stack_not_ready", seconds=int(_START_SECONDS), logs=str(place))


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _submit(source: Path, results: Path, url: str) -> int:
    """The bulk script, with its progress bar."""
    command = [*_CLI, "submit", str(source), "-o", str(results), "--url", url, "--no-resume"]
    return subprocess.run(command, check=False, env=settings.child_environ()).returncode


def _print_answers(source: Path, results: Path) -> None:
    asked, answered = _read(source), _read(results)
    for line, result in zip(asked, answered, strict=True):
        _print_exchange(line["body"]["messages"][-1]["content"], _answer(result))


def _read(path: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def _answer(result: dict[str, Any]) -> str:
    body = (result["response"] or {}).get("body", {})
    if "choices" in body:
        return str(body["choices"][0]["message"]["content"])
    return str((result["error"] or body.get("error") or {}).get("message"))


def _print_exchange(question: str, answer: str) -> None:
    click.secho(f"> {question}", bold=True)
    click.echo(f"{answer.rstrip()}\n")


def _show_sessions(path: Path, url: str) -> None:
    """Each session's turns, one after the other: a later one builds on the earlier."""
    with httpx.Client(base_url=url, timeout=120.0, trust_env=False) as client:
        for locale, turns in groupby(_read(path), key=lambda turn: turn["session"]):
            click.echo(say("demo.session", language=locale), err=True)
            session = client.post("/v1/sessions", json={}).raise_for_status().json()
            for turn in turns:
                _take_turn(client, session["id"], turn["content"])


def _take_turn(client: httpx.Client, session_id: str, content: str) -> None:
    model = client.get("/v1/models").raise_for_status().json()["data"][0]["id"]
    body = {
        "model": model,
        "session_id": session_id,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
    }
    job = client.post("/v1/jobs", json=body).raise_for_status().json()
    while job["status"] in ("queued", "running"):
        job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).raise_for_status().json()
    answer = job["result"]["text"] if job["result"] else job["error"]["message"]
    _print_exchange(content, answer)
