"""A file of 200 MB and 50,000 lines through the whole service: times, memory, polls, pre-emption.

`python -m bench.size [LINES [BYTES]]` prints one JSON object and writes it to var/bench/size.json.
The fake engine costs nothing, so every second is the service's own.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.models.database import Database
from bench import polls, rss, stack

LINES, BYTES = 50_000, 200 * 1024 * 1024
_TARGET = Path("var/bench/size.json")
_STEP_SECONDS = 0.05  # of the model that an interactive job has to push its way into
_MODELS = {
    "fast": {"backend": "fake", "fake": {"tokens_per_job": 8}},
    "busy": {"backend": "fake", "fake": {"tokens_per_job": 200, "step_seconds": _STEP_SECONDS}},
}


def measure(folder: Path, *, lines: int = LINES, size: int = BYTES) -> dict[str, Any]:
    """Everything that issue and docs promise about large files, in one run of one service."""
    big, small = folder / "big.jsonl", folder / "small.jsonl"
    write(big, lines, size, model="fast")
    write(small, lines, 0, model="fast")
    with stack.running(folder, {"fast": _MODELS["fast"]}, workers=2) as client:
        report = {"intake": measure_intake(client, folder, big, lines)}
        report["jobs"] = measure_jobs(client, folder, small, lines)
    other = folder / "busy"
    other.mkdir()
    write(other / "busy.jsonl", lines, 0, model="busy")
    with stack.running(other, {"busy": _MODELS["busy"]}) as client:
        report["interactive"] = measure_interactive(client, other, other / "busy.jsonl")
    return report


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


def measure_intake(client: httpx.Client, folder: Path, path: Path, lines: int) -> dict[str, Any]:
    """Upload, validation and ingest of the large file, with polls and memory watched meanwhile;
    then the time to the output file's first byte."""
    with rss.watching(folder) as memory, polls.polling(str(client.base_url)) as poller:
        started = time.perf_counter()
        file_id = upload(client, path)
        uploaded = time.perf_counter()
        batch_id = create(client, file_id)
        poller.follow(f"/v1/batches/{batch_id}")
        validated = _wait(lambda: _row(folder, batch_id)["status"] != "validating")
        ingested = _wait(lambda: _row(folder, batch_id)["lines_ingested"] >= lines)
        peaks = memory.grown()
    done = _finish(client, batch_id)
    return {
        "bytes": path.stat().st_size,
        "lines": lines,
        "upload_seconds": round(uploaded - started, 2),
        "validation_seconds": round(validated - uploaded, 2),
        "ingest_seconds": round(ingested - validated, 2),
        "total_seconds": round(ingested - started, 2),
        "grown_megabytes": peaks,
        "polls": poller.summary,
        "finished": _summarize(folder, batch_id),
        "first_byte_seconds": first_byte(client, done["output_file_id"]),
    }


def measure_jobs(client: httpx.Client, folder: Path, path: Path, lines: int) -> dict[str, Any]:
    """Jobs per second from in_progress to completed, and whether memory grows on the way."""
    with rss.watching(folder) as memory:
        batch_id = create(client, upload(client, path))
        _finish(client, batch_id)
        series = memory.series()
    return _summarize(folder, batch_id) | {"lines": lines, "megabytes": series}


def measure_interactive(client: httpx.Client, folder: Path, path: Path) -> dict[str, Any]:
    """Milliseconds until an interactive job of one token has started and ended, while a batch
    keeps the engine full; the engine is in the middle of a step when it comes."""
    batch_id = create(client, upload(client, path))
    _wait(lambda: _row(folder, batch_id)["status"] == "in_progress")
    time.sleep(5.0)
    starts, ends = [], []
    for number in range(20):
        began = time.perf_counter()
        body = {"model": "busy", "prompt": f"quick {number}", "max_tokens": 1}
        job = client.post("/v1/jobs", json=body).raise_for_status().json()
        ended = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
        assert ended["status"] == "succeeded", ended
        ends.append(1000 * (time.perf_counter() - began))
        starts.append(1000 * _delay(folder, job["id"]))
    client.post(f"/v1/batches/{batch_id}/cancel").raise_for_status()
    step = 1000 * _STEP_SECONDS
    return {
        "step_ms": step,
        "claimed_ms": {"median": round(sorted(starts)[10], 1), "worst": round(max(starts), 1)},
        "answered_ms": {"median": round(sorted(ends)[10], 1), "worst": round(max(ends), 1)},
        "started_ms_at_most": round(max(ends) - step, 1),
    }


def upload(client: httpx.Client, path: Path) -> str:
    with path.open("rb") as file:
        form = {"file": (path.name, file)}
        answer = client.post("/v1/files", data={"purpose": "batch"}, files=form, timeout=120)
    return str(answer.raise_for_status().json()["id"])


def create(client: httpx.Client, file_id: str) -> str:
    order = {"input_file_id": file_id, "endpoint": "/v1/completions", "completion_window": "24h"}
    return str(client.post("/v1/batches", json=order).raise_for_status().json()["id"])


def first_byte(client: httpx.Client, file_id: str) -> float:
    """Seconds until the content begins to arrive."""
    started = time.perf_counter()
    with client.stream("GET", f"/v1/files/{file_id}/content") as answer:
        next(answer.iter_bytes(1))
        return round(time.perf_counter() - started, 4)


def _finish(client: httpx.Client, batch_id: str) -> dict[str, Any]:
    while True:
        batch = client.get(f"/v1/batches/{batch_id}").raise_for_status().json()
        if batch["status"] in ("completed", "failed", "expired", "cancelled"):
            assert batch["status"] == "completed", batch
            assert batch["request_counts"]["completed"] == batch["request_counts"]["total"], batch
            return dict(batch)
        time.sleep(0.2)


def _wait(is_true: Any) -> float:
    """The moment at which it became true."""
    until = time.monotonic() + 240
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.05)
    return time.perf_counter()


@contextmanager
def _store(folder: Path) -> Iterator[Any]:
    """The service's database, read beside it: its own clock, without asking it anything."""
    db = Database(f"sqlite:///{folder / 'data' / 'autoglm.db'}")
    try:
        with db.read() as tx:
            yield tx
    finally:
        db.close()


def _row(folder: Path, batch_id: str) -> dict[str, Any]:
    with _store(folder) as tx:
        found = tx.exec_driver_sql("SELECT * FROM batches WHERE id = ?", (batch_id,))
        return dict(found.mappings().one())


def _delay(folder: Path, job_id: str) -> float:
    with _store(folder) as tx:
        asked = "SELECT started_at - created_at FROM jobs WHERE id = ?"
        return float(tx.exec_driver_sql(asked, (job_id,)).scalar_one())


def _summarize(folder: Path, batch_id: str) -> dict[str, Any]:
    row = _row(folder, batch_id)
    seconds = row["completed_at"] - row["in_progress_at"]
    finalizing = row["completed_at"] - row["finalizing_at"]
    return {
        "seconds": round(seconds, 2),
        "finalizing_seconds": round(finalizing, 2),
        "jobs_per_second": round(row["total"] / seconds),
    }


def main() -> None:
    numbers = [int(each) for each in sys.argv[1:]]
    options = dict(zip(("lines", "size"), numbers, strict=False))
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), **options)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
