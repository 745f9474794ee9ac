"""var/bench/latest.json: rows, each with the run that made it; the table with ratios and targets."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

PATH = Path("var/bench/latest.json")
FEWEST_ROUNDS = 3  # a median of fewer is marked

# (workload, method): what ours should make in comparison with it, in tokens/s.
TARGETS = {
    ("mixed", "transformers_cb"): 2.0,
    ("short", "transformers_cb"): 1.2,
    ("mixed", "vllm"): 1.0,
    ("shared", "ours_unshared"): 3.0,
}
SERVICE_TARGET = 0.95  # service over ours, mixed
_PARTS = ("prefix_sharing", "pipeline", "submit")  # beside the workloads


def start(run: str, *, is_whole: bool, path: Path = PATH) -> dict[str, Any]:
    """The report that the run of this name adds to: an empty one where it measures everything,
    else what was measured on this machine before."""
    found = _make_empty() if is_whole else read(path)
    found.pop("total_seconds", None)  # of an earlier run
    return found | {"run": run}


def read(path: Path = PATH) -> dict[str, Any]:
    """What was measured on this machine before, or an empty report."""
    if path.is_file():
        found = json.loads(path.read_text())
        if found.get("machine") == describe_machine():
            return dict(found)
    return _make_empty()


def _make_empty() -> dict[str, Any]:
    return {"machine": describe_machine(), "versions": {}, "workloads": {}}


def merge(report: dict[str, Any], workload: str, rows: dict[str, Any]) -> dict[str, Any]:
    """The report with these rows of its run in place of the methods' earlier ones."""
    rows = {method: row | {"run": report["run"]} for method, row in rows.items()}
    peers = {name: version for row in rows.values() for name, version in row["versions"].items()}
    earlier = report["workloads"].get(workload, {})
    return report | {
        "versions": report["versions"] | peers | read_versions(),
        "workloads": report["workloads"] | {workload: earlier | rows},
    }


def add(report: dict[str, Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The report with what its run measured beside the workloads."""
    return report | {name: part | {"run": report["run"]} for name, part in parts.items()}


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
    """The table, then the targets, then what else was measured. What is not of the report's own
    run is marked, and so are medians of few rounds."""
    lines = [f"{'workload':<14}{'method':<17}{'tokens/s':>9}{'jobs/s':>8}{'to ours':>9}  seconds"]
    lines += [
        _show_row(report, name, method)
        for name, methods in report["workloads"].items()
        for method in methods
    ]
    lines += _show_targets(report)
    for name in _PARTS:
        if part := report.get(name):
            shown = {key: value for key, value in part.items() if key != "run"}
            remarks = _remark(_tell_rounds(part), _tell_run(report, part))
            lines.append(f"{name}: {shown}{remarks}")
    if total := report.get("total_seconds"):
        lines.append(f"this run took {total:.1f} s in all")
    return "\n".join(lines)


def _show_row(report: dict[str, Any], workload: str, method: str) -> str:
    row = report["workloads"][workload][method]
    rates = f"{row['tokens_per_second']:>9.1f}{row['jobs_per_second']:>8.2f}"
    ratio = _find_ratio(report, workload, method)
    shown = "-" if ratio is None else f"{ratio:.2f}"
    share = row.get("share", 1)
    part = "" if share == 1 else f"on {share:.4g} of the jobs"
    remarks = _remark(part, _tell_rounds(row), _tell_run(report, row))
    return f"{workload:<14}{method:<17}{rates}{shown:>9}  {row['seconds']}{remarks}"


def _show_targets(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{name}: ours over {method} {1 / ratio:.2f} (target {target})"
        + _remark_pair(report, name, method)
        for (name, method), target in TARGETS.items()
        if (ratio := _find_ratio(report, name, method))
    ]
    if ratio := _find_ratio(report, "mixed", "service"):
        remarks = _remark_pair(report, "mixed", "service")
        lines.append(f"mixed: service over ours {ratio:.2f} (target {SERVICE_TARGET}){remarks}")
    return lines


def _remark_pair(report: dict[str, Any], workload: str, method: str) -> str:
    row = report["workloads"][workload][method]
    return _remark(_tell_rounds(row), _tell_run(report, row))


def _find_ratio(report: dict[str, Any], workload: str, method: str) -> float | None:
    """Of the method to ours; None unless the report's rows of both are of one run."""
    rows = report["workloads"].get(workload, {})
    row, ours = rows.get(method, {}), rows.get("ours", {})
    is_one_run = row.get("run") is not None and row.get("run") == ours.get("run")
    ratio: float | None = row.get("to_ours")
    return ratio if is_one_run else None


def _remark(*remarks: str) -> str:
    told = ", ".join(filter(None, remarks))
    return f" ({told})" if told else ""


def _tell_rounds(row: dict[str, Any]) -> str:
    rounds = len(row["seconds"]) if "seconds" in row else row.get("rounds", FEWEST_ROUNDS)
    return f"only {rounds} of {FEWEST_ROUNDS} rounds" if rounds < FEWEST_ROUNDS else ""


def _tell_run(report: dict[str, Any], row: dict[str, Any]) -> str:
    """Which earlier run the row is of, and with what other versions."""
    run = row.get("run")
    if run is not None and run == report.get("run"):
        return ""
    known = report["versions"]
    own = row.get("versions", {})
    other = [f"{name} {own[name]}" for name in own if own[name] != known.get(name, own[name])]
    return " ".join([f"earlier run {run or 'unknown'}", *other])


def _read_processor() -> str:
    source = Path("/proc/cpuinfo")
    lines = source.read_text().splitlines() if source.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {names[0]}" if names else platform.machine()
