"""When to look into the store again."""

import time
from collections.abc import Callable
from typing import Protocol

UNCHANGED_SECONDS = 1.0


class Moments(Protocol):
    """models/changes.py is one."""

    def moment(self) -> object: ...


class Looks:
    """At most one look in `seconds`, and one in UNCHANGED_SECONDS where nothing was committed since
    the last."""

    def __init__(
        self, changes: Moments, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._changes, self._seconds, self._clock = changes, seconds, clock
        self._at = float("-inf")
        self._moment: object = None

    def is_due(self) -> bool:
        """Whether to look now; it is then taken as done."""
        now = self._clock()
        if now - self._at < self._seconds:
            return False
        moment = self._changes.moment()
        if moment == self._moment and now - self._at < UNCHANGED_SECONDS:
            return False
        self._at, self._moment = now, moment
        return True

    def hasten(self) -> None:
        """The last look found something, so there may be more: the next one is due."""
        self._at = float("-inf")
