"""Stop strings: where a text ends, and how much of it may still turn into one."""

from collections.abc import Sequence


def find(text: str, stops: Sequence[str], start: int = 0) -> int | None:
    """The position of the earliest stop string at or after `start`, or None."""
    if not stops:
        return None
    found = [at for stop in stops if (at := text.find(stop, start)) >= 0]
    return min(found, default=None)


def count_held(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` may turn out to begin a stop string."""
    longest = min(len(text), max(map(len, stops), default=1) - 1)
    sizes = range(longest, 0, -1)
    return next((n for n in sizes if any(stop.startswith(text[-n:]) for stop in stops)), 0)
