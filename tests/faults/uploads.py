"""Faults around batch files: the API dies while one arrives, control processes while they read it; bad
lines; a batch whose time ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil

from app.workers import ingest
from tests.faults import sheets
from tests.faults import stage as staging
from tests.faults.injections import Injection, Scene, around
from tests.faults.stage import CONTROLS, Stage
from tests.integration.workplace import Program, wait_for

_LINES = 40
_BAD = 5
_LONG = 400  # so many lines that a control process is caught reading them; all but _LINES are bad
_LATE = 120  # so many that some wait yet when the first has ended
_LONG_AGO = 2 * 3600.0  # also for a process that began while the wall clock was an hour late
_PIECES = 20
_LOOKS = 100


def interrupt_upload(scene: Scene) -> Injection:
    """F15: the API dies while a file arrives, both control processes while they read the file. It
    counts if both happened."""

    def action() -> int:
        sheet = sheets.make(f"torn-{scene.dice.random()}", _LONG, bad=_LONG - _LINES)
        is_torn = _break_upload(scene, sheet.write())
        batch_id = sheets.create(scene, sheets.upload(scene, sheet), sheet)
        num_missing = _kill_readers(scene.stage, batch_id)
        sheets.await_end(scene, batch_id)
        counts = sheets.check_files(scene, batch_id, sheet)
        assert counts["completed"] == _LINES, f"I6: {batch_id} counts {counts}"
        return num_missing if is_torn else 0

    return around(scene, "F15", action)


def _break_upload(scene: Scene, lines: Sequence[bytes]) -> bool:
    """Whether the API died in the middle of the upload; nothing of it may be seen afterwards."""
    arriving, is_torn = threading.Event(), False
    scene.stage.wait_answering()

    def send() -> Iterator[bytes]:
        for number in range(_PIECES):
            if number == _PIECES // 2:
                arriving.set()
            yield b"".join(lines[number::_PIECES])
            time.sleep(0.05)

    with scene.stage.held_down("api") as victim:

        def kill() -> None:
            arriving.wait(10)
            staging.kill_tree(victim.pid)
            victim.end()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with scene.clients.open() as http:
                answer = http.post("/v1/files", content=_wrap("torn.jsonl", send()), headers=_FORM)
            assert answer.status_code >= 500, "F15: half a file was accepted"
        except httpx.TransportError:
            is_torn = arriving.is_set()
        killer.join()
        is_torn = is_torn and victim.process.returncode == -signal.SIGKILL
    scene.stage.wait_answering()
    seen = scene.stage.ask("SELECT count(*) FROM files WHERE filename = 'torn.jsonl'")
    assert seen == 0, "F15: half a file can be seen"
    return is_torn


def _kill_readers(stage: Stage, batch_id: str) -> int:
    """Both control processes die while one of them reads the batch's file; how many of its lines were
    not stored then. 0 if none was caught reading: then they live on."""
    pin = stage.place.context.files / f"{ingest.PIN}{batch_id}"
    _await_reader(stage, pin, batch_id)
    with contextlib.ExitStack() as stack:
        victims = [stack.enter_context(stage.held_down(name)) for name in CONTROLS]
        for victim in victims:
            stack.callback(_signal_tree, victim, signal.SIGCONT)
            _signal_tree(victim, signal.SIGSTOP)
        asked = "SELECT count(*) FROM jobs WHERE batch_id = :id"
        num_missing = (_LONG - stage.ask(asked, id=batch_id)) if pin.exists() else 0
        for victim in victims if num_missing else ():
            staging.kill_tree(victim.pid)
            victim.end()
    return num_missing


def _await_reader(stage: Stage, pin: Path, batch_id: str) -> None:
    """Until a control process has begun with the file; one may be starting. A pin is there for a
    fraction of a second: it is looked for all the time, the rows now and then."""
    asked = "SELECT lines_ingested FROM batches WHERE id = :id"
    until = time.monotonic() + staging.PATIENCE_SECONDS
    while stage.ask(asked, id=batch_id) == 0:
        assert time.monotonic() < until, f"nobody reads the file of {batch_id}"
        for _ in range(_LOOKS):
            if pin.exists():
                return
            time.sleep(0.002)


def _signal_tree(victim: Program, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(victim.pid)
        for process in (root, *root.children(recursive=True)):
            process.send_signal(number)


_BOUNDARY = "a-boundary"
_FORM = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


def _wrap(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A multipart form with `purpose` and the file."""
    yield (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n"
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename="{name}"\r\n\r\n'
    ).encode()
    yield from pieces
    yield f"\r\n--{_BOUNDARY}--\r\n".encode()


def mix_lines(scene: Scene) -> Injection:
    """F28: a file with bad lines: each fails alone, all others succeed, each counted once."""

    def action() -> int:
        sheet = sheets.make(f"mixed-{scene.dice.random()}", _LINES, bad=_BAD)
        batch_id = sheets.create(scene, sheets.upload(scene, sheet), sheet)
        sheets.await_end(scene, batch_id)
        counts = sheets.check_files(scene, batch_id, sheet)
        wanted = {"total": _LINES, "completed": _LINES - _BAD, "failed": _BAD}
        assert counts == wanted, f"I6: {batch_id} counts {counts}"
        return counts["failed"]

    return around(scene, "F28", action)


def end_window(scene: Scene) -> Injection:
    """F33: the time of a batch ends while it runs: its files and counts agree. It counts if the batch
    expired with lines that did."""
    stage = scene.stage

    def action() -> int:
        sheet = sheets.make(f"late-{scene.dice.random()}", _LATE, may_expire=True)
        batch_id = sheets.create(scene, sheets.upload(scene, sheet), sheet)
        asked = "SELECT completed FROM batches WHERE id = :id"
        wait_for(
            lambda: stage.ask(asked, id=batch_id) > 0, "the first line", staging.PATIENCE_SECONDS
        )
        for statement in (
            "UPDATE batches SET expires_at = :now WHERE id = :id",
            "UPDATE jobs SET expires_at = :now WHERE batch_id = :id AND finished_at IS NULL",
        ):
            stage.change(statement, now=time.time() - _LONG_AGO, id=batch_id)
        state = sheets.await_end(scene, batch_id)
        sheets.check_files(scene, batch_id, sheet)
        expired = "SELECT count(*) FROM jobs WHERE batch_id = :id AND state = 'expired'"
        return stage.ask(expired, id=batch_id) if state == "expired" else 0

    return around(scene, "F33", action)
