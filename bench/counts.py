"""What offline scheduling saves, counted: the engine's own scheduler and blocks without a model.

`python -m bench.counts [LINES] [--tasks N] [--cache-tokens N] [--workers N]` prints for each variant the prompt
tokens that are computed and the steps until the last line has ended. Nothing is timed, so
the numbers are the same on any machine.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from app.inference import blocks, engine, scheduler, sequences
from app.inference.transcripts import Transcript
from bench import offline, realistic
from bench.workloads import Job

_TARGET = Path("var/bench/counts.json")
_LIMITS = scheduler.Limits(max_sequences=64, token_budget=512)
_LIVE = 3 * _LIMITS.max_sequences  # as app.inference.local has it


class Counter:
    """A worker whose engine computes nothing; its requests have the priority `priority`."""

    def __init__(self, cache_tokens: int, *, priority: int, is_sharing: bool) -> None:
        pool = blocks.Pool(blocks.count_blocks(cache_tokens))
        self._scheduler = scheduler.Scheduler(pool, _LIMITS, is_sharing=is_sharing)
        self._priority = priority
        self._added = 0
        self.live = 0
        self.steps = 0
        self.computed = 0

    @property
    def room(self) -> int:
        return _LIVE - self.live

    def add(self, job: Job) -> None:
        self._added += 1
        self.live += 1
        sampling = engine.Sampling(max_tokens=job.answer)
        request = engine.Request(str(self._added), job.prompt, sampling, priority=self._priority)
        text = cast(Transcript, None)  # no token is ever turned into text
        self._scheduler.add(sequences.Sequence(request, self._added, text, list(job.prompt)))

    def step(self) -> None:
        chunks = self._scheduler.plan()
        self.steps += bool(chunks)
        for chunk in chunks:
            self._advance(chunk)

    def _advance(self, chunk: sequences.Chunk) -> None:
        sequence = chunk.sequence
        self.computed += min(chunk.end, len(sequence.request.prompt)) - min(
            chunk.start, len(sequence.request.prompt)
        )
        self._scheduler.advance(chunk)
        if not chunk.is_last:
            return
        sequence.tokens.append(self.steps)
        if sequence.num_generated == sequence.request.sampling.max_tokens:
            self._scheduler.drop(sequence)
            self.live -= 1


def count(
    jobs: Sequence[Job], variant: offline.Variant, *, cache_tokens: int, workers: int = 1
) -> dict[str, int]:
    """Runs the jobs on workers that step together, each in a part of its own if it is ordered."""
    priority = -1 if variant.is_mixed else 0
    devices = [
        Counter(cache_tokens, priority=priority, is_sharing=variant.is_sharing)
        for _ in range(workers)
    ]
    parts = workers if variant.is_ordered else 1
    queues = [jobs[len(jobs) * n // parts : len(jobs) * (n + 1) // parts] for n in range(parts)]
    waiting = [iter(queue) for queue in queues]
    is_over = False
    while not is_over:
        for number, device in enumerate(devices):
            for job in _take(waiting, number % parts, device.room):
                device.add(job)
            device.step()
        is_over = all(device.live == 0 for device in devices)
    return {
        "prompt_tokens": sum(len(job.prompt) for job in jobs),
        "computed": sum(device.computed for device in devices),
        "steps": max(device.steps for device in devices),
    }


def _take(waiting: Sequence[Iterator[Job]], own: int, number: int) -> Iterator[Job]:
    """From the worker's own part, then from the others'."""
    for queue in (*waiting[own:], *waiting[:own]):
        while number and (job := next(queue, None)) is not None:
            number -= 1
            yield job


def measure(lines: Sequence[realistic.Line], **options: int) -> dict[str, Any]:
    """All variants of bench.offline."""
    return {
        variant.name: count(offline.order(lines, variant), variant, **options)
        for variant in offline.VARIANTS
    }


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", type=int, nargs="?", default=1024)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--cache-tokens", type=int, default=80_000)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    asked = _read_options()
    lines = realistic.make(asked.lines, tasks=asked.tasks)
    found = measure(lines, cache_tokens=asked.cache_tokens, workers=asked.workers)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps({"asked": vars(asked), "counts": found}, indent=2) + "\n")
    for name, row in found.items():
        print(f"{name:<36}{row['computed']:>10} prompt tokens computed {row['steps']:>8} steps")


if __name__ == "__main__":
    main()
