"""Feeds the bare engine 20,000 short requests of every kind; fails if its memory grows.

`python -m bench.soak [REQUESTS]` prints the resident memory once steps of every size have been
taken, and after each tenth. Flat means: after no tenth more than GROWTH_MIB above the first one.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.inference import engine, local, randoms
from app.inference.engine import Guide, GuideKind, Sampling
from app.settings import schema

GROWTH_MIB = 24.0
_REQUESTS = 20_000
_TENTHS = 10
_KINDS = ("plain", "guided", "stopped", "penalized")  # in turn
_RECENT = 100  # of the last so many requests some are cancelled
_CANCELS = 0.2  # a step
_SEQUENCES = 64  # in a step at most, and tokens
_STEP_TOKENS = local.TOKEN_BUDGETS["cpu"]
_SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
_GUIDES = (
    Guide(GuideKind.CHOICE, '["yes", "no"]'),
    Guide(GuideKind.REGEX, "[A-Z]{2}-[0-9]{3}"),
    Guide(GuideKind.JSON_SCHEMA, json.dumps(_SCHEMA)),
)


@dataclass(frozen=True)
class Found:
    """Resident MiB after each tenth, how many requests of each kind ended how, and the engine's
    counters after the last."""

    memory: tuple[float, ...]
    ends: Counter[str]
    stats: engine.Stats


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else _REQUESTS
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(build(Path(folder)), total, tell=lambda line: print(line, flush=True))
    print(json.dumps(found.ends | {"steps": found.stats.steps}))
    print(f"{time.monotonic() - started:.0f} s")
    if failures := judge(found):
        sys.exit("; ".join(failures))


def build(folder: Path) -> local.Local:
    """An engine on one thread, with a tiny model that is written to `folder`."""
    path = randoms.write(folder, "GlmForCausalLM")
    model = schema.Model(name="soak", path=str(path), cache_tokens=16_384)
    return local.build(model, device="cpu", threads=1)


def read_memory() -> float:
    """Resident MiB of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20


def soak(
    subject: engine.Engine,
    total: int,
    *,
    read: Callable[[], float] = read_memory,
    tell: Callable[[str], None] = lambda line: None,
) -> Found:
    """Runs the requests by tenths and reads the memory after each, when the engine is empty."""
    rng = random.Random(1)
    meet_sizes(subject)
    tell(f"before: {read():.1f} MiB")
    memory: list[float] = []
    ends: Counter[str] = Counter()
    for tenth in range(_TENTHS):
        numbers = range(total * tenth // _TENTHS, total * (tenth + 1) // _TENTHS)
        ends += _run(subject, rng, numbers)
        memory.append(round(read(), 1))
        tell(f"{ends.total()} ended, {memory[-1]} MiB")
    return Found(tuple(memory), ends, subject.stats)


def meet_sizes(subject: engine.Engine) -> None:
    """Takes steps of every number of sequences and of tokens: oneDNN makes and keeps code for each
    when it first comes, and some come seldom."""
    for count in range(1, _SEQUENCES + 1):
        _finish(subject, [(number, count) for number in range(count)])
    for length in range(2, _STEP_TOKENS // 2, 2):
        _finish(subject, [(length,) * length, (length + 1,) * length])


def _finish(subject: engine.Engine, prompts: Sequence[tuple[int, ...]]) -> None:
    sampling = Sampling(max_tokens=2, temperature=0.0, ignore_eos=True)
    for number, prompt in enumerate(prompts):
        subject.add(engine.Request(str(number), prompt, sampling))
    while subject.num_unfinished:
        subject.step()


def _run(subject: engine.Engine, rng: random.Random, numbers: Sequence[int]) -> Counter[str]:
    """Adds the requests of these numbers as there is room, cancels some; returns how they ended."""
    ends: Counter[str] = Counter()
    added = 0
    while ends.total() < len(numbers):
        while added < len(numbers) and subject.room:
            subject.add(make(rng, numbers[added]))
            added += 1
        if rng.random() < _CANCELS:
            subject.cancel(_name(numbers[rng.randrange(max(0, added - _RECENT), added)]))
        for output in subject.step():
            ends[f"{output.id.split()[0]} {output.finish_reason}"] += 1
    return ends


def judge(found: Found) -> list[str]:
    """What is wrong with it; an empty list if nothing is."""
    growth = max(found.memory) - found.memory[0]
    errors = sum(count for end, count in found.ends.items() if end.endswith("error"))
    wrong = {
        f"memory grew by {growth:.1f} MiB after the first tenth": growth > GROWTH_MIB,
        "blocks leaked": found.stats.blocks_free != found.stats.blocks_total,
        f"{errors} requests failed": errors > 0,
    }
    return [failure for failure, is_so in wrong.items() if is_so]


def make(rng: random.Random, number: int) -> engine.Request:
    """A short request of the kind whose turn it is."""
    prompt = tuple(rng.randrange(256) for _ in range(rng.randint(1, 24)))
    values = {"max_tokens": rng.randint(1, 6), "temperature": rng.choice((0.0, 1.0))}
    sampling = Sampling(**values | _vary(rng, number))
    return engine.Request(id=_name(number), prompt=prompt, sampling=sampling)


def _name(number: int) -> str:
    return f"{_KINDS[number % len(_KINDS)]} {number}"


def _vary(rng: random.Random, number: int) -> dict[str, Any]:
    """What is particular to a request of this number's kind."""
    match _KINDS[number % len(_KINDS)]:
        case "guided":
            unknown = Guide(GuideKind.CHOICE, json.dumps([f"label {number}", "none"]))
            return {"guided": rng.choice((*_GUIDES, unknown)), "max_tokens": 12}
        case "stopped":
            return {"stop": (*"aeiou0123456789", "never met"), "max_tokens": 12}
        case "penalized":
            penalties = {"presence_penalty": 0.5, "frequency_penalty": 0.5}
            return penalties | {"repetition_penalty": 1.2}
    return {}


if __name__ == "__main__":
    main()
