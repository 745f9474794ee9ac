"""`make bench`: prints the figures and writes var/bench/latest.json.

python -m bench [--only mixed,short] [--methods ours,vllm] [--shape llama] [--runs 3]
                [--peer vllm --peer-python PATH]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench import prefixes, report, rounds, service, shapes, workloads

_METHODS = {
    "mixed": "generate,static,transformers_cb,ours,service,vllm",
    "short": "generate,static,transformers_cb,ours,vllm",
    "shared": "generate,static,transformers_cb,ours,ours_unshared,vllm",
    "long": "generate,static,transformers_cb,ours,vllm",
}
_PIPELINE = "pipeline"


def main() -> None:
    asked = _parse()
    found = report.read()
    for name in asked.only.split(","):
        if name == _PIPELINE:
            found |= _measure_pipeline(asked.runs)
        else:
            found = _measure(found, name, asked)
        report.write(found)
    print(report.show(found))


def _measure(found: dict[str, Any], name: str, asked: argparse.Namespace) -> dict[str, Any]:
    methods = _choose_methods(name, asked)
    if not methods:
        return found
    workload = workloads.ALL[name]()
    kind = asked.shape or workload.shape
    shape = shapes.write(workload.size, kind)
    print(f"{name}: {', '.join(methods)} ({kind}, {workload.size})", flush=True)
    order = rounds.Order(workload, methods, shape, asked.runs, asked.peer_python)
    named = name if kind == workload.shape else f"{name}_{kind}"
    for rows, versions in rounds.measure(order):
        known = found["versions"] | report.read_versions()
        known |= {"vllm": versions["vllm"]} if "vllm" in versions else {}
        found = report.merge(found | {"versions": known}, named, rows)
        report.write(found)  # whoever stops it keeps the rounds that ended
    if {"ours", "ours_unshared"} <= set(methods):
        found |= {"prefix_sharing": prefixes.check(shape, found["workloads"][named])}
    return found


def _choose_methods(name: str, asked: argparse.Namespace) -> tuple[str, ...]:
    known = _METHODS[name].split(",")
    wanted = asked.methods.split(",") if asked.methods else known
    has_peer = asked.peer == "vllm" and asked.peer_python
    return tuple(each for each in known if each in wanted and (each != "vllm" or has_peer))


def _measure_pipeline(runs: int) -> dict[str, Any]:
    print("the pipeline with the fake engine ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return service.measure_pipeline(Path(folder), jobs=5000, workers=2, runs=runs)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    everything = ",".join([*workloads.ALL, _PIPELINE])
    parser.add_argument("--only", default=everything, help="workloads")
    parser.add_argument("--methods", help="default: all that the workload has")
    parser.add_argument("--shape", choices=shapes.ARCHITECTURES, help="default: the workload's own")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", choices=["vllm"], help="needs --peer-python")
    parser.add_argument("--peer-python", help="interpreter of the peer's environment")
    return parser.parse_args()


if __name__ == "__main__":
    main()
