"""How long something has not moved, as this process saw it on its own monotonic clock."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class _Sight:
    mark: object
    seen_at: float
    still_seconds: float


class Stillness:
    """Adds up, per key, the time during which its mark stayed the same.

    Between two looks at most `longest_step` seconds count: if the looker itself stood still
    (suspended, or cut off from the store), that is no evidence against what it looks at.
    """

    def __init__(self, monotonic: Callable[[], float], longest_step: float) -> None:
        self._monotonic = monotonic
        self._longest_step = longest_step
        self._sights: dict[str, _Sight] = {}

    def measure(self, key: str, mark: object) -> float:
        """Looks at `key` now; returns the seconds for which it has had this mark."""
        now = self._monotonic()
        last = self._sights.get(key)
        still = 0.0
        if last is not None and last.mark == mark:
            still = last.still_seconds + min(now - last.seen_at, self._longest_step)
        self._sights[key] = _Sight(mark, now, still)
        return still

    @property
    def longest(self) -> float:
        """The longest stillness, in seconds, that the last looks saw; 0.0 if there were none."""
        return max((sight.still_seconds for sight in self._sights.values()), default=0.0)

    def forget(self, key: str) -> None:
        """Drops one key."""
        self._sights.pop(key, None)

    def forget_others(self, keys: set[str]) -> None:
        """Drops every key that is not in `keys`."""
        self._sights = {key: sight for key, sight in self._sights.items() if key in keys}


class Patience:
    """Says when something has stood still for too long; after each intervention it waits longer,
    up to `longest` seconds, until there is movement again."""

    def __init__(self, stillness: Stillness, longest: float) -> None:
        self._stillness = stillness
        self._longest = longest
        self._limits: dict[str, float] = {}

    def is_spent(self, key: str, mark: object, *, first: float) -> bool:
        """Looks at `key`; whether it has stood still for its limit, which starts at `first`."""
        still = self._stillness.measure(key, mark)
        if still == 0:
            self._limits[key] = first
        return still >= self._limits[key]

    def extend(self, key: str) -> None:
        """Something was done about `key`: it gets twice the time."""
        self._limits[key] += min(self._limits[key], self._longest)

    def forget_others(self, keys: set[str]) -> None:
        """Drops every key that is not in `keys`."""
        self._stillness.forget_others(keys)
        self._limits = {key: limit for key, limit in self._limits.items() if key in keys}
