"""Names for functions and parameters: usual ones, and ones nobody has seen before."""

import builtins
import keyword
import re
from random import Random

from tools.demo import phrases

_STARTS = ("bl", "br", "ch", "cl", "dr", "fl", "gl", "gr", "pl", "pr", "sh", "sk", "sn", "sp", "st", "th", "tr", "ts", "zh")  # fmt: skip
_SYLLABLES: tuple[str, ...] = tuple(c + v for c in "bcdfghjklmnpqrstvwxyz" for v in "aeiou")
_RARE: tuple[str, ...] = tuple(
    c + v for c in _STARTS for v in ("a", "e", "i", "o", "u", "ai", "ou", "ee", "oo")
)
_ENDINGS: tuple[str, ...] = (
    *("",) * 6,
    *"nnrrxtslpkmgdb",
    "ng",
    "nk",
    "rp",
    "mp",
    "ck",
    "ble",
    "er",
    "ly",
    "ff",
)
_WORDS = tuple(phrases.read("words").split())
_RETURNED: dict[str, tuple[str, ...]] = {
    line.split()[0]: tuple(line.split()[1:]) for line in phrases.read("returned").splitlines()
}
_LETTERS = "abcdefghmnpqrstuvwxyz"
_FORMS = (
    *("{new}",) * 6,
    *("{0}_{1}",) * 4,
    *("{0}_{new}", "{0}{upper}", "{0}{camel}", "{0}{number}") * 2,
    *("{letter}", "{0}"),
)
_RESERVED = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"math"}


def pick_function(usual: tuple[str, ...], code: str, rng: Random) -> str:
    """A function name: at times a usual one, else invented; never one that `code` uses."""
    used = set(re.findall(r"\w+", code)) | _RESERVED
    while True:
        name = rng.choice(usual) if rng.random() < 0.4 else invent(rng)
        if name not in used:
            return name


def pick_parameters(usual: tuple[tuple[str, ...], ...], code: str, rng: Random) -> tuple[str, ...]:
    """Parameter names, one for each of the first usual set; distinct and unused in `code`."""
    used = set(re.findall(r"(?<!\$)\b\w+", code)) | _RESERVED
    while True:
        names = rng.choice(usual) if rng.random() < 0.65 else _invent_parameters(len(usual[0]), rng)
        if len(set(names)) == len(names) and not used & set(names):
            return names
        if names == usual[0]:
            return names


def pick_other(taken: set[str], rng: Random) -> str:
    """One invented name that is not taken."""
    while True:
        name = _invent_parameters(1, rng)[0]
        if name not in taken | _RESERVED:
            return name


def pick_word(language: str, rng: Random) -> str:
    """A word that a function returns, in the user's language or English."""
    return rng.choice(_RETURNED["en" if rng.random() < 0.3 else language])


def _invent_parameters(count: int, rng: Random) -> tuple[str, ...]:
    style = rng.random()
    if style < 0.4:
        return tuple(rng.sample(_LETTERS, count))
    if style < 0.55:
        stem = rng.choice(_LETTERS)
        return tuple(f"{stem}{i + 1}" for i in range(count))
    if style < 0.8:
        return tuple(rng.choice(_WORDS) for _ in range(count))
    return tuple(_word(rng) for _ in range(count))


def invent(rng: Random) -> str:
    """A name that need not mean anything."""
    form = rng.choice(_FORMS)
    words = (rng.choice(_WORDS), rng.choice(_WORDS))
    return form.format(*words, new=_word(rng), upper=_word(rng).capitalize(), **_extras(words, rng))


def _extras(words: tuple[str, str], rng: Random) -> dict[str, str]:
    return {
        "camel": words[1].capitalize(),
        "number": str(rng.randrange(1, 100)),
        "letter": rng.choice(_LETTERS),
    }


def _word(rng: Random) -> str:
    length = rng.choice((1, 2, 2, 2, 3, 3))
    kinds = [_RARE if rng.random() < 0.25 else _SYLLABLES for _ in range(length)]
    return "".join(rng.choice(kind) for kind in kinds) + rng.choice(_ENDINGS)
