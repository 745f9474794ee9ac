"""What the fake engine says: words that follow from prompt and seed alone."""

import zlib
from array import array
from collections.abc import Sequence

from app.inference.engine import Request

_WORDS = ("red", "oak", "sun", "ivy", "elm", "sea", "fox", "owl", "ash", "bay", "fir", "jay")


def choose(request: Request, count: int) -> tuple[int, ...]:
    """The first `count` tokens of the answer, each below 256."""
    start = zlib.crc32(array("q", request.prompt), request.sampling.seed & 0xFFFFFFFF)
    return tuple((start >> shift % 24) % 256 for shift in range(count))


def write(tokens: Sequence[int]) -> str:
    """The text of an answer's first tokens."""
    return " ".join(_WORDS[token % len(_WORDS)] for token in tokens)
