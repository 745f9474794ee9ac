"""Whether the campaigns in the report together reach what is promised: `make faults` ends with it.

python -m tests.faults.verdict
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tests.faults.record import REPORT, add_up

JOBS, FAULTS, EACH = 10_000, 500, 20
_DATABASES = ("sqlite", "postgresql")
_WRONG = ("lost", "duplicate", "changed", "failed")

Report = Mapping[str, Mapping[str, Any]]


def judge(report: Report) -> Iterator[str]:
    """What falls short, a sentence each; nothing if all is reached."""
    yield from (f"no campaign on {name} has ended" for name in _DATABASES if name not in report)
    for name, record in report.items():
        yield from (f"{name}: {record[what]} {what}" for what in _WRONG if record[what])
        yield from _judge_recovery(name, record)
        for kind, number in record["short"].items():
            yield f"{name}: {kind} struck {number} times"
    jobs = sum(record["jobs"] for record in report.values())
    faults = sum(record["num_faults"] for record in report.values())
    if jobs < JOBS:
        yield f"{jobs} jobs of {JOBS}"
    if faults < FAULTS:
        yield f"{faults} faults of {FAULTS}"
    for kind, number in sorted(count_kinds(report).items()):
        if number < EACH:
            yield f"{kind} struck {number} times in all, of {EACH}"


def _judge_recovery(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    sweeps = 2 * record["sweep_seconds"]
    for what, limit in (("recovery", "lease_seconds"), ("hang", "step_timeout_seconds")):
        took = record[f"{what}_p99_seconds"]
        if took is not None and took > record[limit] + sweeps:
            yield f"{name}: {what} p99 {took:.1f} s, limit {record[limit] + sweeps:.1f} s"


def count_kinds(report: Report) -> Counter[str]:
    """How often each kind struck in all campaigns; 0 for one that was planned and never did."""
    total: Counter[str] = Counter()
    for record in report.values():
        total.update(add_up(record["faults"]))
        total.update(dict.fromkeys(record["short"], 0))
    return total


def main() -> int:
    """Prints how often each kind struck, and what falls short; 1 if anything does."""
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    struck = count_kinds(report)
    told = ", ".join(f"{kind} {number}" for kind, number in sorted(struck.items()))
    click.echo(f"struck: {told}")
    short = list(judge(report))
    for each in short:
        click.echo(f"SHORT: {each}")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
