"""`make bench`: prints the figures and writes var/bench/latest.json.

python -m bench [--only mixed,short] [--methods ours,vllm] [--shape llama] [--runs 3]
                [--peer vllm --peer-python PATH]

Without --only and --methods the report begins empty; with one of them the rows replace those of
an earlier run.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import prefixes, report, rounds, shapes, workloads

_METHODS = {
    "mixed": "generate,static,transformers_cb,ours,service,vllm",
    "short": "generate,static,transformers_cb,ours,vllm",
    "shared": "generate,static,transformers_cb,ours,ours_unshared,vllm",
    "long": "generate,static,transformers_cb,ours,vllm",
}
_PIPELINE = "pipeline"


def main(arguments: Sequence[str] | None = None, programs: rounds.Programs | None = None) -> None:
    """Runs what the command line or `arguments` ask for."""
    asked, programs = _parse(arguments), programs or rounds.Programs()
    started = time.monotonic()
    run = datetime.now(UTC).isoformat(timespec="seconds")
    found = report.start(run, is_whole=not asked.only and not asked.methods)
    for name in asked.only.split(",") if asked.only else [*workloads.ALL, _PIPELINE]:
        if name == _PIPELINE:
            found = report.add(found, _measure_pipeline(asked.runs, programs))
        else:
            found = _measure(found, name, asked, programs)
        report.write(found)
    found |= {"total_seconds": round(time.monotonic() - started, 1)}
    report.write(found)
    print(report.show(found))


def _measure(
    found: dict[str, Any], name: str, asked: argparse.Namespace, programs: rounds.Programs
) -> dict[str, Any]:
    methods = _choose_methods(name, asked)
    if not methods:
        return found
    workload = workloads.ALL[name]()
    kind = asked.shape or workload.shape
    shape = shapes.write(workload.size, kind)
    print(f"{name}: {', '.join(methods)} ({kind}, {workload.size})", flush=True)
    order = rounds.Order(workload, methods, shape, asked.runs, asked.peer_python)
    named = name if kind == workload.shape else f"{name}_{kind}"
    for rows in rounds.measure(order, programs):
        found = report.merge(found, named, rows)
        report.write(found)  # whoever stops it keeps the rounds that ended
    if {"ours", "ours_unshared"} <= set(methods):
        sharing = prefixes.check(shape, found["workloads"][named], programs)
        found = report.add(found, {"prefix_sharing": sharing})
    return found


def _choose_methods(name: str, asked: argparse.Namespace) -> tuple[str, ...]:
    known = _METHODS[name].split(",")
    wanted = asked.methods.split(",") if asked.methods else known
    has_peer = asked.peer == "vllm" and asked.peer_python
    return tuple(each for each in known if each in wanted and (each != "vllm" or has_peer))


def _measure_pipeline(runs: int, programs: rounds.Programs) -> dict[str, Any]:
    print("the pipeline with the fake engine ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return programs.measure_pipeline(Path(folder), jobs=5000, workers=2, runs=runs)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", help=f"workloads and {_PIPELINE}; default: all")
    parser.add_argument("--methods", help="default: all that the workload has")
    parser.add_argument("--shape", choices=shapes.ARCHITECTURES, help="default: the workload's own")
    parser.add_argument("--runs", type=int, default=report.FEWEST_ROUNDS)
    parser.add_argument("--peer", choices=["vllm"], help="needs --peer-python")
    parser.add_argument("--peer-python", help="interpreter of the peer's environment")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
