"""Turns token ids into text as they come, never showing half a character."""

from collections.abc import Callable, Sequence

from app.inference import stopping

Decode = Callable[[Sequence[int]], str]

_BROKEN = "\ufffd"  # what a decoder shows for bytes that are not (or not yet) UTF-8


class Transcript:
    """The text of one sequence, grown by `read` and handed out piece by piece by `take`.

    Each read decodes a short window: the tokens since the last clean end and, as context for
    tokenizers that treat a first token specially, those of the read before it."""

    def __init__(self, decode: Decode, stops: Sequence[str]) -> None:
        self._decode = decode
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._taken: list[str] = []
        self._fresh: list[str] = []  # not yet taken
        self._tail = ""  # the end of the text, long enough to hold a stop string's beginning
        self._tokens: list[int] = []
        self._window = self._clean = 0
        self._is_finished = False
        self.is_stopped = False

    @property
    def text(self) -> str:
        """All text so far, cut at the first stop string."""
        return "".join(self._taken + self._fresh)

    def read(self, tokens: Sequence[int]) -> None:
        """Adds tokens to the text and looks for a stop string."""
        self._tokens.extend(tokens)
        context = self._decode(self._tokens[self._window : self._clean])
        text = self._decode(self._tokens[self._window :])
        if text.endswith(_BROKEN):
            return
        self._window, self._clean = self._clean, len(self._tokens)
        self._append(text[len(context) :])

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
        character that was never completed."""
        self._tokens.extend(tokens[len(self._tokens) :])
        context = self._decode(self._tokens[self._window : self._clean])
        text = self._decode(self._tokens[self._window :])
        self._append(text[len(context) :].rstrip(_BROKEN))
        self._is_finished = True

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
