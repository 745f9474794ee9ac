"""What the processes of a stage need, looked at again and again, and what of it grows.

Each process is one life of its part: a worker's child that a fault killed has no later values, and
the next one begins small. So values are compared within lives alone, never one life with another:
growth is the median slope between any two looks at one life (Theil and Sen's estimate; a peak or a
burst hardly moves it), once that life is older than the first third of the run, which warms up.
It is given as the factor by which a process grows from there to the end of the run. A part of
which no process lived long enough for that says nothing and is not judged. What a short life leaks
goes with it; the same code runs in the parts that no fault ends, and those are judged.
"""

import csv
import itertools
import math
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psutil

MEGABYTE = 1 << 20
_PERIOD_SECONDS = 10.0
_TRACKER = "_tracker import main"  # multiprocessing's own, which outlives the child
_WARMING = 1 / 3  # of the run
_SEEN = 1 / 4  # of the rest: what one life must last to be judged


@dataclass(frozen=True)
class Sample:
    """One look: `measure` is rss_mb, fds or size_mb; `age` are seconds since the first look at this
    life."""

    seconds: float
    part: str
    life: str
    age: float
    measure: str
    value: float

    @property
    def role(self) -> str:
        """The part without its number: "worker child", "control"."""
        is_worker = ":" in self.part
        return f"worker {self.part.split()[1]}" if is_worker else self.part.partition("-")[0]


Stores = Mapping[str, tuple[str, float]]
"""Megabytes of what is no process of ours, by part, each with the life it has."""


class Sampler:
    """Looks at the programs, whose names and process ids `list_programs` gives, and at what
    `measure_stores` gives."""

    def __init__(
        self,
        list_programs: Callable[[], Mapping[str, int]],
        measure_stores: Callable[[], Stores],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._list_programs = list_programs
        self._measure_stores = measure_stores
        self._clock = clock
        self._started = clock()
        self._seen: dict[tuple[str, str], float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def start(self) -> None:
        """Looks every ten seconds, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_PERIOD_SECONDS):
            self.look()

    def look(self) -> None:
        now = self._clock() - self._started
        for name, pid in self._list_programs().items():
            for part, (life, values) in measure(name, pid).items():
                self._note(now, part, life, values)
        for part, (life, size) in self._measure_stores().items():
            self._note(now, part, life, {"size_mb": size})

    def _note(self, now: float, part: str, life: str, values: Mapping[str, float]) -> None:
        age = now - self._seen.setdefault((part, life), now)
        for each, value in values.items():
            if not math.isnan(value):  # it did not answer
                self.samples.append(Sample(round(now), part, life, round(age), each, value))


def measure(name: str, pid: int) -> dict[str, tuple[str, dict[str, float]]]:
    """Memory and open files of a program's parts, each with the life it has; nothing of a program
    of which a process ends meanwhile."""
    try:
        found = {part: _measure_process(each) for part, each in find_parts(name, pid).items()}
    except psutil.NoSuchProcess:
        return {}
    return {part: seen for part, seen in found.items() if seen[1]["rss_mb"]}  # else it has ended


def _measure_process(process: psutil.Process) -> tuple[str, dict[str, float]]:
    memory = process.memory_info().rss / MEGABYTE
    life = f"{process.pid} {process.create_time():.2f}"
    return life, {"rss_mb": memory, "fds": float(process.num_fds())}


def find_parts(name: str, pid: int) -> dict[str, psutil.Process]:
    """The processes that do a program's work: gunicorn's child, not its arbiter; Celery's parent
    and the child that holds the engine, not what tracks its semaphores; the control process."""
    root = psutil.Process(pid)
    below = [each for each in root.children() if _TRACKER not in " ".join(each.cmdline())]
    if name == "api":
        return {name: _find_largest(below)} if below else {}
    if ":" in name:
        child = {f"{name} child": _find_largest(below)} if below else {}
        return {f"{name} parent": root} | child
    return {name: _find_largest([root, *below])}


def _find_largest(family: Sequence[psutil.Process]) -> psutil.Process:
    return max(family, key=lambda process: process.memory_info().rss)


def judge(samples: Sequence[Sample]) -> dict[str, float | None]:
    """Growth by role and measure: that of the part that grew most; None if no process of the role
    lived long enough to tell."""
    run_seconds = max((each.seconds for each in samples), default=0.0)
    series: dict[tuple[str, str, str], list[Sample]] = defaultdict(list)
    for each in samples:
        series[each.role, each.measure, each.part].append(each)
    found: dict[str, float | None] = {}
    for (role, name, _), members in sorted(series.items()):
        growth = find_growth(members, run_seconds)
        known = found.get(f"{role} {name}")
        found[f"{role} {name}"] = max((g for g in (known, growth) if g is not None), default=None)
    return found


def find_growth(samples: Sequence[Sample], run_seconds: float) -> float | None:
    """The factor by which one part grows from the end of its warming to the end of the run."""
    warm, rest = run_seconds * _WARMING, run_seconds * (1 - _WARMING)
    lives: dict[str, list[Sample]] = defaultdict(list)
    for each in samples:
        if each.age >= warm:
            lives[each.life].append(each)
    longest = max((life[-1].age - life[0].age for life in lives.values()), default=0.0)
    if not longest or longest < rest * _SEEN:
        return None
    level = statistics.median(each.value for life in lives.values() for each in life)
    return 1.0 + _find_slope(list(lives.values())) * rest / level if level else 1.0


def _find_slope(lives: Sequence[Sequence[Sample]]) -> float:
    """Per second."""
    pairs = (pair for life in lives for pair in itertools.combinations(life, 2))
    slopes = [(b.value - a.value) / (b.age - a.age) for a, b in pairs if b.age > a.age]
    return statistics.median(slopes) if slopes else 0.0


def write(samples: Sequence[Sample], target: Path) -> None:
    """As CSV."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([field.name for field in fields(Sample)])
        writer.writerows(astuple(each) for each in samples)


def read(source: Path) -> list[Sample]:
    """What `write` wrote."""
    with source.open() as lines:
        return [
            Sample(
                float(row["seconds"]),
                row["part"],
                row["life"],
                float(row["age"]),
                row["measure"],
                float(row["value"]),
            )
            for row in csv.DictReader(lines)
        ]
