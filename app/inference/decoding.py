"""From tokens to characters, one after another: none is shown before all its bytes are there."""

import codecs
from collections.abc import Callable, Sequence
from typing import Protocol

from app.inference.spelling import Spelling

Decode = Callable[[Sequence[int]], str]

_BROKEN = "\ufffd"  # what a decoder shows for bytes that are not (or not yet) UTF-8


class Decoder(Protocol):
    """Decodes the tokens of one text."""

    def push(self, tokens: Sequence[int]) -> str:
        """The whole characters that these tokens complete."""

    def finish(self) -> str:
        """What is still held back, less a character that was never completed."""


class Pieces:
    """Puts the bytes of the tokens together; for tokenizers whose spelling is exact."""

    def __init__(self, spelling: Spelling, *, strips: bool) -> None:
        self._pieces = spelling.pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._strips = strips and spelling.strips

    def push(self, tokens: Sequence[int]) -> str:
        """See Decoder.push. Ids beyond the tokenizer's (padding of a vocabulary) show nothing."""
        known = len(self._pieces)
        text = self._utf8.decode(b"".join(self._pieces[at] for at in tokens if at < known))
        if text and self._strips:
            self._strips = False
            return text.removeprefix(" ")
        return text

    def finish(self) -> str:
        """See Decoder.finish."""
        return ""


class Windows:
    """Asks the tokenizer for a short window: the tokens since the last clean end and, as context
    for tokenizers that treat a first token specially, those before it."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._context: list[int] = []
        self._held: list[int] = []

    def push(self, tokens: Sequence[int]) -> str:
        """See Decoder.push."""
        self._held.extend(tokens)
        text = self._read()
        if text.endswith(_BROKEN):
            return ""
        self._context, self._held = self._held, []
        return text

    def finish(self) -> str:
        """See Decoder.finish."""
        text, self._held = self._read().rstrip(_BROKEN), []
        return text

    def _read(self) -> str:
        known = self._decode(self._context)
        return self._decode(self._context + self._held)[len(known) :]
