"""var/bench/latest.json: parts measured at different times are merged; the table with targets."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

PATH = Path("var/bench/latest.json")

# (workload, method): what ours should make in comparison with it, in tokens/s.
TARGETS = {
    ("mixed", "transformers_cb"): 2.0,
    ("short", "transformers_cb"): 1.2,
    ("mixed", "vllm"): 1.0,
    ("shared", "ours_unshared"): 3.0,
}
SERVICE_TARGET = 0.95  # service over ours, mixed


def read(path: Path = PATH) -> dict[str, Any]:
    """What was measured on this machine before, or an empty report."""
    machine = describe_machine()
    if path.is_file():
        found = json.loads(path.read_text())
        if found.get("machine") == machine:
            return dict(found)
    return {"machine": machine, "versions": {}, "workloads": {}}


def merge(report: dict[str, Any], workload: str, rows: dict[str, Any]) -> dict[str, Any]:
    """The report with these rows in place of the methods' earlier ones."""
    earlier = report["workloads"].get(workload, {})
    return report | {"workloads": report["workloads"] | {workload: earlier | rows}}


def write(report: dict[str, Any], path: Path = PATH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


def describe_machine() -> dict[str, Any]:
    """Processor, cores and system."""
    return {"processor": _read_processor(), "cores": os.cpu_count(), "system": platform.system()}


def read_versions() -> dict[str, str]:
    """Of Python and the libraries beneath our engine."""
    from importlib import metadata

    libraries = {name: metadata.version(name) for name in ("torch", "transformers")}
    return {"python": sys.version.split()[0]} | libraries


def show(report: dict[str, Any]) -> str:
    """The table, then the targets."""
    lines = [f"{'workload':<9}{'method':<17}{'tokens/s':>9}{'jobs/s':>8}{'to ours':>9}  seconds"]
    for name, methods in report["workloads"].items():
        for method, row in methods.items():
            shown = f"{row['tokens_per_second']:>9.1f}{row['jobs_per_second']:>8.2f}"
            ratio = f"{row['to_ours']:.2f}" if "to_ours" in row else "-"
            part = "" if row.get("share", 1) == 1 else f" (on {row['share']:.4g} of the jobs)"
            lines.append(f"{name:<9}{method:<17}{shown}{ratio:>9}  {row['seconds']}{part}")
    return "\n".join(lines + _show_targets(report))


def _show_targets(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{name}: ours over {method} {1 / ratio:.2f} (target {target})"
        for (name, method), target in TARGETS.items()
        if (ratio := _find_ratio(report, name, method))
    ]
    if ratio := _find_ratio(report, "mixed", "service"):
        lines.append(f"mixed: service over ours {ratio:.2f} (target {SERVICE_TARGET})")
    if sharing := report.get("prefix_sharing"):
        lines.append(f"prefix sharing: {sharing}")
    return lines


def _find_ratio(report: dict[str, Any], workload: str, method: str) -> float | None:
    """Of the method to ours, both of one run; None where it was not measured."""
    ratio: float | None = report["workloads"].get(workload, {}).get(method, {}).get("to_ours")
    return ratio


def _read_processor() -> str:
    source = Path("/proc/cpuinfo")
    lines = source.read_text().splitlines() if source.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {names[0]}" if names else platform.machine()
