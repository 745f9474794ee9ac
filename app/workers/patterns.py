"""Patterns of schemas, applied in bounded time and memory.

`regex` has time limits, which `re` lacks; but before it matches it writes out every repeat that must
be: `((((a?){99}){99}){99}){99}` takes all the memory there is. So a pattern is measured first.
"""

import functools
import re
from typing import Any

import regex  # type: ignore[import-untyped]  # transformers brings it

_SECONDS = 0.2
_MAX_SIZE = 50_000  # each costs up to 1 kB, as 9,000 random patterns showed
_KEPT_SIZE = 1_000
_TOKEN = re.compile(
    r"""
    \\.                                   # an escape
    | \[\^?\]?(?:\\.|[^\]\\])*\]          # a set
    | \{(?P<count>\d+)(?:,\d*)?\}         # a repeat, and how often it must be
    | (?P<opens>\((?:\?(?:[:=!>]|<[=!]|P?<\w+>|P=\w+(?=\))|[aimsu]+(?::|(?=\))))?)?)
    | .
    """,
    re.DOTALL | re.VERBOSE,
)


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; TimeoutError if that takes too long, and for a
    pattern that cannot be applied."""
    size = measure(pattern)
    if size is None or size > _MAX_SIZE:
        raise TimeoutError
    compiled = _keep(pattern) if size <= _KEPT_SIZE else _compile(pattern)
    return compiled.search(text, timeout=_SECONDS) is not None


def _compile(pattern: str) -> Any:
    try:
        return regex.compile(pattern, cache_pattern=False)  # its own cache knows no sizes
    except regex.error as error:
        raise TimeoutError from error


_keep = functools.lru_cache(maxsize=128)(_compile)


@functools.lru_cache(maxsize=256)
def measure(pattern: str) -> int | None:
    """Its characters once every repeat that must be is written out. None for what `regex` alone
    knows and what could hide groups from us: comments, recursion, sets inside sets."""
    totals, last = [0], 0  # of each open group; of what a repeat would repeat
    for token in _TOKEN.finditer(pattern):
        text, added = token[0], len(token[0])
        if text == "(?" or (added > 1 and "[:" in text[1:]):
            return None
        if token["opens"]:
            totals.append(added)
            continue
        if token["count"]:
            added += last * max(int(token["count"][-10:]) - 1, 0)
        elif text == ")" and len(totals) > 1:
            added += totals.pop()
        last = last + added if token["count"] or text in "*+?" else added
        totals[-1] += added
    return sum(totals)
