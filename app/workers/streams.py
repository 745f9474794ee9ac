"""What streamed jobs gained and the store does not have yet."""

from collections.abc import Set

from app.inference.engine import Delta
from app.wire.rows import Chunk, Job

_Choice = tuple[str, int, int]  # job id, attempt, choice


class Streams:
    """Joins deltas to one chunk for each choice. Locked by its owner, the tray."""

    def __init__(self) -> None:
        self._texts: dict[_Choice, str] = {}
        self._lengths: dict[_Choice, int] = {}  # characters handed out before

    def add(self, job: Job, delta: Delta) -> None:
        """Appends a delta's text to its choice."""
        if delta.text:
            key = (job.id, job.attempt, delta.choice)
            self._texts[key] = self._texts.get(key, "") + delta.text

    def take(self, running: Set[str]) -> list[Chunk]:
        """The chunks of the jobs that run, and forgets all others."""
        found = []
        for key, text in self._texts.items():
            start = self._lengths.get(key, 0)
            self._lengths[key] = start + len(text)
            if key[0] in running:
                found.append(Chunk(*key, start, text))
        self._texts.clear()
        self._lengths = {key: size for key, size in self._lengths.items() if key[0] in running}
        return found
