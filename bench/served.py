"""What grouping lines and running identical ones once gains through the whole service.

`python -m bench.served [LINES] [--tasks N] [--cache-tokens N] [--threads N] [--runs N]` prints and writes
var/bench/served.json. Each run has a service of its own, with an empty cache; seconds are from
POST /v1/batches until the last line has ended.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import settings
from bench import offline, realistic, service, shapes, stack
from bench.workloads import Job

_TARGET = Path("var/bench/served.json")

VARIANTS = {
    "file order": {"group_prefixes": False, "reuse_answers": False},
    "lines that begin alike together": {"group_prefixes": True, "reuse_answers": False},
    "identical lines once": {"group_prefixes": False, "reuse_answers": True},
    "both": {"group_prefixes": True, "reuse_answers": True},
}


def measure(lines: Sequence[realistic.Line], asked: argparse.Namespace) -> dict[str, Any]:
    """Of each variant the seconds of its runs, and of the last one the tokens of prompts that were
    computed and the lines that were not run."""
    found: dict[str, dict[str, Any]] = {name: {"seconds": []} for name in VARIANTS}
    for _ in range(asked.runs):
        for name, chosen in VARIANTS.items():
            batch = _run(lines, chosen, asked)
            used = batch["usage"]
            cached = used["input_tokens_details"]["cached_tokens"]
            found[name]["seconds"].append(round(batch["seconds"], 2))
            found[name]["computed"] = used["input_tokens"] - cached
            found[name]["reused_lines"] = batch["reused_lines"]
            print(f"  {name} {found[name]}", flush=True)
    return found


def _run(
    lines: Sequence[realistic.Line], chosen: dict[str, bool], asked: argparse.Namespace
) -> dict[str, Any]:
    shape = shapes.write("100M", "glm")
    model: dict[str, Any] = {"path": str(shape.path.resolve()), "dtype": shape.dtype}
    model |= {"verify": {"public_keys": [shape.public_key]}}
    model |= {"cache_tokens": asked.cache_tokens} if asked.cache_tokens else {}
    jobs = [Job(tuple(line.prompt.encode()), line.answer) for line in lines]
    with (
        tempfile.TemporaryDirectory() as folder,
        stack.running(Path(folder), {"bench": model}, options={"batches": chosen}) as client,
    ):
        stack.run_batch(client, "bench", [{"prompt": "warm", "max_tokens": 4}])
        return stack.run_batch(client, "bench", [service.make_body(job) for job in jobs])


def main() -> None:
    asked = offline.read_options()
    if asked.threads:
        settings.set_variable("OMP_NUM_THREADS", str(asked.threads))
    found = measure(realistic.make(asked.lines, tasks=asked.tasks), asked)
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps({"asked": vars(asked), "variants": found}, indent=2) + "\n")
    first = statistics.median(found["file order"]["seconds"])
    for name, row in found.items():
        gain = first / statistics.median(row["seconds"])
        print(f"{name:<36}{gain:>6.2f} {row}")


if __name__ == "__main__":
    main()
