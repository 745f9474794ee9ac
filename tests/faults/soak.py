"""Half an hour of load and random faults; what grows is seen in a plot.

python -m tests.faults.soak --minutes 30      writes var/faults/soak.csv and docs/soak.png
python -m tests.faults.soak --plot-only       draws and judges the last run again

Looked at are the processes that do the work: the API's (gunicorn's child), both control processes,
of each worker the parent and the child that holds the engine; SQLite's journal; Redis. What grows
is judged within lives (tests/faults/samples.py), and only a process that lives shows growth. So no
fault here ends Redis, the API, a control process or a whole worker, as F01, F06, F09, F10, F13, F14,
F15, F21 and F34 do in the campaigns: F13 alone, Redis without memory, makes Celery end every worker.
Children of three workers are killed and frozen all the time, the fourth's (cpu:3) never; it runs the
same jobs.
"""

import contextlib
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import click
import matplotlib as mpl
import redis

from app.models import migrate
from app.models.database import Database
from tests.faults import campaign, samples
from tests.faults.record import Record, save
from tests.faults.samples import MEGABYTE, Sample, Sampler
from tests.faults.stage import Set, Stage
from tests.faults.toxics import KINDS

mpl.use("Agg")
SAMPLES = Path("var/faults/soak.csv")
PLOT = Path("docs/soak.png")
LEASE_SECONDS = 15.0
STEP_TIMEOUT_SECONDS = 30.0  # a busy machine ends no child: no fault here is a step without end
_SINGLE = ("F02", "F05", "F07", "F11", "F16", "F19", "F23", "F26", "F27", "F28", "F32")
FAULTS = (*_SINGLE, *(f"F12 {kind}" for kind in KINDS))
_ENDLESS = 5_000
_PAUSE_SECONDS = 5.0  # Redis is not struck before every worker is back: none would live otherwise
MOST_GROWTH = 1.25
_COLOURS = {
    "api": "tab:blue",
    "control": "tab:orange",
    "worker parent": "tab:green",
    "worker child": "tab:red",
}
_PANELS = (
    ("memory (RSS), MB", "rss_mb", tuple(_COLOURS)),
    ("open files", "fds", tuple(_COLOURS)),
    ("WAL, MB", "size_mb", ("wal",)),
    ("Redis, MB", "size_mb", ("redis",)),
)
JUDGED = tuple(f"{role} {measure}" for _, measure, roles in _PANELS for role in roles)


def watch(stage: Stage) -> Sampler:
    """A sampler of a stage's programs and stores, running."""

    def list_programs() -> Mapping[str, int]:
        return {name: program.pid for name, program in list(stage.programs.items())}

    sampler = Sampler(list_programs, partial(_measure_stores, stage))
    sampler.start()
    return sampler


def _measure_stores(stage: Stage) -> samples.Stores:
    journal = Path(f"{stage.db.url.database}-wal")
    size = journal.stat().st_size / MEGABYTE if journal.exists() else 0.0
    return {"wal": ("", size), "redis": (str(stage.redis.pid), _measure_redis(stage))}


def _measure_redis(stage: Stage) -> float:
    with contextlib.closing(stage.redis_client()) as client:
        try:
            used = client.info("memory")["used_memory"]
        except redis.RedisError:  # a fault struck it
            return float("nan")
    return float(used) / MEGABYTE


def list_faults(growth: Mapping[str, float | None]) -> list[str]:
    """What grew too much, and what nothing is known of."""
    known = {name: growth.get(name) for name in JUDGED}
    unknown = [f"{name}: no life was long enough" for name, each in known.items() if each is None]
    return unknown + [f"{n}: {e:.2f}" for n, e in known.items() if e and e > MOST_GROWTH]


def draw(seen: Sequence[Sample], target: Path) -> None:
    """Four panels over minutes: memory, open files, journal, Redis. A line is one life."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True)
    for panel, (title, measure, roles) in zip(panels.flat, _PANELS, strict=True):
        named: set[str] = set()
        mine = [each for each in seen if each.measure == measure and each.role in roles]
        mine.sort(key=lambda each: (each.part, each.life, each.seconds))
        for (_, _, role), life in groupby(mine, lambda each: (each.part, each.life, each.role)):
            line = [(each.seconds / 60, each.value) for each in life]
            label = None if role in named or role not in _COLOURS else role
            colour = _COLOURS.get(role, "tab:blue")
            panel.plot(*zip(*line, strict=True), color=colour, linewidth=1, label=label)
            named.add(role)
        panel.set_title(title)
        panel.set_ylim(bottom=0)
        if named & _COLOURS.keys():
            panel.legend()
    for panel in panels[1]:
        panel.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(target, dpi=100)


def _run(minutes: float, seed: int) -> list[Sample]:
    folder = Path(tempfile.mkdtemp(prefix="autoglm-faults-"))
    db = Database(f"sqlite:///{folder}/autoglm.db")
    migrate.upgrade(db)
    made = Set(
        db,
        folder,
        seed,
        lease_seconds=LEASE_SECONDS,
        step_timeout_seconds=STEP_TIMEOUT_SECONDS,
    )
    record = Record("sqlite soak", seed, lease_seconds=LEASE_SECONDS)
    record.step_timeout_seconds = STEP_TIMEOUT_SECONDS
    samplers: list[Sampler] = []
    plan = {"kinds": FAULTS, "rounds": _ENDLESS, "seconds": 60 * minutes}
    plan |= {"pause_seconds": _PAUSE_SECONDS}
    try:
        campaign.run(made, record, on_start=lambda s: samplers.append(watch(s)), **plan)  # type: ignore[arg-type]
    finally:
        for sampler in samplers:
            sampler.stop()
            samples.write(sampler.samples, SAMPLES)
    db.close()
    save(record)
    return samplers[0].samples


@click.command()
@click.option("--minutes", type=float, default=30.0)
@click.option("--seed", type=int, default=1)
@click.option("--plot-only", is_flag=True)
def main(minutes: float, seed: int, plot_only: bool) -> None:
    """Fails if memory, open files, journal or Redis grow, or if it cannot be told."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    campaign.end_on_sigterm()
    seen = samples.read(SAMPLES) if plot_only else _run(minutes, seed)
    draw(seen, PLOT)
    growth = samples.judge(seen)
    for name, each in growth.items():
        click.echo(f"{name:25} {'too young' if each is None else f'{each:.2f}'}")
    if found := list_faults(growth):
        raise click.ClickException(f"it grows, or cannot be told: {found}")


if __name__ == "__main__":
    main()
