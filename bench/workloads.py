"""The four seeded workloads of `make bench`, and fair samples of them for slow methods.

Lengths are fixed. Each run draws other letters of the same lengths, so that no method finds an
earlier run's prompts in its cache. A letter is one token of the byte tokenizer, so that the same
prompts can be sent as ids and as text.
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

_LETTERS = b"abcdefghijklmnopqrstuvwxyz "


@dataclass(frozen=True)
class Job:
    """Prompt ids, and how many tokens the answer has."""

    prompt: tuple[int, ...]
    answer: int


@dataclass(frozen=True)
class Length:
    """Tokens of job `number`: of its own part of the prompt, and of its answer."""

    number: int
    prompt: int
    answer: int


@dataclass(frozen=True)
class Workload:
    """Jobs of fixed lengths for a model of `size` (see shapes.SIZES) and `shape` (see
    shapes.ARCHITECTURES); all prompts of one run begin with the same `prefix` tokens."""

    name: str
    size: str
    lengths: tuple[Length, ...]
    prefix: int = 0
    shape: str = "glm"

    def draw(self, run: int) -> list[Job]:
        """The jobs of one run; a sample draws the same prompts as the whole workload."""
        common = _draw(f"{self.name}/{run}/prefix", self.prefix)
        return [
            Job(common + _draw(f"{self.name}/{run}/{each.number}", each.prompt), each.answer)
            for each in self.lengths
        ]

    @property
    def num_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(each.answer for each in self.lengths)


def mixed(count: int = 128) -> Workload:
    """Lognormal lengths: 16,862 tokens in and 6,758 out, 132 and 53 in the mean."""
    rng = random.Random(410)
    return _make("mixed", "100M", count, lambda: (_spread(rng, 90, 1000), _spread(rng, 40, 256)))


def short(count: int = 400) -> Workload:
    """16 to 63 tokens in, 8 to 32 out, for the tiny model."""
    rng = random.Random(8)
    made = _make("short", "tiny", count, lambda: (rng.randint(16, 63), rng.randint(8, 32)))
    return replace(made, shape="llama")


def shared(count: int = 64) -> Workload:
    """400 common tokens, then 8 to 32 of the prompt's own; 16 out."""
    rng = random.Random(9)
    return replace(_make("shared", "100M", count, lambda: (rng.randint(8, 32), 16)), prefix=400)


def long(count: int = 8) -> Workload:
    """4,096 tokens in, 64 out."""
    return replace(_make("long", "100M", count, lambda: (4096, 64)), shape="llama")


ALL: dict[str, Callable[[], Workload]] = {
    "mixed": mixed,
    "short": short,
    "shared": shared,
    "long": long,
}

# How much of a workload a slow method is given; the others get all of it.
SHARES: dict[str, dict[str, float]] = {
    "mixed": {"generate": 1 / 16, "static": 1 / 4, "transformers_cb": 1 / 2},
    "short": {"generate": 1 / 8, "static": 1 / 2},
    "shared": {"generate": 1 / 8, "static": 1 / 2, "transformers_cb": 1 / 2},
    "long": {"generate": 1 / 8, "static": 1 / 4, "transformers_cb": 1 / 4, "vllm": 1 / 2},
}


def sample(workload: Workload, share: float) -> Workload:
    """A seeded part with the same distribution: sorted by length and cut into strata of equal
    size, it gives one job of each; their order stays."""
    count = round(len(workload.lengths) * share)
    ranked = sorted(workload.lengths, key=lambda each: (each.prompt + each.answer, each.number))
    rng = random.Random(f"{workload.name}/sample")
    borders = [round(cut * len(ranked) / count) for cut in range(count + 1)]
    strata = itertools.pairwise(borders)
    chosen = [rng.choice(ranked[low:high]) for low, high in strata]
    return replace(workload, lengths=tuple(sorted(chosen, key=lambda each: each.number)))


def share_of(workload: Workload, method: str) -> float:
    """How much of the workload `method` is given."""
    return SHARES[workload.name].get(method, 1.0)


def _make(name: str, size: str, count: int, draw: Callable[[], tuple[int, int]]) -> Workload:
    return Workload(name, size, tuple(Length(number, *draw()) for number in range(count)))


def _spread(rng: random.Random, median: int, longest: int) -> int:
    return max(4, min(longest, int(median * rng.lognormvariate(0, 0.8))))


def _draw(seed: str, count: int) -> tuple[int, ...]:
    return tuple(random.Random(seed).choices(_LETTERS, k=count))
