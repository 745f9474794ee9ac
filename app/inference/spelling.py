"""The bytes that each token stands for, as the decoders of byte-level BPE and of SentencePiece-style
tokenizers (Metaspace, byte fallback) spell them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import tokenizers

from app.inference.engine import Likely, Logprob

_SPACE = "\u2581"  # how SentencePiece writes a space
_KNOWN = {"ByteLevel", "Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"}
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Score = tuple[int, float, tuple[tuple[int, float], ...]]
"""A chosen token, its log-probability, and the likeliest (token, log-probability), best first."""


@dataclass(frozen=True)
class Spelling:
    """`pieces` by token id; those of special tokens, which no text shows, are empty. With `strips`
    a text loses the space it begins with. `is_exact` says that the bytes of a text are those of its
    tokens one after another; else the tokenizer must be asked for whole texts."""

    pieces: tuple[bytes, ...]
    names: tuple[str, ...]
    special: frozenset[int]
    strips: bool
    is_exact: bool

    def describe_all(self, scores: Sequence[Score] | None) -> tuple[Logprob, ...] | None:
        """Scores with their tokens spelled out; None for none asked for."""
        return None if scores is None else tuple(map(self.describe, scores))

    def describe(self, score: Score) -> Logprob:
        """A score with its tokens spelled out."""
        token, logprob, top = score
        own = self._spell(token, logprob)
        likeliest = tuple(self._spell(*each) for each in top)
        return Logprob(own.token, own.bytes, own.logprob, likeliest)

    def _spell(self, token: int, logprob: float) -> Likely:
        if token in self.special or token >= len(self.pieces):
            return Likely(self.names[token] if token < len(self.names) else "", b"", logprob)
        piece = self.pieces[token]
        return Likely(piece.decode(errors="replace"), piece, logprob)


def read(tokenizer: tokenizers.Tokenizer) -> Spelling:
    """The spelling of a tokenizer, read off its decoder."""
    steps = _list_steps(tokenizer.decoder)
    kinds = {step["type"] for step in steps}
    added = tokenizer.get_added_tokens_decoder()
    special = frozenset(number for number, token in added.items() if token.special)
    names = _list_names(tokenizer)
    spell = _find_speller(kinds)
    return Spelling(
        pieces=tuple(b"" if at in special else spell(name) for at, name in enumerate(names)),
        names=names,
        special=special,
        strips=any(map(_strips, steps)),
        is_exact=bool(kinds) and kinds <= _KNOWN,
    )


def _list_names(tokenizer: tokenizers.Tokenizer) -> tuple[str, ...]:
    vocabulary = {number: token for token, number in tokenizer.get_vocab().items()}
    return tuple(vocabulary.get(at, "") for at in range(max(vocabulary, default=-1) + 1))


def _list_steps(decoder: Any) -> list[Mapping[str, Any]]:
    if decoder is None:
        return []
    found = json.loads(decoder.__getstate__())
    steps: list[Mapping[str, Any]] = found.get("decoders", [found])
    return steps


def _strips(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Strip":
        return bool(step["content"] == " " and step["start"] > 0)
    return bool(step["type"] == "Metaspace" and step.get("prepend_scheme") != "never")


def _find_speller(kinds: Set[str]) -> Callable[[str], bytes]:
    if "ByteLevel" in kinds:
        return _spell_symbols
    return _spell_fallback if "ByteFallback" in kinds else _spell_plain


def _spell_plain(name: str) -> bytes:
    return name.replace(_SPACE, " ").encode()


def _spell_fallback(name: str) -> bytes:
    found = _BYTE.fullmatch(name)
    return bytes([int(found[1], 16)]) if found else _spell_plain(name)


def list_symbols() -> list[str]:
    """The symbols by which byte-level tokenizers write the bytes 0 to 255 (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


_BYTES = {symbol: byte for byte, symbol in enumerate(list_symbols())}


def _spell_symbols(name: str) -> bytes:
    """The library takes a token with any other character as plain text."""
    try:
        return bytes(_BYTES[symbol] for symbol in name)
    except KeyError:
        return name.encode()
