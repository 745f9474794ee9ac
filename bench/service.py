"""The whole service beside the bare engine, the pipeline without a model, and POST latency."""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from app import settings, weights
from app.inference import randoms
from bench import stack
from bench.engine import SIZES, Workload

_LETTERS = "abcdefghijklmnopqrstuvwxyz "  # one token each for the byte tokenizer


def compare(workload: Workload, folder: Path, *, size: str, runs: int) -> dict[str, Any]:
    """Runs the same prompts through the bare engine and the service, taking turns; each has the
    machine to itself meanwhile."""
    model = folder / "model"
    model.mkdir()
    randoms.write(model, "GlmForCausalLM", **SIZES[size])
    private, public = weights.keygen()
    weights.lock(model)
    weights.sign(model, private)
    served = {"bench": {"path": str(model), "verify": {"public_keys": [public]}}}
    bodies = _make_bodies(workload)
    bare, service = [], []
    with stack.running(folder, served) as client, _Bare(model) as engine:
        for number in range(runs + 1):
            alone = engine.run(bodies)
            whole = stack.run_batch(client, "bench", bodies)
            assert whole["usage"]["output_tokens"] == alone["tokens"]
            if number:  # the first run of each warms up
                bare.append(alone["seconds"])
                service.append(whole["seconds"])
    return {
        "ours": _summarize(bare, workload, int(alone["tokens"])),
        "service": _summarize(service, workload, int(alone["tokens"])),
        "service_over_ours": round(statistics.median(bare) / statistics.median(service), 3),
    }


def _make_bodies(workload: Workload) -> list[dict[str, Any]]:
    rng = random.Random(11)
    return [
        {
            "prompt": "".join(rng.choice(_LETTERS) for _ in job.prompt),
            "max_tokens": job.sampling.max_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        for job in workload.jobs
    ]


class _Bare:
    """bench.bare as a child with as many threads as the service's worker has, which wait as
    OpenMP does by default: the engine at its best, not held back to please the ratio."""

    def __init__(self, model: Path) -> None:
        threads = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.bare", str(model)],
            env=settings.child_environ(**threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "_Bare":
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"
        return self

    def run(self, bodies: Sequence[dict[str, Any]]) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        jobs = [[list(body["prompt"].encode()), body["max_tokens"]] for body in bodies]
        self._process.stdin.write(json.dumps(jobs) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _summarize(seconds: Sequence[float], workload: Workload, tokens: int) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "tokens_per_second": round(tokens / median, 1),
        "jobs_per_second": round(len(workload.jobs) / median, 2),
        "seconds": [round(each, 3) for each in seconds],
    }


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
