"""One run: load, faults one after another, drain, and the check of every promise.

python -m tests.faults.campaign --database sqlite --seed 7 --rounds 2 --seconds 600
"""

import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from app.models import migrate
from app.models.database import Database
from tests.faults import injections, invariants, load
from tests.faults.injections import Injection
from tests.faults.stage import LIMITS, Stage
from tests.integration.workplace import wait_for
from tests.postgres import running_postgres

REPORT = Path("var/faults/report.json")
_DRAIN_SECONDS = 240
_BACKLOG = 60
_logger = logging.getLogger(__name__)


@dataclass
class Record:
    """What a run did and found."""

    database: str
    seed: int
    jobs: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicate: int = 0
    changed: int = 0
    failed: int = 0
    attempts: int = 0
    recovery_p50_seconds: float | None = None
    recovery_p99_seconds: float | None = None
    lease_seconds: float = float(LIMITS["lease_seconds"])
    sweep_seconds: float = float(LIMITS["sweep_seconds"])
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0


class Campaign:
    """`kinds` strike in random order, each `rounds` times, or until `seconds` are over."""

    def __init__(self, stage: Stage, record: Record, kinds: Sequence[str]) -> None:
        self._stage = stage
        self._record = record
        self._kinds = kinds
        self._dice = random.Random(record.seed)
        self.timeline: list[Injection] = []

    def run(self, rounds: int, seconds: float) -> None:
        started = time.monotonic()
        stage, record = self._stage, self._record
        clients = load.Load(stage.url, record.seed, count_open=stage.count_open, backlog=_BACKLOG)
        clients.start()
        self._strike(rounds, started + seconds)
        clients.stop()
        self._drain()
        self._check(clients)
        record.seconds = round(time.monotonic() - started, 1)

    def _strike(self, rounds: int, until: float) -> None:
        known = injections.BOTH | injections.SQLITE | injections.POSTGRES
        planned = [kind for kind in self._kinds for _ in range(rounds)]
        self._dice.shuffle(planned)
        before = invariants.read(self._stage.db)
        while planned and time.monotonic() < until:
            kind = planned.pop(0)
            made = known[kind](self._stage, self._dice)
            _logger.info("%s", made)
            if made.in_flight < injections.MIN_IN_FLIGHT:  # they ended meanwhile: it does not count
                planned.append(kind)
            else:
                self.timeline.append(made)
            self._stage.wait_well()
            now = invariants.read(self._stage.db)
            invariants.check_step(before, now)
            before = now

    def _drain(self) -> None:
        """Faults are over: everything must end without help."""
        wait_for(lambda: self._stage.count_open() == 0, "I2: the end of all jobs", _DRAIN_SECONDS)

    def _check(self, clients: load.Load) -> None:
        record, now = self._record, invariants.read(self._stage.db)
        expected = invariants.Expected(
            accepted={sent.job_id for sent in clients.sent},
            cancelled={sent.job_id for sent in clients.sent if sent.is_cancelled},
        )
        self._count(clients, now)
        invariants.check(now, expected, max_attempts=int(LIMITS["max_attempts"]))
        invariants.check_drained(now)
        self._check_answers(clients)
        self._check_faults()
        assert not clients.answers.wrong, f"wrong answers: {clients.answers.wrong[:3]}"
        assert record.changed == 0, f"I5: {record.changed} results differ from an undisturbed run"
        assert record.failed == 0, f"I4: {record.failed} jobs failed"

    def _count(self, clients: load.Load, now: invariants.Snapshot) -> None:
        record, recovered = (
            self._record,
            sorted(
                each.recovered_seconds
                for each in self.timeline
                if each.recovered_seconds is not None
            ),
        )
        record.jobs = len(clients.sent)
        record.faults = dict(sorted(Counter(each.kind for each in self.timeline).items()))
        record.lost = sum(sent.job_id not in now.jobs for sent in clients.sent)
        record.duplicate = sum(len(rows) > 1 for rows in now.results.values())
        record.changed = sum(self._is_changed(sent, now) for sent in clients.sent)
        record.failed = sum(job["state"] == "failed" for job in now.jobs.values())
        record.attempts = sum(job["attempt"] for job in now.jobs.values())
        record.refused, record.broken = clients.answers.refused, clients.answers.broken
        if recovered:
            record.recovery_p50_seconds = recovered[len(recovered) // 2]
            record.recovery_p99_seconds = recovered[
                min(len(recovered) - 1, int(0.99 * len(recovered)))
            ]

    def _is_changed(self, sent: load.Sent, now: invariants.Snapshot) -> bool:
        rows: Sequence[Mapping[str, Any]] = now.results.get(sent.job_id, [])
        return any(row["text"] != load.foresee(sent.body) for row in rows)

    def _check_answers(self, clients: load.Load) -> None:
        """A sample of the ids through the API; each key still names its job."""
        picked = self._dice.sample(clients.sent, min(50, len(clients.sent)))
        with httpx.Client(base_url=self._stage.url, timeout=20, trust_env=False) as http:
            for sent in picked:
                shown = http.get(f"/v1/jobs/{sent.job_id}")
                assert shown.status_code == 200, f"I1: {sent.job_id}: {shown.text}"
                headers = {"Idempotency-Key": sent.key}
                again = http.post("/v1/jobs", json=sent.body, headers=headers)
                assert again.json()["id"] == sent.job_id, f"I10: {sent.key} names another job"
                other = http.post("/v1/jobs", json=sent.body | {"seed": -1}, headers=headers)
                assert other.status_code == 409, f"I10: {sent.key} took another body"

    def _check_faults(self) -> None:
        """A fault that did not happen proves nothing."""
        for each in self.timeline:
            assert each.evidence > 0, f"{each.kind} did not happen: {each}"
            enough = each.in_flight >= injections.MIN_IN_FLIGHT
            assert enough, f"{each.kind} struck {each.in_flight} jobs only"


def list_kinds(database: str) -> list[str]:
    """Every fault that applies."""
    own = injections.SQLITE if database == "sqlite" else injections.POSTGRES
    return [*injections.BOTH, *own]


def run(
    db: Database,
    folder: Path,
    record: Record,
    *,
    server: running_postgres | None = None,
    kinds: Sequence[str] = (),
    rounds: int = 1,
    seconds: float = 3600,
) -> Record:
    """Starts everything, runs a campaign and ends everything. On failure the seed, the timeline
    and where the logs are stand in the error's notes."""
    stage = Stage(db, folder, record.seed, server)
    campaign = Campaign(stage, record, kinds or list_kinds(record.database))
    try:
        stage.start()
        campaign.run(rounds, seconds)
    except BaseException as error:
        lines = [str(each) for each in campaign.timeline]
        error.add_note("\n".join([f"seed {record.seed}, logs in {folder}", *lines]))
        raise
    finally:
        stage.close()
    return record


def save(record: Record) -> None:
    """Adds a run to the report, under its database."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    known[record.database] = asdict(record)
    REPORT.write_text(json.dumps(known, indent=2) + "\n")


@click.command()
@click.option("--database", "kind", type=click.Choice(["sqlite", "postgresql"]), required=True)
@click.option("--seed", type=int, default=1)
@click.option("--rounds", type=int, default=20, help="how often each fault strikes")
@click.option("--seconds", type=float, default=1080, help="no fault begins after this time")
@click.option("--fault", "kinds", multiple=True, help="only these (F01, F12 latency, ...)")
def main(kind: str, seed: int, rounds: int, seconds: float, kinds: tuple[str, ...]) -> None:
    """One campaign; its numbers go to var/faults/report.json."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    record = Record(kind, seed)
    folder = Path(tempfile.mkdtemp(prefix="autoglm-faults-"))
    if kind == "sqlite":
        _run_on(f"sqlite:///{folder}/autoglm.db", folder, record, None, (rounds, seconds, kinds))
    else:
        with running_postgres() as server:
            url = server.create("autoglm")
            _run_on(url, folder, record, server, (rounds, seconds, kinds))
    save(record)
    click.echo(json.dumps(asdict(record), indent=2))


def _run_on(
    url: str,
    folder: Path,
    record: Record,
    server: running_postgres | None,
    plan: tuple[int, float, tuple[str, ...]],
) -> None:
    db = Database(url)
    migrate.upgrade(db)
    rounds, seconds, kinds = plan
    run(db, folder, record, server=server, kinds=kinds, rounds=rounds, seconds=seconds)
    db.close()


if __name__ == "__main__":
    main()
