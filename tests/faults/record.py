"""What a run did and found, and the report that keeps it."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults import endings, injections, invariants
from tests.faults.injections import Injection
from tests.faults.sent import Foresee
from tests.faults.stage import LEASE_SECONDS, STEP_TIMEOUT_SECONDS, SWEEP_SECONDS

if TYPE_CHECKING:
    from tests.faults.load import Load

REPORT = Path("var/faults/report.json")


@dataclass
class Record:
    """Recoveries are those while which neither the store nor the clock was struck, too."""

    database: str
    seed: int
    jobs: int = 0  # those that were to be run
    keys: int = 0  # idempotency keys under which jobs were accepted
    looks: int = 0  # at all rows while it went on
    turns: int = 0  # of sessions
    faults: dict[str, int] = field(default_factory=dict)
    num_faults: int = 0  # each once, also one that is of two kinds (injections.CROWDED)
    missing: dict[str, int] = field(default_factory=dict)  # planned, but there was no time
    short: dict[str, int] = field(
        default_factory=dict
    )  # kinds, and forms of kinds, that struck less often than they had to
    left_out: dict[str, str] = field(default_factory=dict)  # kinds that cannot be here, and why
    lost: int = 0
    duplicate: int = 0
    changed: int = 0
    failed: int = 0
    expected_failures: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    deaths: int = 0
    recovery_p50_seconds: float | None = None
    recovery_p99_seconds: float | None = None
    recovery_disturbed_seconds: float | None = None  # the longest of all, also during an outage
    hangs: int = 0
    hang_p99_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS
    sweep_seconds: float = SWEEP_SECONDS
    step_timeout_seconds: float = STEP_TIMEOUT_SECONDS
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0
    surprises: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def count_faults(self, timeline: Sequence[Injection]) -> None:
        kinds = [*(each.kind for each in timeline), *injections.list_crowded(timeline)]
        self.faults = dict(sorted(Counter(kinds).items()))
        self.num_faults = len(timeline)
        died = _list_recoveries(injections.choose_undisturbed(timeline, injections.DEATHS))
        hung = _list_recoveries(injections.choose_undisturbed(timeline, ["F22"]))
        every = [each for each in timeline if each.kind.startswith(injections.DEATHS)]
        self.deaths, self.hangs = len(died), len(hung)
        self.recovery_p50_seconds = _quantile(died, 0.5)
        self.recovery_p99_seconds = _quantile(died, 0.99)
        self.recovery_disturbed_seconds = _quantile(_list_recoveries(every), 1.0)
        self.hang_p99_seconds = _quantile(hung, 0.99)

    def count_short(self, planned: Mapping[str, Sequence[str]], least: int) -> None:
        """Notes each planned kind that struck fewer than `least` times, and each planned form of
        one (F12 latency, ...) that struck less often than its share of that."""
        wanted = _share_out({kind for strand in planned.values() for kind in strand}, least)
        struck = add_up(self.faults) | Counter(self.faults)
        self.short = {kind: struck[kind] for kind in sorted(wanted) if struck[kind] < wanted[kind]}

    def count_jobs(self, clients: "Load", now: invariants.Snapshot, foresee: Foresee) -> None:
        bad = {key for key, line in clients.lines.items() if line.code}
        lines = [(job["batch_id"], job["custom_id"]) for job in now.jobs.values()]
        self.jobs = sum(line not in bad for line in lines)
        self.keys = len({(sent.caller.tenant_id, sent.key) for sent in clients.sent})
        self.turns = sum(map(len, now.turns.values()))
        self.lost = sum(sent.job_id not in now.jobs for sent in clients.sent)
        twice = sum(len(rows) > 1 for rows in now.results.values())
        self.duplicate = twice + len(endings.list_strange(clients, now))
        self.changed = len(endings.list_changed(clients, now, foresee))
        self.attempts = sum(job["attempt"] for job in now.jobs.values())
        self.refused, self.broken = clients.answers.refused, clients.answers.broken
        self.surprises = endings.list_wrong(clients, now)
        self.failed = len(self.surprises)
        found = Counter(sent.code for sent in clients.sent if sent.code)
        self.expected_failures = dict(sorted(found.items()))


def _list_recoveries(found: Sequence[Injection]) -> list[float]:
    return sorted(e.recovered_seconds for e in found if e.recovered_seconds is not None)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _share_out(planned: Collection[str], least: int) -> dict[str, int]:
    """How often each kind must strike, and each form of a kind that has several."""
    kinds = Counter(name.partition(" ")[0] for name in planned)
    crowded = [also for kind, also in injections.CROWDED.items() if kind in kinds]
    forms = {name: -(-least // kinds[name.partition(" ")[0]]) for name in planned if " " in name}
    return {**dict.fromkeys([*kinds, *crowded], least), **forms}


def add_up(faults: Mapping[str, int]) -> Counter[str]:
    """How often each kind struck, all its forms (F12 latency, ...) together."""
    total: Counter[str] = Counter()
    for kind, number in faults.items():
        total[kind.partition(" ")[0]] += number
    return total


def save(record: Record) -> None:
    """Adds a run to the report, under its database."""
    save_as(record.database, record.as_dict())


def save_as(name: str, found: Mapping[str, Any]) -> None:
    """The same under any name."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    known[name] = found
    REPORT.write_text(json.dumps(known, indent=2) + "\n")
