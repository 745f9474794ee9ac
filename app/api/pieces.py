"""From chunks of a job's text to pieces that a client may see: no gap, no repetition."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.errors import Unavailable
from app.wire import render
from app.wire.rows import Chunk, Job

Entries = list[dict[str, Any]]


@dataclass(frozen=True)
class Piece:
    """What is added to the text of a choice, and the log-probabilities of its tokens, if asked for."""

    choice: int
    text: str
    logprobs: Entries | None = None


@dataclass
class _Shown:
    """What was shown of a choice, and how much of it the attempt that is followed has told."""

    text: str = ""
    scores: int = 0
    told: str = ""

    def gain(self, text: str) -> str:
        """What the attempt's next text adds to what is shown; Unavailable("stream_broken") where
        it says something else than an earlier attempt did."""
        self.told += text
        if not self.told.startswith(self.text) and not self.text.startswith(self.told):
            raise Unavailable("stream_broken")
        fresh = self.told[len(self.text) :]
        self.text += fresh
        return fresh


@dataclass
class Pieces:
    """Remembers what was shown of each choice, and by which attempt. With `is_patient` a later
    attempt may go on with the text if it says the same (its seed is the same), else none may."""

    is_patient: bool = False
    _shown: dict[int, _Shown] = field(default_factory=dict)
    _attempt: int | None = None

    def accept(self, gained: Iterable[Chunk]) -> Iterator[Piece]:
        """What the client has not seen. After a gap nothing until the result closes it. Raises
        Unavailable("stream_broken") when another attempt begins anew."""
        for chunk in self._choose(list(gained)):
            self._follow(chunk.attempt)
            shown = self._shown.setdefault(chunk.choice, _Shown())
            if chunk.start == len(shown.told) and (fresh := shown.gain(chunk.text)):
                yield Piece(chunk.choice, fresh, _take_scores(shown, chunk.logprobs))

    def _choose(self, gained: list[Chunk]) -> list[Chunk]:
        """Nobody needs to see the attempts before the newest who has seen nothing yet. The patient
        see all, so that every listener gets the same pieces."""
        if self.is_patient or self._has_shown or not gained:
            return gained
        newest = gained[-1].attempt
        return [chunk for chunk in gained if chunk.attempt == newest]

    @property
    def _has_shown(self) -> bool:
        return any(shown.text for shown in self._shown.values())

    def rest(self, job: Job) -> Iterator[Piece]:
        """What the result of the ended job adds."""
        assert job.result is not None
        self._follow(job.attempt)
        for number, choice in enumerate(render.list_choices(job.result)):
            shown = self._shown.get(number, _Shown())
            if not choice.text.startswith(shown.text):
                raise Unavailable("stream_broken")
            left = choice.text[len(shown.text) :]
            scores = None if choice.logprobs is None else choice.logprobs[shown.scores :]
            if left or scores:
                yield Piece(number, left, scores)

    def _follow(self, attempt: int) -> None:
        if attempt == self._attempt:
            return
        if not self.is_patient and self._has_shown:
            raise Unavailable("stream_broken")
        self._attempt = attempt
        for shown in self._shown.values():
            shown.told = ""


def _take_scores(shown: _Shown, entries: Entries | None) -> Entries | None:
    if entries is not None:
        shown.scores += len(entries)
    return entries
