"""What the fake engine says: words that follow from prompt and seed alone."""

import zlib
from array import array
from collections.abc import Sequence

from app.inference.engine import Likely, Logprob, Request

_WORDS = ("red", "oak", "sun", "ivy", "elm", "sea", "fox", "owl", "ash", "bay", "fir", "jay")


def choose(request: Request, count: int) -> tuple[int, ...]:
    """The first `count` tokens of the answer, each below 256."""
    start = zlib.crc32(array("q", request.prompt), request.sampling.seed & 0xFFFFFFFF)
    return tuple((start >> shift % 24) % 256 for shift in range(count))


def write(tokens: Sequence[int]) -> str:
    """The text of an answer's first tokens."""
    return " ".join(_WORDS[token % len(_WORDS)] for token in tokens)


def score(tokens: Sequence[int], top: int, *, first: int = 0) -> tuple[Logprob, ...]:
    """Log-probabilities of an answer: made up, and the same every time. Each token's alternatives
    are the words after it in the list. `first` tokens come before these."""
    return tuple(_score(token, " " if at else "", top) for at, token in enumerate(tokens, first))


def _score(token: int, space: str, top: int) -> Logprob:
    ranks = range(min(top, len(_WORDS)))
    likeliest = tuple(_spell(token + rank, space, -0.5 - rank) for rank in ranks)
    own = _spell(token, space, -0.5)
    return Logprob(own.token, own.bytes, own.logprob, likeliest)


def _spell(token: int, space: str, logprob: float) -> Likely:
    text = space + _WORDS[token % len(_WORDS)]
    return Likely(text, text.encode(), logprob)
