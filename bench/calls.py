"""What a benchmark of large batches does by HTTP: write a file, upload, create, wait, read."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.2  # every poll takes time from the service on a small machine


def write(path: Path, lines: int, size: int, *, model: str) -> None:
    """A batch file of so many lines, padded to `size` bytes in all."""
    with path.open("w") as file:
        for number in range(lines):
            bare = _line(number, model, "")
            file.write(_line(number, model, "x" * max(0, size // lines - len(bare))))


def _line(number: int, model: str, padding: str) -> str:
    body = {"model": model, "prompt": f"line {number} {padding}", "max_tokens": 1000}
    url = "/v1/completions"
    record = {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}
    return json.dumps(record) + "\n"


def upload(client: httpx.Client, path: Path) -> str:
    """The id of the uploaded file."""
    with path.open("rb") as file:
        form = {"file": (path.name, file)}
        answer = client.post("/v1/files", data={"purpose": "batch"}, files=form, timeout=120)
    return str(answer.raise_for_status().json()["id"])


def create(client: httpx.Client, file_id: str) -> str:
    """The id of the batch."""
    order = {"input_file_id": file_id, "endpoint": "/v1/completions", "completion_window": "24h"}
    return str(client.post("/v1/batches", json=order).raise_for_status().json()["id"])


def finish(client: httpx.Client, batch_id: str) -> dict[str, Any]:
    """The batch object once the batch has completed, every line of it."""
    while True:
        batch = client.get(f"/v1/batches/{batch_id}").raise_for_status().json()
        if batch["status"] in ("completed", "failed", "expired", "cancelled"):
            assert batch["status"] == "completed", batch
            assert batch["request_counts"]["completed"] == batch["request_counts"]["total"], batch
            return dict(batch)
        time.sleep(_POLL_SECONDS)


def first_byte(client: httpx.Client, file_id: str) -> float:
    """Seconds until the content begins to arrive."""
    started = time.perf_counter()
    with client.stream("GET", f"/v1/files/{file_id}/content") as answer:
        next(answer.iter_bytes(1))
        return round(time.perf_counter() - started, 4)


def wait(is_true: Callable[[], bool]) -> float:
    """The moment at which it became true."""
    until = time.monotonic() + _WAIT_SECONDS
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.05)
    return time.perf_counter()
