"""One run: load, strands of faults side by side, drain, and the check of every promise.

python -m tests.faults.campaign --database sqlite --seed 7 --rounds 10
"""

import json
import logging
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import psutil

from app.models import migrate
from app.models.database import Database
from tests.faults import checks, clients, disks, invariants, load, oracle, strands
from tests.faults.clocks import Clock, find_compiler
from tests.faults.injections import Injection, Scene
from tests.faults.record import Record, save
from tests.faults.sent import Foresee
from tests.faults.stage import LEASE_SECONDS, Set, Stage
from tests.faults.watch import Watch
from tests.integration.workplace import wait_for
from tests.postgres import running_postgres

_DRAIN_SECONDS = 600
_CALM_SECONDS = 240
_BACKLOG = 120
_LOOK_SECONDS = 20.0
_logger = logging.getLogger(__name__)


class Campaign:
    """Each strand's kinds strike in random order, as planned, or until `seconds` are over."""

    def __init__(self, stage: Stage, record: Record, woven: Mapping[str, strands.Strand]) -> None:
        self._stage = stage
        self._record = record
        self._strands = woven
        self._dice = random.Random(record.seed)
        self._failure: BaseException | None = None
        self._until = 0.0
        self._over = threading.Event()
        self.foresee: Foresee = load.foresee
        self.pause_seconds = 0.0  # of health between two faults of a strand
        self.timeline: list[Injection] = []
        self.missing: Counter[str] = Counter()  # planned, but there was no time

    def run(self, phases: Sequence[Mapping[str, list[str]]], seconds: float) -> None:
        """One phase after the other under one load; `seconds` are those of the first."""
        started = time.monotonic()
        self._until = started + seconds
        crowd = load.Load(
            self._stage.url,
            self._record.seed,
            model=self._stage.model.name,
            count_open=self._stage.count_open,
            backlog=_BACKLOG,
            callers=clients.enlist(self._stage.db),
            count_talk=self._stage.count_talk,
        )
        watch = Watch(self._stage, crowd)
        crowd.start()
        try:
            for planned in (each for each in phases if any(each.values())):
                self._strike(planned, Scene(self._stage, crowd, self._dice), watch)
                self._until = time.monotonic() + _CALM_SECONDS
        finally:
            crowd.stop()
        self._drain()
        watch.look()
        self._record.looks = watch.num_looks
        self._check(crowd)
        self._record.seconds = round(time.monotonic() - started, 1)

    def _strike(self, planned: Mapping[str, list[str]], scene: Scene, watch: Watch) -> None:
        """All strands at once; the first failure ends them all."""
        self._over.clear()
        watching = threading.Thread(target=self._guarded, args=(self._look, watch), daemon=True)
        watching.start()
        threads = [
            threading.Thread(
                target=self._guarded,
                args=(self._follow, name, list(kinds), strands.scene_of(scene, name)),
                daemon=True,
            )
            for name, kinds in planned.items()
            if kinds
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and self._failure is None:
            time.sleep(0.2)
        self._over.set()
        watching.join()
        if self._failure is not None:
            raise self._failure
        self._stage.wait_well()

    def _guarded(self, action: Callable[..., None], *given: Any) -> None:
        try:
            action(*given)
        except BaseException as error:  # noqa: BLE001  raised again by the main thread
            _logger.info("failed: %r", error)
            self._failure = self._failure or error
            self._over.set()

    def _follow(self, name: str, kinds: list[str], scene: Scene) -> None:
        total, tries = len(kinds), 6 * len(kinds)
        while kinds and tries and time.monotonic() < self._until and self._failure is None:
            kind, tries = kinds.pop(0), tries - 1
            made = self._try(name, kind, scene)
            if made is None or not made.counts:
                kinds.append(kind)
            else:
                self.timeline.append(made)
                _logger.info("%s: %d of %d", name, total - len(kinds), total)
            self._rest()
        self.missing.update(kinds)

    def _rest(self) -> None:
        """Lets the service recover, if the run is one of long life and not of many faults."""
        if self.pause_seconds:
            self._stage.wait_well()
            self._over.wait(self.pause_seconds)

    def _try(self, name: str, kind: str, scene: Scene) -> Injection | None:
        """None if another strand's fault took the victim away first."""
        try:
            made = self._strands[name][kind](scene)
        except (psutil.NoSuchProcess, ProcessLookupError) as error:
            _logger.info("%s %s: %s", name, kind, error)
            return None
        made = replace(made, until=time.monotonic())
        _logger.info("%s %s", name, made)
        return made

    def _look(self, watch: Watch) -> None:
        watch.look()
        while not self._over.wait(_LOOK_SECONDS):
            watch.look()

    def _drain(self) -> None:
        """Faults are over: everything must end without help."""
        wait_for(lambda: self._stage.count_open() == 0, "I2: the end of all jobs", _DRAIN_SECONDS)

    def _check(self, crowd: load.Load) -> None:
        record, now = self._record, invariants.read(self._stage.db)
        record.count_faults(self.timeline)
        record.missing = dict(self.missing)
        record.count_jobs(crowd, now, self.foresee)
        checks.check_rows(crowd, now, record)
        checks.check_answers(self._stage, crowd, self._dice)


def run(
    made: Set,
    record: Record,
    *,
    kinds: Sequence[str] = (),
    rounds: int = 1,
    calm_rounds: int = 0,
    seconds: float = 3600,
    pause_seconds: float = 0.0,
    has_small_disk: bool = False,
    on_start: Callable[[Stage], None] = lambda _stage: None,
    foresee: Foresee = load.foresee,
) -> Record:
    """Starts everything, runs a campaign and ends everything. On failure the seed, the timeline
    and where the logs are stand in the error's notes."""
    ground = strands.Ground("sqlite" if made.db.is_sqlite else "postgresql", has_small_disk)
    woven, record.left_out = strands.weave(ground), strands.list_missing(ground)
    dice = random.Random(record.seed)
    phases = [strands.plan(woven, rounds, kinds, dice), strands.plan_calm(woven, calm_rounds, dice)]
    stage = Stage(made)
    campaign = Campaign(stage, record, woven)
    campaign.foresee = foresee
    campaign.pause_seconds = pause_seconds
    try:
        stage.start()
        on_start(stage)
        campaign.run(phases, seconds)
        record.count_short(phases[0], rounds)
    except BaseException as error:
        lines = [str(each) for each in campaign.timeline]
        error.add_note("\n".join([f"seed {record.seed}, logs in {made.folder}", *lines]))
        raise
    finally:
        stage.close()
    return record


@click.command()
@click.option("--database", "kind", type=click.Choice(["sqlite", "postgresql"]), required=True)
@click.option("--seed", type=int, default=1)
@click.option("--rounds", type=int, default=10, help="how often each fault must strike")
@click.option("--calm-rounds", type=int, default=0, help="deaths of each kind afterwards, alone")
@click.option("--seconds", type=float, default=840, help="no fault begins after this time")
@click.option(
    "--lease", type=float, default=LEASE_SECONDS, help="seconds; longer on a slow machine"
)
@click.option("--engine", type=click.Choice(["fake", "demo"]), default="fake")
@click.option("--fault", "kinds", multiple=True, help="only these (F01, F12 latency, ...)")
def main(kind: str, lease: float, engine: str, **plan: Any) -> None:
    """One campaign; its numbers go to var/faults/report.json. Fails if a kind of fault struck
    fewer than `rounds` times."""
    end_on_sigterm()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    record = Record(kind, plan.pop("seed"), lease_seconds=lease)
    folder = Path(tempfile.mkdtemp(prefix="autoglm-faults-"))
    clock = Clock(folder / "clock") if find_compiler() else None
    made = partial(Set, folder=folder, seed=record.seed, clock=clock, lease_seconds=lease)
    if engine == "demo":
        record.database = f"{kind}, the shipped model"
        made = partial(made, model=oracle.MODEL, step_timeout_seconds=oracle.STEP_TIMEOUT_SECONDS)
        plan |= {"foresee": oracle.Oracle(), "kinds": plan["kinds"] or oracle.FAULTS}
    if kind == "sqlite":
        with disks.small(folder / "disk") as is_small:
            url = f"sqlite:///{folder}/disk/autoglm.db"
            _run_on(url, made, record, plan | {"has_small_disk": is_small})
    else:
        with running_postgres() as server:
            _run_on(server.create("autoglm"), partial(made, server=server), record, plan)
    save(record)
    click.echo(json.dumps(record.as_dict(), indent=2))
    if record.short:
        raise click.ClickException(f"struck fewer than {plan['rounds']} times: {record.short}")


def end_on_sigterm() -> None:
    """As Ctrl-C does: whoever is started here is ended too, also by `timeout`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _run_on(url: str, make: Callable[..., Set], record: Record, plan: dict[str, Any]) -> None:
    db = Database(url)
    migrate.upgrade(db)
    run(make(db=db), record, **plan)
    db.close()


if __name__ == "__main__":
    main()
