"""Gathers what streamed requests gain between two calls of Engine.deltas."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.inference.engine import Delta, Logprob


@dataclass
class _Gain:
    """What one request gained since it was last told."""

    text: str = ""
    tokens: int = 0
    logprobs: list[Logprob] = field(default_factory=list)
    has_ended: bool = False


class Deltas:
    """Pieces of text by request, in the order in which they came."""

    def __init__(self) -> None:
        self._gains: dict[str, _Gain] = {}

    def add(
        self,
        request_id: str,
        text: str,
        tokens: int,
        logprobs: Sequence[Logprob] = (),
        *,
        is_last: bool = False,
    ) -> None:
        """Notes text that became certain, and tokens chosen whether or not they show yet."""
        gain = self._gains.setdefault(request_id, _Gain())
        gain.text += text
        gain.tokens += tokens
        gain.logprobs += logprobs
        gain.has_ended = gain.has_ended or is_last

    def take(self) -> list[Delta]:
        """Everything that shows; tokens without text wait for it, or for the request's end."""
        shown = [id for id, gain in self._gains.items() if gain.text or gain.has_ended]
        found = [_describe(id, self._gains.pop(id)) for id in shown]
        return [delta for delta in found if delta.text or delta.tokens]


def _describe(request_id: str, gain: _Gain) -> Delta:
    return Delta(request_id, gain.text, gain.tokens, logprobs=tuple(gain.logprobs))
