"""From chunks of a job's text to pieces that a client may see: no gap, no repetition, one attempt."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.errors import Unavailable
from app.wire import render
from app.wire.rows import Chunk, Job


@dataclass(frozen=True)
class Piece:
    """What is added to the text of a choice."""

    choice: int
    text: str


class Pieces:
    """Remembers what was shown of each choice, and by which attempt."""

    def __init__(self) -> None:
        self._shown: dict[int, str] = {}
        self._attempt: int | None = None

    def accept(self, gained: Iterable[Chunk]) -> Iterator[Piece]:
        """What the client has not seen. After a gap nothing until the result closes it. Raises
        Unavailable("stream_broken") when another attempt begins anew."""
        for chunk in gained:
            self._require_attempt(chunk.attempt)
            shown = self._shown.get(chunk.choice, "")
            if chunk.start == len(shown) and chunk.text:
                self._shown[chunk.choice] = shown + chunk.text
                yield Piece(chunk.choice, chunk.text)

    def rest(self, job: Job) -> Iterator[Piece]:
        """What the result of the ended job adds."""
        assert job.result is not None
        self._require_attempt(job.attempt)
        for number, choice in enumerate(render.list_choices(job.result)):
            shown = self._shown.get(number, "")
            if not choice.text.startswith(shown):
                raise Unavailable("stream_broken")
            if left := choice.text[len(shown) :]:
                yield Piece(number, left)

    def _require_attempt(self, attempt: int) -> None:
        if self._shown and attempt != self._attempt:
            raise Unavailable("stream_broken")
        self._attempt = attempt
