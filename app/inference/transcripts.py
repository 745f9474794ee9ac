"""Turns token ids into text as they come, and finds stop strings in it."""

from collections.abc import Sequence

from app.inference import stopping
from app.inference.decoding import Decoder


class Transcript:
    """The text of one sequence, grown by `read` and handed out piece by piece by `take`."""

    def __init__(self, decoder: Decoder, stops: Sequence[str]) -> None:
        self._decoder = decoder
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._taken: list[str] = []
        self._fresh: list[str] = []  # not yet taken
        self._tail = ""  # the end of the text, long enough to hold a stop string's beginning
        self._num_read = 0
        self._is_finished = False
        self.is_stopped = False

    @property
    def text(self) -> str:
        """All text so far, cut at the first stop string."""
        return "".join(self._taken + self._fresh)

    def read(self, tokens: Sequence[int]) -> None:
        """Adds tokens to the text and looks for a stop string."""
        self._num_read += len(tokens)
        self._append(self._decoder.push(tokens))

    def take(self) -> str:
        """The text since the last call that no stop string can take back any more."""
        fresh = "".join(self._fresh)
        is_final = self._is_finished or self.is_stopped
        held = 0 if is_final else stopping.count_held(self._tail, self._stops)
        certain = fresh[: len(fresh) - held]
        self._taken.append(certain)
        self._fresh = [fresh[len(certain) :]]
        return certain

    def finish(self, tokens: Sequence[int]) -> None:
        """Reads what of all `tokens` was not read yet, and shows what was held back, less a
        character that was never completed. Does nothing the second time."""
        if self._is_finished:
            return
        self._is_finished = True
        self.read(tokens[self._num_read :])
        self._append(self._decoder.finish())

    def _append(self, text: str) -> None:
        if self.is_stopped:
            return
        seen = self._tail + text
        cut = stopping.find(seen, self._stops)
        self._fresh.append(text)
        self._tail = seen[-self._longest :] if self._longest else ""
        if cut is not None:
            self._cut(len(seen) - cut)

    def _cut(self, count: int) -> None:
        """Takes `count` characters off the end; they were held back, so none is taken yet."""
        fresh = "".join(self._fresh)
        self._fresh = [fresh[: len(fresh) - count]]
        self.is_stopped = True
