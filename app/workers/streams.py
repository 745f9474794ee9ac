"""What streamed jobs gained and the store does not have yet."""

from collections.abc import Set
from typing import Any

from app.inference.engine import Delta
from app.wire.rows import Chunk, Job
from app.workers import orders

_Choice = tuple[str, int, int]  # job id, attempt, choice


class Streams:
    """Joins deltas to one chunk for each choice. Locked by its owner, the tray."""

    def __init__(self) -> None:
        self._texts: dict[_Choice, str] = {}
        self._scores: dict[_Choice, list[dict[str, Any]]] = {}
        self._lengths: dict[_Choice, int] = {}  # characters handed out before

    def add(self, job: Job, delta: Delta) -> None:
        """Appends a delta's text and scores to its choice."""
        if not delta.text:
            return
        key = (job.id, job.attempt, delta.choice)
        self._texts[key] = self._texts.get(key, "") + delta.text
        if delta.logprobs:
            self._scores.setdefault(key, []).extend(map(orders.show_logprob, delta.logprobs))

    def take(self, running: Set[str]) -> list[Chunk]:
        """The chunks of the jobs that run, and forgets all others."""
        found = []
        for key, text in self._texts.items():
            start = self._lengths.get(key, 0)
            self._lengths[key] = start + len(text)
            if key[0] in running:
                found.append(Chunk(*key, start, text, logprobs=self._scores.get(key)))
        self._texts.clear()
        self._scores.clear()
        self._lengths = {key: size for key, size in self._lengths.items() if key[0] in running}
        return found
