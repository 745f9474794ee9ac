"""What each idea of offline scheduling gains on a realistic file, on the bare engine.

`python -m bench.offline [LINES]` prints and writes var/bench/offline.json. Every variant runs the
file's lines; each has one idea more than the one before it.
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import children, realistic, shapes
from bench.realistic import Line
from bench.workloads import Job

_TARGET = Path("var/bench/offline.json")
_RUNS = 3

# What a variant adds: (its name, whether the engine shares prefixes).
VARIANTS = (
    ("file order, nothing shared", False),
    ("file order, shared prefixes", True),
    ("lines with common prefixes together", True),
    ("and duplicates run once", True),
)


def order(lines: Sequence[Line], variant: str) -> list[Job]:
    """The jobs that run, in their order."""
    chosen = list(lines)
    if variant == "and duplicates run once":
        chosen = [line for line in chosen if line.copy_of is None]
    if not variant.startswith("file order"):
        chosen.sort(key=lambda line: line.prompt)
    return [Job(tuple(line.prompt.encode()), line.answer) for line in chosen]


def measure(lines: Sequence[Line], runs: int = _RUNS) -> dict[str, Any]:
    """Lines per second of each variant: a duplicate that is not run counts as done."""
    shape = shapes.write("100M", "glm")
    seconds: dict[str, list[float]] = {name: [] for name, _ in VARIANTS}
    for _ in range(runs):
        for name, is_shared in VARIANTS:
            options = {} if is_shared else {"share_prefixes": False}
            jobs = order(lines, name)
            with children.start("ours", shape, options) as child:  # anew: an empty cache
                child.run([Job(jobs[0].prompt[-64:], 4)])
                seconds[name].append(child.run(jobs).seconds)
            print(f"  {name} {seconds[name][-1]:.2f} s", flush=True)
    return {name: _summarize(len(lines), each) for name, each in seconds.items()}


def _summarize(lines: int, seconds: Sequence[float]) -> dict[str, Any]:
    rate = lines / statistics.median(seconds)
    return {"lines_per_second": round(rate, 2), "seconds": [round(each, 3) for each in seconds]}


def main() -> None:
    lines = realistic.make(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
    found = measure(lines)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps(found, indent=2) + "\n")
    first = next(iter(found.values()))["lines_per_second"]
    for name, row in found.items():
        gain = row["lines_per_second"] / first
        print(f"{name:<40}{row['lines_per_second']:>8.2f} lines/s {gain:>6.2f}  {row['seconds']}")


if __name__ == "__main__":
    main()
