"""The time by which things expire: how early and how late it may be now, whatever the wall clock says.

A wall clock may jump, and back again. So the place it had when this process began is carried on by
the monotonic clock; where the two differ, nobody can say which is right. What is to expire waits for
the earlier one, and deadlines are counted from the later one: nothing expires early. A new place
that the wall clock held for over an hour is believed. The system slews both clocks alike; small
steps are followed at once. A process that begins during a jump knows only the wall clock.

Leases are not measured here but by app.workers.stillness.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

_STEP_SECONDS = 5.0  # up to this, the wall clock is corrected rather than wrong
_HOLD_SECONDS = 3900.0  # an hour is promised; and a little


@dataclass(frozen=True)
class _Move:
    """Where the wall clock went (seconds ahead of the monotonic one), and when by the latter."""

    ahead: float
    at: float


class Clock:
    """Threads may share one: at worst, two of them note the same move."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead = time.time() - monotonic()
        self._move: _Move | None = None

    def earliest(self) -> float:
        """Epoch seconds: what is due by this time has expired."""
        return min(self._read())

    def latest(self) -> float:
        """Epoch seconds: the time that deadlines are counted from."""
        return max(self._read())

    def _read(self) -> tuple[float, float]:
        """The time by the wall clock, and by the monotonic one."""
        now, wall = self._monotonic(), time.time()
        ahead = wall - now
        if _is_near(ahead, self._ahead) or self._has_held(ahead, now):
            self._ahead, self._move = ahead, None
        return wall, now + self._ahead

    def _has_held(self, ahead: float, now: float) -> bool:
        move = self._move
        if move is None or not _is_near(ahead, move.ahead):
            self._move = move = _Move(ahead, now)
        return now - move.at > _HOLD_SECONDS


def _is_near(ahead: float, other: float) -> bool:
    return abs(ahead - other) <= _STEP_SECONDS


process = Clock()  # made at the import: the sooner, the likelier before a jump


def earliest() -> float:
    """Epoch seconds: what is due by this time has expired."""
    return process.earliest()


def latest() -> float:
    """Epoch seconds: the time that deadlines are counted from."""
    return process.latest()
