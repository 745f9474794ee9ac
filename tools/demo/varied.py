"""The same conversation with other names, numbers and returned words, as far as its sense allows."""

import re
from random import Random

from tools.demo import alters, noise, other_names, other_values
from tools.demo.other_names import Pair

_NAMED, _NUMBERED, _WORDED, _DISTURBED = 0.5, 0.5, 0.5, 0.5
_KEPT = re.compile(
    r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|\u201c[^\u201d]*\u201d|\u300c[^\u300d]*\u300d|`[^`]*`|[\"'`]|\w+\([^()]*\)"
    r"|[A-Za-z]*[_\d]\w*|\d[\d.]*|\$",
    re.ASCII,
)


def vary(pairs: list[Pair], language: str, rng: Random) -> list[Pair]:
    """The conversation with some of its names, numbers and words replaced everywhere."""
    if rng.random() < _NAMED:
        pairs = other_names.rename(pairs, language, rng)
    if rng.random() < _NUMBERED:
        pairs = other_values.renumber(pairs, rng)
    if rng.random() < _WORDED:
        pairs = other_values.reword(pairs, language, rng)
    return [(disturb(request, code, language, rng), code) for request, code in pairs]


def disturb(request: str, code: str, language: str, rng: Random) -> str:
    """Typing habits, at times; names, numbers and quoted texts stay as they are."""
    if rng.random() > _DISTURBED:
        return request
    hidden = _KEPT.sub(lambda match: alters.hide(match[0]), request)
    known = set(re.findall(r"[A-Za-z_]\w*", code))
    hidden = re.sub(r"[A-Za-z]+", lambda m: alters.hide(m[0]) if m[0] in known else m[0], hidden)
    return alters.reveal(noise.space(noise.disturb(hidden, language, rng), language, rng))
