"""Stop strings: where a text ends, and how much of it may still turn into one."""

from collections.abc import Sequence


def find(text: str, stops: Sequence[str], start: int = 0) -> int | None:
    """The position of the earliest stop string at or after `start`, or None."""
    if not stops:
        return None
    found = [at for stop in stops if (at := text.find(stop, start)) >= 0]
    return min(found, default=None)
