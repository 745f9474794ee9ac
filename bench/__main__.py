"""`make bench`: prints the figures and writes var/bench/latest.json."""

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from bench import engine, service

_TARGET = Path("var/bench/latest.json")
_RUNS = 3
_SIZE = "25M"


def main() -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"engine against model.generate, {_SIZE} parameters, random weights ...", flush=True)
    workloads = engine.measure(size=_SIZE, runs=_RUNS)
    print("the whole service against the bare engine ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        workloads["mixed"] |= service.compare(engine.mixed(), Path(folder), size=_SIZE, runs=_RUNS)
    print("the pipeline with the fake engine ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = service.measure_pipeline(Path(folder), jobs=5000, workers=2, runs=_RUNS)
    report = {"machine": _machine(), "versions": _versions(), "workloads": workloads} | pipeline
    _TARGET.parent.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text(json.dumps(report, indent=2) + "\n")
    _show(report)


def _machine() -> dict[str, Any]:
    return {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.system()}


def _versions() -> dict[str, str]:
    return {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _show(report: dict[str, Any]) -> None:
    for name, methods in report["workloads"].items():
        for method, row in methods.items():
            if isinstance(row, dict):
                rates = f"{row['tokens_per_second']:>9} tokens/s {row['jobs_per_second']:>8} jobs/s"
                print(f"{name:<8} {method:<10} {rates}   runs {row['seconds']}")
    ratio = report["workloads"]["mixed"]["service_over_ours"]
    print(f"service over bare engine, mixed: {ratio} (target 0.90)")
    print(f"pipeline, fake engine: {report['pipeline']}")
    print(f"POST /v1/jobs: {report['submit']}")


if __name__ == "__main__":
    main()
