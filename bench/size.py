"""A file of 200 MB and 50,000 lines through the whole service: times, memory, polls, pre-emption.

`python -m bench.size [--lines N] [--bytes N] [--only sqlite|postgresql]` does it on SQLite and then
on a PostgreSQL of its own, prints one JSON object and writes it to var/bench/size.json.
The fake engine costs nothing, so every second is the service's own.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from app.models import batches, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from bench import calls, polls, rss, stack
from tests.postgres import running_postgres

LINES, BYTES = 50_000, 200 * 1024 * 1024
STORES = ("sqlite", "postgresql")
_TARGET = Path("var/bench/size.json")
_STEP_SECONDS = 0.05  # of the model that an interactive job has to push its way into
_MODELS = {
    "fast": {"backend": "fake", "fake": {"tokens_per_job": 8}},
    "busy": {"backend": "fake", "fake": {"tokens_per_job": 200, "step_seconds": _STEP_SECONDS}},
}


def measure(folder: Path, *, lines: int, size: int, stores: Sequence[str]) -> dict[str, Any]:
    """Everything that issue and docs promise about large files, on each store in turn."""
    report = {}
    for name in stores:
        report[name] = measure_jobs(folder / name, name, lines, size)
        report[name]["interactive"] = measure_interactive(folder / f"{name}-busy", name, lines)
    return report


@contextlib.contextmanager
def serving(folder: Path, store: str, model: str, *, workers: int) -> Iterator["Service"]:
    """One service with an empty database, and the database beside it: its own clock, without
    asking it anything."""
    folder.mkdir()
    models = {model: _MODELS[model]}
    with contextlib.ExitStack() as exits:
        url = exits.enter_context(_opening(store, folder))
        client = exits.enter_context(stack.running(folder, models, workers=workers, database=url))
        yield Service(client, exits.enter_context(contextlib.closing(Database(url))), folder)


@contextlib.contextmanager
def _opening(store: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database; PostgreSQL with the settings of a server that nobody tuned."""
    if store == "sqlite":
        yield f"sqlite:///{folder / 'data' / 'autoglm.db'}"
        return
    with running_postgres() as server:
        yield server.create("size")


class Service:
    """A running service, its database and its folder."""

    def __init__(self, client: httpx.Client, db: Database, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self._db = db

    def row(self, batch_id: str) -> Batch:
        """The batch as it is stored."""
        found = batches.find(self._db, batch_id)
        assert found is not None
        return found

    def delay(self, job_id: str) -> float:
        """Seconds from the creation of a job to its claim."""
        job = jobs.get(self._db, DEFAULT_TENANT, job_id)
        assert job.started_at is not None
        return job.started_at - job.created_at


def measure_jobs(folder: Path, store: str, lines: int, size: int) -> dict[str, Any]:
    """The large file, and then as many short lines."""
    with serving(folder, store, "fast", workers=2) as service:
        big, small = folder / "big.jsonl", folder / "small.jsonl"
        calls.write(big, lines, size, model="fast")
        calls.write(small, lines, 0, model="fast")
        return {
            "intake": measure_intake(service, big, lines),
            "jobs": measure_rate(service, small, lines),
        }


def measure_intake(service: Service, path: Path, lines: int) -> dict[str, Any]:
    """Upload, validation and ingest of the large file, with polls and memory watched meanwhile;
    then the time to the output file's first byte."""
    client = service.client
    with rss.watching(service.folder) as memory, polls.polling(str(client.base_url)) as poller:
        started = time.perf_counter()
        file_id = calls.upload(client, path)
        uploaded = time.perf_counter()
        batch_id = calls.create(client, file_id)
        poller.follow(f"/v1/batches/{batch_id}")
        validated = calls.wait(lambda: service.row(batch_id).status != "validating")
        ingested = calls.wait(lambda: service.row(batch_id).lines_ingested >= lines)
        peaks = memory.grown()
    done = calls.finish(client, batch_id)
    return {
        "bytes": path.stat().st_size,
        "lines": lines,
        "upload_seconds": round(uploaded - started, 2),
        "validation_seconds": round(validated - uploaded, 2),
        "ingest_seconds": round(ingested - validated, 2),
        "total_seconds": round(ingested - started, 2),
        "grown_megabytes": peaks,
        "polls": poller.summary,
        "finished": _summarize(service.row(batch_id)),
        "first_byte_seconds": calls.first_byte(client, done["output_file_id"]),
    }


def measure_rate(service: Service, path: Path, lines: int) -> dict[str, Any]:
    """Jobs per second from in_progress to completed, and whether memory grows on the way."""
    with rss.watching(service.folder) as memory:
        batch_id = calls.create(service.client, calls.upload(service.client, path))
        calls.finish(service.client, batch_id)
        series = memory.series()
    return _summarize(service.row(batch_id)) | {"lines": lines, "megabytes": series}


def _summarize(row: Batch) -> dict[str, Any]:
    assert row.completed_at
    assert row.in_progress_at
    assert row.finalizing_at
    seconds = row.completed_at - row.in_progress_at
    return {
        "seconds": round(seconds, 2),
        "finalizing_seconds": round(row.completed_at - row.finalizing_at, 2),
        "jobs_per_second": round(row.total / seconds),
    }


def measure_interactive(folder: Path, store: str, lines: int) -> dict[str, Any]:
    """Milliseconds until an interactive job of one token has started and ended, while a batch
    keeps the engine full; the engine is in the middle of a step when it comes."""
    with serving(folder, store, "busy", workers=1) as service:
        client, path = service.client, folder / "busy.jsonl"
        calls.write(path, lines, 0, model="busy")
        batch_id = calls.create(client, calls.upload(client, path))
        calls.wait(lambda: service.row(batch_id).status == "in_progress")
        time.sleep(5.0)
        asked = [_ask_quick(service, number) for number in range(20)]
        client.post(f"/v1/batches/{batch_id}/cancel").raise_for_status()
    starts, ends = (sorted(times) for times in zip(*asked, strict=True))
    step = 1000 * _STEP_SECONDS
    return {
        "step_ms": step,
        "claimed_ms": {"median": round(starts[10], 1), "worst": round(starts[-1], 1)},
        "answered_ms": {"median": round(ends[10], 1), "worst": round(ends[-1], 1)},
        "started_ms_at_most": round(ends[-1] - step, 1),
    }


def _ask_quick(service: Service, number: int) -> tuple[float, float]:
    """Milliseconds until one job was claimed, and until its answer was here."""
    began = time.perf_counter()
    body = {"model": "busy", "prompt": f"quick {number}", "max_tokens": 1}
    job = service.client.post("/v1/jobs", json=body).raise_for_status().json()
    ended = service.client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
    assert ended["status"] == "succeeded", ended
    took = 1000 * (time.perf_counter() - began)
    return 1000 * service.delay(job["id"]), took


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--lines", type=int, default=LINES)
    asked.add_argument("--bytes", type=int, default=BYTES)
    asked.add_argument("--only", choices=STORES)
    given = asked.parse_args()
    stores = [given.only] if given.only else STORES
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), lines=given.lines, size=given.bytes, stores=stores)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
