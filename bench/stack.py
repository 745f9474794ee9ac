"""The whole service on loopback for a benchmark, and a small client for it."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from app import settings
from app.models import batches
from app.models.database import Database
from app.stack import ports

_START_SECONDS = 180.0
_POLL_SECONDS = 2.0  # the seconds are the server's own; a poll takes time from a CPU engine


class Client(httpx.Client):
    """A client of a service whose database, at this URL, can be read beside it."""

    database: str


@contextlib.contextmanager
def running(
    folder: Path,
    models: dict[str, Any],
    *,
    workers: int = 1,
    database: str | None = None,
    options: dict[str, Any] | None = None,
) -> Iterator[Client]:
    """`autoglm up` with these models and further options, without Flower, on SQLite or the
    database of this URL; yields a client of it."""
    config = folder / "config.yaml"
    chosen = {"database": {"url": database}} if database else {}
    config.write_text(yaml.safe_dump({"models": models} | chosen | (options or {})))
    port = ports.find_free()
    where = ("--port", str(port), "--data-dir", str(folder / "data"), "--no-flower")
    devices = ("--devices", "cpu", "--workers", str(workers))
    command = [sys.executable, "-m", "app.cli", "up", "--config", str(config), *where, *devices]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, env=settings.child_environ(), stdout=log, stderr=log)
    try:
        with Client(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
            client.database = database or f"sqlite:///{folder / 'data' / 'autoglm.db'}"
            _wait(client, process)
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/health").status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the service did not start")


def run_batch(client: Client, model: str, bodies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Submits the bodies as one batch and returns the finished batch object, with `seconds` from
    its creation to the moment its last job ended, as the stored row has them."""
    lines = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": model, **body},
        }
        for number, body in enumerate(bodies)
    ]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    form = {"file": ("bench.jsonl", content)}
    file = client.post("/v1/files", data={"purpose": "batch"}, files=form).raise_for_status().json()
    order = {
        "input_file_id": file["id"],
        "endpoint": "/v1/completions",
        "completion_window": "24h",
    }
    batch = client.post("/v1/batches", json=order).raise_for_status().json()
    while batch["status"] in ("validating", "in_progress", "finalizing"):
        time.sleep(_POLL_SECONDS)
        batch = client.get(f"/v1/batches/{batch['id']}").raise_for_status().json()
    assert batch["request_counts"]["completed"] == len(lines), batch
    return dict(batch) | {"seconds": _read_seconds(client.database, batch["id"])}


def _read_seconds(url: str, batch_id: str) -> float:
    with contextlib.closing(Database(url)) as db:
        row = batches.find(db, batch_id)
    assert row is not None
    assert row.finalizing_at is not None
    return row.finalizing_at - row.created_at
