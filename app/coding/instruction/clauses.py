"""Sentences of the prose: which are constraints, which are examples, which stay free text."""

import re
from collections.abc import Iterator, Sequence

from lark import Token

from app.coding.instruction.tree import Piece

_BREAK = re.compile(r"[。！？!?；;\n]+|(?<=[^\d\s])\.(?=\s|$)|\.(?=\s+[A-Z]|$)")


def split(prose: str, source: str) -> list[Piece]:
    """The sentences of `prose`, trimmed, as they stand in `source`; none is empty."""
    pieces = []
    start = 0
    for found in [*_BREAK.finditer(prose), None]:
        end = found.start() if found else len(prose)
        pieces.append(_trim(prose, source, start, end))
        start = found.end() if found else end
    return [piece for piece in pieces if piece.text]


def _trim(prose: str, source: str, start: int, end: int) -> Piece:
    text = prose[start:end]
    inner = text.strip(" \t\r\n,，、:：")
    first = start + text.find(inner) if inner else start
    last = first + len(inner)
    return Piece(source[first:last], first, last)


def select(pieces: Sequence[Piece], tokens: Sequence[Token], kind: str) -> Iterator[Piece]:
    """The sentences that have a token of this kind in them."""
    for piece in pieces:
        inside = (
            piece.start <= int(token.start_pos or 0) < piece.end for token in _of(tokens, kind)
        )
        if any(inside):
            yield piece


def _of(tokens: Sequence[Token], kind: str) -> list[Token]:
    return [token for token in tokens if token.type == kind]
