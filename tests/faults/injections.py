"""What a fault is to a campaign: something that struck jobs in flight and left evidence."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.stage import LOOK_SECONDS, PATIENCE_SECONDS, Stage
from tests.integration.workplace import wait_for

if TYPE_CHECKING:
    from tests.faults.load import Load

MIN_IN_FLIGHT = 8
_SETTLE_SECONDS = 0.7
_CROWD_SECONDS = 10.0
PAUSE_SECONDS = 2.5  # longer than Celery's and the API's shortest timeouts
DEATHS = ("F01", "F02", "F05", "F06", "F24")
CROWDED = {"F03": "F04"}  # a poisonous request, and the same among others
HINDRANCES = ("F15", "F17", "F18", "F19", "F20", "F31", "F34")  # who recovers is struck itself


@dataclass(frozen=True)
class Injection:
    """What happened between two moments of the monotonic clock. `in_flight` jobs ran when it
    struck, counted from the rows; `recovered_seconds` is the time until no row named the dead
    holder any more; `evidence` is what proves the fault."""

    kind: str
    at: float
    in_flight: int
    evidence: int
    recovered_seconds: float | None = None
    until: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it struck enough jobs, and really happened. If not, it is repeated."""
        return self.in_flight >= MIN_IN_FLIGHT and self.evidence > 0

    def overlaps(self, other: "Injection") -> bool:
        """Whether both were in force at one moment."""
        return self.at < other.until and other.at < self.until


@dataclass(frozen=True)
class Scene:
    """What a fault may touch: the processes, the clients, and its own dice."""

    stage: Stage
    clients: "Load"
    dice: random.Random


Inject = Callable[[Scene], Injection]


def wait_busy(stage: Stage) -> None:
    """Until there are jobs that a fault can hit."""
    wait_for(
        lambda: stage.count_running() >= MIN_IN_FLIGHT,
        "jobs in flight",
        PATIENCE_SECONDS,
        every=LOOK_SECONDS,
    )


def wait_crowded(stage: Stage) -> None:
    """Until every worker that is ready has jobs that a fault can hit: whoever takes the next job,
    takes it into company. Twice, with a pause: other strands have waited for this moment, too,
    and a worker that they kill now would have it as a suspect, alone."""

    def is_crowded() -> bool:
        crowd = [stage.count_running(row) for row in stage.list_ready()]
        return bool(crowd) and min(crowd) >= MIN_IN_FLIGHT

    until = time.monotonic() + _CROWD_SECONDS
    looks = 0
    while looks < 2 and time.monotonic() < until:  # the load may be too slow: then as it is
        looks = looks + 1 if is_crowded() else 0
        time.sleep(_SETTLE_SECONDS)


def around(scene: Scene, kind: str, action: Callable[[], int]) -> Injection:
    """A fault of something that holds no job: the jobs that run meanwhile are counted."""
    stage = scene.stage
    wait_busy(stage)
    in_flight, moment = stage.count_running(), time.monotonic()
    return Injection(kind, moment, in_flight, action())


def list_crowded(timeline: Sequence[Injection]) -> list[str]:
    """The kind that a fault is, too, because others were struck with it: so many of their attempts
    ended with its own. One fault, seen from the neighbours; it is in `timeline` once."""
    return [
        CROWDED[each.kind]
        for each in timeline
        if each.kind in CROWDED and each.in_flight >= MIN_IN_FLIGHT
    ]


def choose_undisturbed(timeline: Sequence[Injection], kinds: Sequence[str]) -> list[Injection]:
    """Those of `kinds` while which neither the store nor who recovers was struck, too."""
    hindering = [each for each in timeline if each.kind.startswith(HINDRANCES)]
    return [
        each
        for each in timeline
        if each.kind.startswith(tuple(kinds)) and not any(map(each.overlaps, hindering))
    ]
