"""What each idea of offline scheduling gains on a realistic file, on the bare engine.

`python -m bench.offline [LINES] [--tasks N] [--cache-tokens N] [--threads N] [--runs N]` prints and writes
var/bench/offline.json. Every variant runs all lines of the file, or what stands for them. A file's
lines are ordered by app.intake.places, as ingest does.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.intake import places
from bench import children, realistic, shapes
from bench.realistic import Line
from bench.workloads import Job

_TARGET = Path("var/bench/offline.json")


@dataclass(frozen=True)
class Variant:
    """What is done: prefixes shared; long answers first at the end; lines that begin alike
    together; identical lines once."""

    name: str
    is_sharing: bool = True
    is_mixed: bool = False
    is_ordered: bool = False
    is_once: bool = False


VARIANTS = (
    Variant("file order, nothing shared", is_sharing=False),
    Variant("file order, shared prefixes"),
    Variant("long answers first at the end", is_mixed=True),
    Variant("lines that begin alike together", is_ordered=True),
    Variant("identical lines once", is_once=True),
    Variant("all", is_mixed=True, is_ordered=True, is_once=True),
)


def order(lines: Sequence[Line], variant: Variant) -> list[Job]:
    """The jobs that run, in their order."""
    chosen = list(lines)
    if variant.is_once:
        chosen = [line for line in chosen if line.copy_of is None]
    if variant.is_ordered:
        chosen.sort(key=lambda line: places.make_key({"prompt": line.prompt}))
    return [Job(tuple(line.prompt.encode()), line.answer) for line in chosen]


def measure(lines: Sequence[Line], asked: argparse.Namespace) -> dict[str, Any]:
    """Lines per second of each variant: a duplicate that is not run counts as done."""
    shape = shapes.write("100M", "glm")
    seconds: dict[str, list[float]] = {variant.name: [] for variant in VARIANTS}
    for _ in range(asked.runs):
        for variant in VARIANTS:
            jobs = order(lines, variant)
            with children.start("ours", shape, _choose(variant, asked)) as child:  # an empty cache
                child.run([Job(jobs[0].prompt[-64:], 4)])
                seconds[variant.name].append(child.run(jobs).seconds)
            print(f"  {variant.name} {seconds[variant.name][-1]:.2f} s", flush=True)
    return {name: _summarize(len(lines), each) for name, each in seconds.items()}


def _choose(variant: Variant, asked: argparse.Namespace) -> dict[str, Any]:
    """Settings of the bare engine."""
    found: dict[str, Any] = {"share_prefixes": variant.is_sharing}
    found["priority"] = -1 if variant.is_mixed else 0
    found |= {"threads": asked.threads} if asked.threads else {}
    return found | ({"cache_tokens": asked.cache_tokens} if asked.cache_tokens else {})


def _summarize(lines: int, seconds: Sequence[float]) -> dict[str, Any]:
    rate = lines / statistics.median(seconds)
    return {"lines_per_second": round(rate, 2), "seconds": [round(each, 3) for each in seconds]}


def read_options() -> argparse.Namespace:
    """What bench.offline and bench.served are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", type=int, nargs="?", default=128)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--cache-tokens", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    asked = read_options()
    found = measure(realistic.make(asked.lines, tasks=asked.tasks), asked)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps({"asked": vars(asked), "variants": found}, indent=2) + "\n")
    first = found[VARIANTS[1].name]["lines_per_second"]
    for name, row in found.items():
        gain = row["lines_per_second"] / first
        print(f"{name:<40}{row['lines_per_second']:>8.2f} lines/s {gain:>6.2f}  {row['seconds']}")


if __name__ == "__main__":
    main()
