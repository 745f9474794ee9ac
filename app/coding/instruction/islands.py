"""Finds the islands of meaning in a list of tokens: the longest one at each place, left to right."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from lark import Token, Tree
from lark.exceptions import LarkError

from app.coding.instruction import lexing

_MOST_TOKENS = 60  # of one island: bounds the work on endless lists
_MOST_WORDS = 30  # of one clause
_CLOSING = frozenset({"END", "RETURNS", "CREATE", "USE"})
_HAN = re.compile(r"[぀-ヿ㐀-鿿]")
_MOST_ENDS = 5  # that are tried


def end_of(token: Token) -> int:
    """Where a token ends; a copied token has lost its own `end_pos`."""
    return int(token.start_pos or 0) + len(token)


@dataclass(frozen=True)
class Island:
    """A part of the tokens, `first` to `last` (exclusive), that the grammar knows."""

    kind: str
    first: int
    last: int
    tree: Tree[Token]

    @property
    def start(self) -> int:
        return min(int(token.start_pos or 0) for token in self.tokens)

    @property
    def end(self) -> int:
        return max(end_of(token) for token in self.tokens)

    @property
    def tokens(self) -> list[Token]:
        return list(self.tree.scan_values(lambda value: isinstance(value, Token)))


def find(tokens: Sequence[Token]) -> list[Island]:
    """Islands that do not overlap."""
    return list(_iterate(_thin(tokens)))


def _thin(tokens: Sequence[Token]) -> list[Token]:
    """Without the characters of Chinese and Japanese words that nobody listed, where parameters are
    told: what a parameter is for stands there, around its name."""
    thinned = []
    tells = False
    for place, token in enumerate(tokens):
        tells = (tells or token.type in ("TAKES", "PARAMETER")) and token.type not in _CLOSING
        is_noise = token.type == "OTHER" and _HAN.match(token) is not None
        if not (is_noise and (tells or _is_taken(tokens, place))):
            thinned.append(token)
    return thinned


def _is_taken(tokens: Sequence[Token], place: int) -> bool:
    """Whether the clause ends in a Japanese word for taking."""
    for token in tokens[place : place + _MOST_WORDS]:
        if token.type in ("TAKEN", *_CLOSING):
            return token.type == "TAKEN"
    return False


def _iterate(tokens: Sequence[Token]) -> Iterator[Island]:
    place = 0
    while place < len(tokens):
        found = _find_longest(tokens[place : place + _MOST_TOKENS], place)
        if found is not None:
            yield found
        place = found.last if found else place + 1


def _find_longest(tokens: Sequence[Token], place: int) -> Island | None:
    """The longest island that begins with these tokens; `place` is where they stand."""
    tried = [_match(tokens, place, start) for start in _starts(tokens[0].type)]
    return max(filter(None, tried), key=lambda island: island.last, default=None)


@cache
def _starts(kind: str) -> tuple[str, ...]:
    """The start rules that can begin with this kind of token."""
    grammar = lexing.load()
    return tuple(
        start
        for start in lexing.STARTS
        if kind in grammar.parse_interactive(start=start).choices()  # type: ignore[no-untyped-call]
    )


def _match(tokens: Sequence[Token], place: int, start: str) -> Island | None:
    """The longest part that is a whole `start`. Its possible ends are searched first and its tree
    made afterwards: lark's parser cannot be copied cheaply."""
    if start == "taken" and all(token.type != "TAKEN" for token in tokens):
        return None
    for length in reversed(_find_ends(tokens, start)):
        tree = _build(tokens[:length], start)
        if tree is not None:
            return Island(start, place, place + length, tree)
    return None


def _find_ends(tokens: Sequence[Token], start: str) -> list[int]:
    """Lengths after which the part may be whole. LALR tables promise a little too much."""
    parser = lexing.load().parse_interactive(start=start)
    ends = []
    for number, token in enumerate(tokens, 1):
        try:
            parser.feed_token(token)
        except LarkError:
            break
        if "$END" in parser.choices():  # type: ignore[no-untyped-call]
            ends.append(number)
    return ends[-_MOST_ENDS:]


def _build(tokens: Sequence[Token], start: str) -> Tree[Token] | None:
    parser = lexing.load().parse_interactive(start=start)
    try:
        for token in tokens:
            parser.feed_token(token)
        tree: Tree[Token] = parser.feed_eof()  # type: ignore[no-untyped-call]
    except LarkError:
        return None
    return tree
