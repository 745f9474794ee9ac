"""Turns token ids into text as they come, never showing half a character."""

from collections.abc import Callable, Sequence

from app.inference import stopping

Decode = Callable[[Sequence[int]], str]

_BROKEN = "\ufffd"  # what a decoder shows for bytes that are not (or not yet) UTF-8


class Transcript:
    """The text of one sequence, grown by `read`.

    Each call decodes a short window: the tokens since the last clean end and, as context for
    tokenizers that treat a first token specially, those of the read before it."""

    def __init__(self, decode: Decode, stops: Sequence[str]) -> None:
        self._decode = decode
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._pieces: list[str] = []
        self._tail = ""  # the end of the text, long enough to hold a stop string's beginning
        self._tokens: list[int] = []
        self._window = self._clean = 0
        self.is_stopped = False

    @property
    def text(self) -> str:
        """What is certain so far, cut at the first stop string."""
        return "".join(self._pieces)

    def read(self, tokens: Sequence[int]) -> None:
        """Adds tokens to the text and looks for a stop string."""
        self._tokens.extend(tokens)
        context = self._decode(self._tokens[self._window : self._clean])
        text = self._decode(self._tokens[self._window :])
        if text.endswith(_BROKEN):
            return
        self._window, self._clean = self._clean, len(self._tokens)
        self._append(text[len(context) :])

    def finish(self, tokens: Sequence[int]) -> None:
        """Reads what of all `tokens` was not read yet, and shows what was held back, less a
        character that was never completed."""
        self._tokens.extend(tokens[len(self._tokens) :])
        context = self._decode(self._tokens[self._window : self._clean])
        text = self._decode(self._tokens[self._window :])
        self._append(text[len(context) :].rstrip(_BROKEN))

    def _append(self, text: str) -> None:
        if self.is_stopped:
            return
        seen = self._tail + text
        cut = stopping.find(seen, self._stops)
        self._pieces.append(text)
        self._tail = seen[-self._longest :] if self._longest else ""
        if cut is not None:
            self._cut(len(seen) - cut)

    def _cut(self, count: int) -> None:
        whole = "".join(self._pieces)
        self._pieces = [whole[: len(whole) - count]]
        self.is_stopped = True
