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

    def grow(self, made: int) -> tuple[str, int, tuple[engine.Logprob, ...]]:
        """The text, the number of tokens and their scores that `made` tokens have more than those
        shown."""
        assert self.transcript
        fresh = words.choose(self.request, made)[self.shown :]
        self.transcript.read(fresh)
        text, scores = self.transcript.take(), self._score(fresh)
        self.shown, self.sent = made, self.sent + len(text)
        return text, len(fresh), scores

    def rest(self, text: str, made: int) -> tuple[str, int, tuple[engine.Logprob, ...]]:
        """The same at the end, when all `text` is known."""
        fresh = words.choose(self.request, made)[self.shown :]
        return text[self.sent :], len(fresh), self._score(fresh)

    def _score(self, fresh: tuple[int, ...]) -> tuple[engine.Logprob, ...]:
        top = self.request.sampling.logprobs
        return () if top is None else words.score(fresh, top, first=self.shown)
