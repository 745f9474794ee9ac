"""Whether the campaigns in the report together reach what is promised: `make faults` ends with it.

python -m tests.faults.verdict
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tests.faults import toxics
from tests.faults.record import REPORT, add_up

JOBS, FAULTS, EACH, EACH_FORM = 10_000, 500, 20, 2
HOSTS = "several hosts"
_EVERYWHERE = (
    *("F01", "F02", "F03", "F04", "F05", "F06", "F07", "F09", "F10", "F11", "F12", "F13", "F14"),
    *("F15", "F16", "F21", "F22", "F23", "F24", "F26", "F27", "F28", "F30", "F31", "F32"),
    *("F33", "F34", "F35"),
)
KINDS = {  # what must have struck, whatever the campaigns had planned
    "sqlite": (*_EVERYWHERE, "F19", "F20"),
    "postgresql": (*_EVERYWHERE, "F17", "F18"),
}
FORMS = {  # each of which must have struck EACH_FORM times on a database that has the kind
    "F12": toxics.KINDS,
    "F18": (*toxics.KINDS, toxics.LOST_COMMIT),
}
_WRONG = ("lost", "duplicate", "changed", "failed")

Report = Mapping[str, Mapping[str, Any]]


def judge(report: Report) -> Iterator[str]:
    """What falls short, a sentence each; nothing if all is reached."""
    campaigns = {name: record for name, record in report.items() if name != HOSTS}
    yield from (f"no campaign on {name} has ended" for name in KINDS if name not in campaigns)
    for name, record in campaigns.items():
        yield from _judge_campaign(name, record)
    yield from _judge_hosts(report.get(HOSTS))
    jobs = sum(record["jobs"] for record in campaigns.values())
    faults = sum(record["num_faults"] for record in campaigns.values())
    if jobs < JOBS:
        yield f"{jobs} jobs of {JOBS}"
    if faults < FAULTS:
        yield f"{faults} faults of {FAULTS}"
    for kind, number in sorted(count_kinds(report).items()):
        if number < EACH:
            yield f"{kind} struck {number} times on both databases together, of {EACH}"


def _judge_campaign(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {record[what]} {what}" for what in _WRONG if record[what])
    yield from _judge_recovery(name, record)
    for kind, number in record["short"].items():
        yield f"{name}: {kind} struck {number} times"
    struck = add_up(record["faults"])
    for kind in KINDS.get(name, ()):
        if not struck[kind] and kind not in record["short"]:
            reason = record["left_out"].get(kind, "it was not planned")
            yield f"{name}: {kind} never struck: {reason}"
    yield from _judge_forms(name, record)


def _judge_forms(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    for kind in KINDS.get(name, ()):
        for form in (f"{kind} {each}" for each in FORMS.get(kind, ())):
            number = record["faults"].get(form, 0)
            if number < EACH_FORM and form not in record["short"]:
                yield f"{name}: {form} struck {number} times, of {EACH_FORM}"


def _judge_recovery(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    sweeps = 2 * record["sweep_seconds"]
    for what, limit in (("recovery", "lease_seconds"), ("hang", "step_timeout_seconds")):
        took = record[f"{what}_p99_seconds"]
        if took is None and name in KINDS:
            yield f"{name}: {what} was not measured"
        if took is not None and took > record[limit] + sweeps:
            yield f"{name}: {what} p99 {took:.1f} s, limit {record[limit] + sweeps:.1f} s"


def _judge_hosts(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f"{HOSTS}: no run has ended"
    elif "left_out" in found:
        yield f"{HOSTS}: left out: {found['left_out']}"
    else:
        yield from (f"{HOSTS}: {found[what]} {what}" for what in _WRONG if found[what])
        yield from _judge_late(found)


def _judge_late(found: Mapping[str, Any]) -> Iterator[str]:
    took, limit = found["recoveries_seconds"], found["limit_seconds"]
    if not took:
        yield f"{HOSTS}: recovery was not measured"
    elif max(took) > limit:
        yield f"{HOSTS}: recovery took {max(took):.1f} s, limit {limit:.1f} s"


def count_kinds(report: Report) -> Counter[str]:
    """How often each kind struck in the campaigns on both databases; 0 for one that must and never
    did."""
    total: Counter[str] = Counter()
    for name, kinds in KINDS.items():
        record = report.get(name, {"faults": {}})
        total.update(add_up(record["faults"]))
        total.update(dict.fromkeys(kinds, 0))
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
