"""Names for functions and parameters: usual ones, and ones nobody has seen before."""

import builtins
import keyword
import re
from functools import cache
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
    *("{0}_{1}",) * 3,
    *("{0}_{new}", "{0}{upper}", "{0}{camel}", "{0}{number}") * 2,
    *("{letter}", "{0}"),
)
_DRESSED = (
    "calc_{}", "calc_{}", "get_{}", "get_{}", "my_{}", "compute_{}", "do_{}", "{}_fn", "{}_func",
    "{}2", "{}_v2", "f_{}", "new_{}", "the_{}", "{}_helper", "{}_of", "{}_value", "{}_result",
)  # fmt: skip
_DRESSED_TEST = ("my_{}", "check_{}", "test_{}", "{}_fn", "{}2", "{}_check")
_TEST = re.compile(r"(is|has|can|are|all|any|check|too)_")
_PARAMETERS = {
    "n": "val num value number amount qty price score rate weight n1 num1 x1 x0 v1 arg inp nn xx "
    "shu zhi jiage shuliang chengji kazu atai nedan kosu tensu kingaku",
    "s": "txt str1 s1 line text word string msg sentence inp name1 wenben zifu juzi danci ci moji "
    "bun tango mojiretsu",
    "l": "lst arr xs nums seq vals data list1 array1 lst1 ys elems liebiao shuzu narabi risuto",
    "b": "flag ok cond on switch",
    "?": "x1 arg inp val data item obj y1 z1",
}
_KINDS = {kind: tuple(words.split()) for kind, words in _PARAMETERS.items()}
_RESERVED = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"math"}


def pick_function(usual: tuple[str, ...], code: str, rng: Random) -> str:
    """A function name: a usual one, one made from it, or invented; never one that `code` uses."""
    used = set(re.findall(r"\w+", code)) | _RESERVED
    while True:
        draw = rng.random()
        if draw < 0.6:
            name = rng.choice(usual)
            name = name if draw < 0.42 else _dress(name, rng)
        else:
            name = invent(rng)
        if name not in used:
            return name


def _dress(name: str, rng: Random) -> str:
    """A longer name made from a usual one: calc_area, checkEven."""
    if len(name) < 16:
        forms = _DRESSED_TEST if _TEST.match(name) else _DRESSED
        name = rng.choice(forms).format(name) if rng.random() < 0.7 else name
    if rng.random() < 0.4:
        first, *rest = name.split("_")
        name = first + "".join(map(str.capitalize, rest))
    return name


def pick_parameters(
    usual: tuple[tuple[str, ...], ...], code: str, rng: Random, kinds: str = ""
) -> tuple[str, ...]:
    """Parameter names, one for each of the first usual set; distinct and unused in `code`."""
    used = set(re.findall(r"(?<!\$)\b\w+", code)) | _RESERVED
    listed = kinds.split(",") if kinds else ["?"] * len(usual[0])
    while True:
        names = rng.choice(usual) if rng.random() < 0.6 else _invent_parameters(listed, rng)
        if len(set(names)) == len(names) and not used & set(names):
            return names
        if names == usual[0]:
            return names


def pick_other(taken: set[str], rng: Random) -> str:
    """One invented name that is not taken."""
    while True:
        name = _invent_parameters(["?"], rng)[0]
        if name not in taken | _RESERVED:
            return name


def is_reserved(name: str) -> bool:
    """Whether Python has the name already, as a keyword or a function of its own."""
    return name in _RESERVED


@cache
def words() -> frozenset[str]:
    """The English words that names are made of."""
    return frozenset(_WORDS)


def pick_word(language: str, rng: Random) -> str:
    """A word that a function returns, in the user's language or English."""
    return rng.choice(_RETURNED["en" if rng.random() < 0.3 else language])


def _invent_parameters(kinds: list[str], rng: Random) -> tuple[str, ...]:
    """Names that look like those of parameters, not like words of a sentence."""
    style, count = rng.random(), len(kinds)
    if style < 0.4:
        return tuple(rng.sample(_LETTERS, count))
    if style < 0.55:
        stem = rng.choice(_LETTERS)
        return tuple(f"{stem}{i + 1}" for i in range(count))
    if style < 0.75:
        return tuple(rng.choice(_KINDS.get(kind, _KINDS["?"])) for kind in kinds)
    return tuple(_word(rng) for _ in kinds)


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
