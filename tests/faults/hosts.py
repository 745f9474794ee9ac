"""Several hosts: API (with both control processes), Redis, PostgreSQL and each worker in network
namespaces of their own; links break and heal.

Runs inside of the namespace `hub`, see test_hosts.py: python -m tests.faults.hosts NET FOLDER
"""

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import httpx

from app import settings
from app.models import keys, migrate, workers
from app.models.database import Database
from app.wire.rows import Worker
from tests.conftest import find_redis
from tests.faults import cuts, injections, invariants, load
from tests.faults.injections import MIN_IN_FLIGHT, Injection
from tests.faults.nets import NET, Net
from tests.faults.record import Record
from tests.faults.stage import MAX_ATTEMPTS, SWEEP_SECONDS, Set, Stage
from tests.faults.toxics import Proxy
from tests.integration.workplace import Program, wait_for
from tests.postgres import running_postgres

LEASE_SECONDS = 15.0
_SEED = 5
_SLOW_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0
_UNREADY = 503
_DRAIN_SECONDS = 600
_HOSTS = {"cpu:0": "w0", "cpu:1": "w1"}


@dataclass(frozen=True)
class Report:
    """What was found."""

    jobs: int
    faults: dict[str, int]
    lost: int
    duplicate: int
    changed: int
    failed: int
    recoveries_seconds: list[float]
    returns_seconds: dict[str, float]  # from the healed link to a healthy service, by host


class Hosts(Stage):
    """A stage whose parts have addresses of their own."""

    devices = tuple(_HOSTS)

    def __init__(self, made: Set, net: Net) -> None:
        self.net, self.lease_seconds = net, made.lease_seconds
        super().__init__(made)

    def _open_proxies(self, seed: int) -> dict[str, Proxy]:
        return {}

    def _redis_command(self) -> Sequence[str]:
        bound = ["--bind", self.net.address("redis"), "--protected-mode", "no"]
        return [*self.net.prefix("redis"), find_redis(), *bound]

    def _redis_url(self) -> str:
        return f"redis://{self.net.address('redis')}:{self._redis_port}/0"

    def _server(self) -> settings.Server:
        return settings.Server(host=self.net.address("api"), port=self.api_port)

    @property
    def url(self) -> str:
        return f"http://{self.net.address('api')}:{self.api_port}"

    def start_program(self, name: str) -> None:
        host = _HOSTS.get(name, "api")
        mine = self.place.settings
        own = replace(mine, worker=replace(mine.worker, host=host), data_dir=self.folder / host)
        own.data_dir.mkdir(exist_ok=True)
        command = ("worker", "--device", name) if ":" in name else (name.partition("-")[0],)
        log = self.folder / f"{name.replace(':', '-')}.log"
        environ = settings.environment(own)
        made = Program(command, environ, log, prefix=self.net.prefix(host))
        self.place.programs.append(made)
        self.programs[name] = made

    def can_reach(self) -> bool:
        """Whether the API answers at all."""
        return self._is_answering("/health/live")

    def is_unready(self) -> bool:
        """Whether the API says so: database or Redis does not answer it."""
        try:
            return self._fetch("/health/ready", _PATIENCE_SECONDS).status_code == _UNREADY
        except httpx.TransportError:
            return False

    def count_ended(self) -> int:
        return self.ask("SELECT count(*) FROM jobs WHERE state = 'succeeded'")

    def find_row(self, device: str) -> Worker | None:
        return workers.get(self.db, f"{_HOSTS[device]}/{device}")


def strike(stage: Hosts, kind: str, device: str, hit: Callable[[str], None]) -> Injection:
    """Breaks the link of a worker's host while it runs jobs, waits until others may have them, and
    heals it. A slow link does not cost the lease."""
    victim, host = stage.wait_busy(device, MIN_IN_FLIGHT), _HOSTS[device]
    in_flight, moment = stage.count_running(victim), time.monotonic()
    hit(host)
    if kind == "slow":
        time.sleep(_SLOW_SECONDS)
        recovered, evidence = None, 1
    else:
        wait_for(lambda: stage.count_running(victim) == 0, f"recovery after {kind}", 90)
        recovered = time.monotonic() - moment
        asked = (
            "SELECT count(*) FROM attempts WHERE slot = :s AND epoch = :e AND outcome = 'crashed'"
        )
        evidence = stage.ask(asked, s=victim.slot, e=victim.epoch)
    stage.net.heal(host)
    stage.wait_well()
    return Injection(kind, moment, in_flight, evidence, recovered)


def run(net: Net, folder: Path) -> Report:
    """Each fault on each worker's host once, then each other host cut off once."""
    options = {"host": net.address("database"), "prefix": net.prefix("database"), "net": NET}
    with running_postgres("fsync=off", **options) as server:  # type: ignore[arg-type]
        db = Database(server.create("autoglm"))
        migrate.upgrade(db)
        _, secret = keys.create(db, "clients")
        stage = Hosts(Set(db, folder, _SEED, server, lease_seconds=LEASE_SECONDS), net)
        try:
            stage.start()
            return _campaign(stage, secret)
        finally:
            stage.close()
            db.close()


def _campaign(stage: Hosts, secret: str) -> Report:
    clients = load.Load(
        stage.url, _SEED, model="fake", count_open=stage.count_open, backlog=60, key=secret
    )
    clients.start()
    timeline = []
    faults = {
        "partition": stage.net.cut,
        "one way": lambda host: stage.net.mute(host, "database"),
        "slow": stage.net.slow,
    }
    try:
        for kind, hit in _shuffle(faults):
            for device in stage.devices:
                timeline.append(strike(stage, kind, device, hit))
                click.echo(timeline[-1], err=True)
        for made in cuts.strike_each(stage, clients):
            timeline.append(made)
            click.echo(made, err=True)
    finally:
        clients.stop()
    wait_for(lambda: stage.count_open() == 0, "I2: the end of all jobs", _DRAIN_SECONDS)
    return _check(stage, clients, timeline)


def _shuffle(
    faults: Mapping[str, Callable[[str], None]],
) -> list[tuple[str, Callable[[str], None]]]:
    return random.Random(_SEED).sample(sorted(faults.items()), len(faults))


def _check(stage: Hosts, clients: load.Load, timeline: Sequence[Injection]) -> Report:
    now = invariants.read(stage.db)
    expected = invariants.Expected(
        accepted={sent.job_id for sent in clients.sent},
        cancelled={sent.job_id for sent in clients.sent if sent.is_cancelled},
    )
    invariants.check(now, expected, max_attempts=MAX_ATTEMPTS)
    invariants.check_drained(now)
    record = Record("postgresql", _SEED, lease_seconds=LEASE_SECONDS)
    record.count_faults(timeline)
    record.count_jobs(clients, now, load.foresee)
    assert all(each.evidence > 0 for each in timeline), timeline
    assert all(each.in_flight >= injections.MIN_IN_FLIGHT for each in timeline), timeline
    took = [(e.kind.partition(" ")[2], round(e.recovered_seconds or 0, 1)) for e in timeline]
    recoveries = [seconds for host, seconds in took if seconds and host not in cuts.HOSTS]
    returns = {host: seconds for host, seconds in took if host in cuts.HOSTS}
    counts = (record.lost, record.duplicate, record.changed, record.failed)
    return Report(record.jobs, record.faults, *counts, recoveries, returns)


if __name__ == "__main__":
    found = run(Net(sys.argv[1]), Path(sys.argv[2]))
    click.echo(json.dumps(asdict(found) | {"limit_seconds": LEASE_SECONDS + 2 * SWEEP_SECONDS}))
