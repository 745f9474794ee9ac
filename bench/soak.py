"""Feeds the bare engine 20,000 short requests; prints its memory as they end.

`python -m bench.soak [REQUESTS]`. Flat means: no growth after the first tenth.
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from app.inference import engine, local, randoms
from app.settings import schema

_REQUESTS = 20_000
_POINTS = 10


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else _REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        path = randoms.write(Path(folder), "GlmForCausalLM")
        model = schema.Model(name="soak", path=str(path), cache_tokens=16_384)
        subject = local.build(model, device="cpu", threads=1)
    points = list(_soak(subject, total))
    stats = subject.stats
    print(json.dumps({"points": points, "steps": stats.steps, "preemptions": stats.preemptions}))
    assert stats.blocks_free == stats.blocks_total, "blocks leaked"


def _soak(subject: engine.Engine, total: int) -> Iterator[dict[str, float]]:
    """Adds requests as there is room, cancels some, and yields a point at each tenth."""
    rng = random.Random(1)
    added = ended = 0
    while ended < total:
        while added < total and subject.room:
            subject.add(_make(rng, added))
            added += 1
        if rng.random() < 0.05:
            subject.cancel(str(rng.randrange(added)))
        before = ended
        ended += len(subject.step())
        if ended * _POINTS // total > before * _POINTS // total:
            memory = psutil.Process().memory_info().rss / 2**20
            yield {"ended": ended, "rss_mib": round(memory, 1)}
            print(f"{ended} ended, {memory:.1f} MiB", flush=True)


def _make(rng: random.Random, number: int) -> engine.Request:
    prompt = tuple(rng.randrange(256) for _ in range(rng.randint(1, 24)))
    sampling = engine.Sampling(max_tokens=rng.randint(1, 6), temperature=rng.choice((0.0, 1.0)))
    return engine.Request(id=str(number), prompt=prompt, sampling=sampling)


if __name__ == "__main__":
    main()
