"""Half an hour of load and random faults; what grows is seen in a plot.

python -m tests.faults.soak --minutes 30      writes var/faults/soak.csv and docs/soak.png
python -m tests.faults.soak --plot-only       draws the plot of the last run again
"""

import csv
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import matplotlib as mpl
import psutil
import redis

from app.models import migrate
from app.models.database import Database
from tests.faults import campaign
from tests.faults.record import Record, save
from tests.faults.stage import Set, Stage
from tests.faults.toxics import KINDS

mpl.use("Agg")
SAMPLES = Path("var/faults/soak.csv")
PLOT = Path("docs/soak.png")
LEASE_SECONDS = 15.0
# API, control and the workers' parents live through all of these: only so can growth be seen.
_SINGLE = (
    "F02",
    "F05",
    "F07",
    "F09",
    "F11",
    "F13",
    "F16",
    "F19",
    "F23",
    "F26",
    "F27",
    "F28",
    "F32",
)
FAULTS = (*_SINGLE, *(f"F12 {kind}" for kind in KINDS))
_PERIOD_SECONDS = 10.0
_ENDLESS = 5_000
_PAUSE_SECONDS = 5.0  # Redis is not struck before every worker is back: none would live otherwise
_MEGABYTE = 1 << 20
_MOST_GROWTH = 1.25
_COLUMNS = ("api", "control", "worker")


class Sampler:
    """Looks every ten seconds at the processes of a stage, its journal and its Redis."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._started = time.monotonic()
        self._stopped = threading.Event()
        self.rows: list[dict[str, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_PERIOD_SECONDS):
            self.rows.append(self._look())

    def _look(self) -> dict[str, float]:
        row: dict[str, float] = {"seconds": round(time.monotonic() - self._started)}
        for name, program in list(self._stage.programs.items()):
            kind = "worker" if ":" in name else name.partition("-")[0]
            memory, files = measure(program.pid)
            row[f"{kind}_rss_mb"] = max(row.get(f"{kind}_rss_mb", 0), memory)
            row[f"{kind}_fds"] = max(row.get(f"{kind}_fds", 0), files)
        return row | {"wal_mb": self._measure_wal(), "redis_mb": self._measure_redis()}

    def _measure_wal(self) -> float:
        journal = Path(f"{self._stage.db.url.database}-wal")
        return journal.stat().st_size / _MEGABYTE if journal.exists() else 0.0

    def _measure_redis(self) -> float:
        try:
            used = self._stage.redis_client().info("memory")["used_memory"]
        except redis.RedisError:  # a fault struck it
            return float("nan")
        return float(used) / _MEGABYTE


def measure(pid: int) -> tuple[float, int]:
    """Megabytes and open files of a process that its faults leave alive; a worker's child has a
    line of its own in neither: it is killed now and then."""
    try:
        process = psutil.Process(pid)
        return process.memory_info().rss / _MEGABYTE, process.num_fds()
    except psutil.NoSuchProcess:
        return 0.0, 0


def grown(rows: Sequence[Mapping[str, float]], column: str) -> float:
    """The median of the last third over that of the second: the first third warms up."""
    values = [row[column] for row in rows if row[column] > 0]  # not a number: it did not answer
    third = len(values) // 3
    before, after = values[third : 2 * third], values[2 * third :]
    return statistics.median(after) / statistics.median(before) if third else 1.0


def draw(rows: Sequence[Mapping[str, float]], target: Path) -> None:
    """Four panels over minutes: memory, open files, journal, Redis."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True)
    minutes = [row["seconds"] / 60 for row in rows]
    titles = ("memory (RSS), MB", "open files", "WAL, MB", "Redis, MB")
    columns = ("_rss_mb", "_fds", "wal_mb", "redis_mb")
    for panel, title, column in zip(panels.flat, titles, columns, strict=True):
        for kind in _COLUMNS if column.startswith("_") else ("",):
            panel.plot(minutes, [row[f"{kind}{column}"] for row in rows], label=kind or None)
        panel.set_title(title)
        panel.set_ylim(bottom=0)
        if column.startswith("_"):
            panel.legend()
    for panel in panels[1]:
        panel.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(target, dpi=100)


def write(rows: Sequence[Mapping[str, float]]) -> None:
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    with SAMPLES.open("w", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read() -> list[dict[str, float]]:
    with SAMPLES.open() as source:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(source)]


def _run(minutes: float, seed: int) -> list[dict[str, float]]:
    folder = Path(tempfile.mkdtemp(prefix="autoglm-faults-"))
    db = Database(f"sqlite:///{folder}/autoglm.db")
    migrate.upgrade(db)
    made = Set(db, folder, seed, lease_seconds=LEASE_SECONDS)
    record = Record("sqlite soak", seed, lease_seconds=LEASE_SECONDS)
    samplers: list[Sampler] = []
    watch = partial(_begin, samplers)
    plan = {"kinds": FAULTS, "rounds": _ENDLESS, "seconds": 60 * minutes}
    plan |= {"pause_seconds": _PAUSE_SECONDS}
    campaign.run(made, record, on_start=watch, **plan)  # type: ignore[arg-type]
    samplers[0].stop()
    db.close()
    save(record)
    return samplers[0].rows


def _begin(samplers: list[Sampler], stage: Stage) -> None:
    samplers.append(Sampler(stage))


@click.command()
@click.option("--minutes", type=float, default=30.0)
@click.option("--seed", type=int, default=1)
@click.option("--plot-only", is_flag=True)
def main(minutes: float, seed: int, plot_only: bool) -> None:
    """Fails if memory, open files, journal or Redis grow."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    campaign.end_on_sigterm()
    if not plot_only:
        write(_run(minutes, seed))
    rows = read()
    draw(rows, PLOT)
    growth = {name: round(grown(rows, name), 2) for name in rows[0] if name != "seconds"}
    click.echo(growth)
    assert all(each <= _MOST_GROWTH for each in growth.values()), "something grows"


if __name__ == "__main__":
    main()
