"""A request that the fake engine plays through."""

from dataclasses import dataclass

from app.inference import engine, markers, words
from app.inference.transcripts import Transcript


@dataclass(slots=True)
class Role:
    """A request in flight: it ends at step `ends` and not before the time `ready_at`."""

    request: engine.Request
    length: int
    marker: markers.Marker | None = None
    started: int = 0
    ready_at: float = 0.0
    shown: int = 0  # tokens of a streamed request that its transcript has read
    sent: int = 0  # characters of them
    transcript: Transcript | None = None

    @property
    def name(self) -> str:
        """Its marker's."""
        return self.marker.name if self.marker else ""

    def grow(self, made: int) -> tuple[str, int]:
        """The text and the number of tokens that `made` tokens have more than those shown."""
        assert self.transcript
        fresh = words.choose(self.request, made)[self.shown :]
        self.transcript.read(fresh)
        text = self.transcript.take()
        self.shown, self.sent = made, self.sent + len(text)
        return text, len(fresh)

    def rest(self, text: str, made: int) -> tuple[str, int]:
        """The same at the end, when all `text` is known."""
        return text[self.sent :], made - self.shown
