"""The whole service on the benchmark's prompts, its pipeline without a model, and POST latency."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench import stack
from bench.children import Answer
from bench.shapes import Shape
from bench.workloads import Job, Workload


class Service:
    """A method like the others, but for the processes: they are started anew for each run and
    ended after it, because an idle service polls."""

    def __init__(self, shape: Shape, workload: Workload) -> None:
        verify = {"public_keys": [shape.public_key]}
        self._served = {"path": str(shape.path.resolve()), "dtype": shape.dtype, "verify": verify}
        self._warm = workload.draw(-1)[:4]
        self.versions: dict[str, str] = {}

    def run(self, jobs: Sequence[Job]) -> Answer:
        """The seconds from POST /v1/batches until the last line has ended."""
        with (
            tempfile.TemporaryDirectory() as folder,
            stack.running(Path(folder), {"bench": self._served}) as client,
        ):
            stack.run_batch(client, "bench", [make_body(job) for job in self._warm])
            batch = stack.run_batch(client, "bench", [make_body(job) for job in jobs])
        usage = batch["usage"]
        assert usage["input_tokens"] == sum(len(job.prompt) for job in jobs), usage
        return Answer(batch["seconds"], usage["output_tokens"])


def make_body(job: Job) -> dict[str, Any]:
    """The same prompt as text: one byte is one token."""
    prompt = bytes(job.prompt).decode()
    fixed = {"temperature": 0, "ignore_eos": True}
    return {"prompt": prompt, "max_tokens": job.answer} | fixed


def measure_pipeline(folder: Path, *, jobs: int, workers: int, runs: int) -> dict[str, Any]:
    """Jobs per second through the whole service with the fake engine, which costs nothing."""
    served = {"fake": {"backend": "fake", "fake": {"tokens_per_job": 8}}}
    bodies = [{"prompt": f"line {number}", "max_tokens": 8} for number in range(jobs)]
    with stack.running(folder, served, workers=workers) as client:
        seconds = [stack.run_batch(client, "fake", bodies)["seconds"] for _ in range(runs)]
        latency = measure_submit(client, "fake")
    median = statistics.median(seconds)
    rate = {"jobs_per_second": round(jobs / median), "seconds": [round(s, 2) for s in seconds]}
    return {"pipeline": rate | {"jobs": jobs, "workers": workers}, "submit": latency}


def measure_submit(client: httpx.Client, model: str, *, number: int = 500) -> dict[str, Any]:
    """Milliseconds that POST /v1/jobs takes, one after the other."""
    took = []
    for index in range(number):
        started = time.perf_counter()
        body = {"model": model, "prompt": f"job {index}"}
        client.post("/v1/jobs", json=body).raise_for_status()
        took.append(1000 * (time.perf_counter() - started))
    took.sort()
    return {
        "posts": number,
        "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(took[int(0.99 * number)], 2),
    }
