"""Faults around batch files: a part dies while one arrives or is read; bad lines; a batch whose time ends."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator

import httpx

from tests.faults import stage as staging
from tests.faults.injections import Injection, Scene, around
from tests.integration.workplace import wait_for

_LINES = 40
_BAD = 5
_PIECES = 20


def _make_lines(name: str, *, bad: int = 0) -> list[bytes]:
    """A file's lines; the first `bad` ones cannot be run."""
    lines = []
    for number in range(_LINES):
        body = {"model": "fake", "messages": [{"role": "user", "content": f"{name} {number}"}]}
        wrong = {"max_tokens": -1} if number < bad else {"max_tokens": 8}
        line = {"custom_id": f"{name}-{number}", "method": "POST", "url": "/v1/chat/completions"}
        lines.append(json.dumps(line | {"body": body | wrong}).encode() + b"\n")
    return lines


def interrupt_upload(scene: Scene) -> Injection:
    """F15: the API dies while a file arrives, a control process while it reads the file."""

    def action() -> int:
        lines = _make_lines(f"torn-{scene.dice.random()}")
        broken = _break_upload(scene, lines)
        file_id = _upload(scene, lines)
        batch_id = _create(scene, file_id)
        for name in ("control", "control-2"):
            with scene.stage.held_down(name) as victim:
                staging.kill_tree(victim.pid)
                victim.end()
        _await_end(scene, batch_id)
        _check_counts(scene, batch_id, completed=_LINES)
        return broken

    return around(scene, "F15", action)


def _break_upload(scene: Scene, lines: list[bytes]) -> int:
    """1 if the upload got no answer; then nothing of it may be seen."""
    arriving = threading.Event()

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
        with contextlib.suppress(httpx.TransportError), scene.clients.open() as http:
            answer = http.post("/v1/files", content=_wrap("torn.jsonl", send()), headers=_FORM)
            assert answer.status_code >= 500, "F15: half a file was accepted"
        killer.join()
    scene.stage.wait_answering()
    seen = scene.stage.ask("SELECT count(*) FROM files WHERE filename = 'torn.jsonl'")
    assert seen == 0, "F15: half a file can be seen"
    return 1


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
        lines = _make_lines(f"mixed-{scene.dice.random()}", bad=_BAD)
        batch_id = _create(scene, _upload(scene, lines))
        _await_end(scene, batch_id)
        _check_counts(scene, batch_id, completed=_LINES - _BAD)
        return _BAD

    return around(scene, "F28", action)


def end_window(scene: Scene) -> Injection:
    """F33: the time of a batch ends while it runs: its files and counts agree."""
    stage = scene.stage

    def action() -> int:
        batch_id = _create(scene, _upload(scene, _make_lines(f"late-{scene.dice.random()}")))
        asked = "SELECT completed FROM batches WHERE id = :id"
        wait_for(
            lambda: stage.ask(asked, id=batch_id) > 0, "the first line", staging.PATIENCE_SECONDS
        )
        for statement in (
            "UPDATE batches SET expires_at = :now WHERE id = :id",
            "UPDATE jobs SET expires_at = :now WHERE batch_id = :id",
        ):
            stage.change(statement, now=time.time() - 1, id=batch_id)
        _await_end(scene, batch_id)
        _check_counts(scene, batch_id)
        return 1

    return around(scene, "F33", action)


def _upload(scene: Scene, lines: list[bytes]) -> str:
    form = {"files": {"file": ("in.jsonl", b"".join(lines))}, "data": {"purpose": "batch"}}
    return str(scene.clients.demand("/v1/files", **form)["id"])


def _create(scene: Scene, file_id: str) -> str:
    window = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return str(scene.clients.demand("/v1/batches", json=window | {"input_file_id": file_id})["id"])


def _await_end(scene: Scene, batch_id: str) -> None:
    asked = "SELECT count(*) FROM batches WHERE id = :id AND status IN ('completed', 'expired')"
    wait_for(
        lambda: scene.stage.ask(asked, id=batch_id),
        f"the end of {batch_id}",
        staging.PATIENCE_SECONDS,
        every=staging.LOOK_SECONDS,
    )


def _check_counts(scene: Scene, batch_id: str, completed: int | None = None) -> None:
    """Both files hold each line once, and as many as the batch counts."""
    batch = scene.clients.fetch(f"/v1/batches/{batch_id}").json()
    counts = batch["request_counts"]
    found: list[str] = []
    for name, wanted in (("output_file_id", "completed"), ("error_file_id", "failed")):
        content = (
            scene.clients.fetch(f"/v1/files/{batch[name]}/content").text if batch[name] else ""
        )
        ids = [json.loads(line)["custom_id"] for line in content.splitlines()]
        assert len(ids) == counts[wanted], (
            f"I7: {name} of {batch_id} has {len(ids)} lines: {counts}"
        )
        found += ids
    assert len(found) == len(set(found)) == _LINES, f"I7: {batch_id} has {len(found)} lines"
    if completed is not None:
        assert counts["completed"] == completed, f"I6: {batch_id} counts {counts}"
