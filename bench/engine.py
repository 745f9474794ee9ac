"""Tokens per second of model.generate one by one and of our engine, on the same prompts.

`measure()` returns one dictionary; `python -m bench.engine [SIZE [DTYPE [ARCHITECTURE]]]` prints it.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from app.inference import engine, local, randoms
from app.settings import schema

SIZES: dict[str, dict[str, Any]] = {
    "25M": {
        "vocab_size": 8192,
        "hidden_size": 448,
        "intermediate_size": 1280,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 4096,
    },
    "100M": {
        "vocab_size": 16384,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 4096,
    },
}


@dataclass(frozen=True)
class Workload:
    """Prompts and answers of seeded lengths; `generate_share` of them is given to generate."""

    name: str
    jobs: tuple[engine.Request, ...]
    generate_share: float


def mixed(count: int = 128) -> Workload:
    """Lognormal lengths: about 131 tokens in and 53 out in the mean."""
    rng = random.Random(7)
    jobs = [
        _job(rng, number, _lognormal(rng, 90, 1000), _lognormal(rng, 40, 256))
        for number in range(count)
    ]
    return Workload("mixed", tuple(jobs), 0.1)


def short(count: int = 400) -> Workload:
    """16 to 63 tokens in, 8 to 32 out."""
    rng = random.Random(8)
    jobs = [_job(rng, number, rng.randint(16, 63), rng.randint(8, 32)) for number in range(count)]
    return Workload("short", tuple(jobs), 0.1)


def _lognormal(rng: random.Random, median: int, longest: int) -> int:
    return max(4, min(longest, int(median * rng.lognormvariate(0, 0.8))))


def _job(rng: random.Random, number: int, prompt: int, answer: int) -> engine.Request:
    return engine.Request(
        id=str(number),
        prompt=tuple(rng.randrange(256) for _ in range(prompt)),
        sampling=engine.Sampling(max_tokens=answer, temperature=0.0, ignore_eos=True),
    )


def measure(
    *,
    architecture: str = "GlmForCausalLM",
    size: str = "25M",
    dtype: str = "auto",
    runs: int = 3,
    device: str = "cpu",
    workloads: Sequence[Workload] | None = None,
) -> dict[str, Any]:
    """{workload: {method: {tokens_per_second, jobs_per_second, seconds}}} with the medians of
    `runs` runs, for methods `generate` and `ours`. Tokens are those generated."""
    with tempfile.TemporaryDirectory() as folder:
        path = randoms.write(Path(folder), architecture, **SIZES[size])
        model = schema.Model(name=size, path=str(path), dtype=dtype)
        ours = local.build(model, device=device)
        reference = _load_reference(path, str(ours.provenance["dtype"]), device)
    return {
        workload.name: {
            "generate": _repeat(runs, _sample(workload), lambda jobs: _generate(reference, jobs)),
            "ours": _repeat(runs, workload.jobs, lambda jobs: drive(ours, jobs)),
        }
        for workload in (workloads or (mixed(), short()))
    }


def drive(ours: engine.Engine, jobs: Sequence[engine.Request]) -> int:
    """Runs all jobs through an engine; returns the tokens generated."""
    for job in jobs:
        ours.add(job)
    tokens = 0
    while ours.num_unfinished:
        tokens += sum(len(output.tokens) for output in ours.step())
    return tokens


def _load_reference(path: Path, dtype: str, device: str) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    return model.to(local.find_device(device)).eval()


def _generate(model: Any, jobs: Sequence[engine.Request]) -> int:
    for job in jobs:
        ids = torch.tensor([job.prompt], device=model.device)
        length = job.sampling.max_tokens
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=length,
            min_new_tokens=length,
            do_sample=False,
        )
    return sum(job.sampling.max_tokens for job in jobs)


def _sample(workload: Workload) -> Sequence[engine.Request]:
    every = round(1 / workload.generate_share)
    return workload.jobs[::every]


def _repeat(
    runs: int, jobs: Sequence[engine.Request], run: Callable[[Sequence[engine.Request]], int]
) -> dict[str, Any]:
    run(jobs[:2])  # warm up
    seconds, tokens = [], 0
    for _ in range(runs):
        started = time.perf_counter()
        tokens = run(jobs)
        seconds.append(round(time.perf_counter() - started, 3))
    median = statistics.median(seconds)
    return {
        "tokens_per_second": round(tokens / median, 1),
        "jobs_per_second": round(len(jobs) / median, 2),
        "seconds": seconds,
    }


if __name__ == "__main__":
    torch.set_num_threads(2)
    names = ("size", "dtype", "architecture")
    options: dict[str, Any] = dict(zip(names, sys.argv[1:], strict=False))
    print(json.dumps(measure(**options), indent=2))
