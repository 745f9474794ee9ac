"""Whether an answer can be known from what is said: its numbers, quoted words and names."""

import re
from functools import cache

from tools.demo import parts
from tools.demo.families import Family

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_SAID_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?!\d|\.\d)")
_QUOTED = re.compile(r"(?<!')\"([^\"\n]*)\"(?!')")
_FILES = ("aggregates", "characters", "conditions", "operations")
_MADE = ("select", "characters", "operate", "decide")  # topics whose code has drawn values in it
_ALWAYS = frozenset(("0", "1", "2", "100"))  # of idioms: x[0], x % 2, x[::-1], percent


def holds(said: str, code: str, fixed: str = "", *, names: tuple[str, ...] = ()) -> bool:
    """Whether each number and quoted word of `code` stands in `said` (a request and all before it)
    or in `fixed`, what never varies in such an answer; and each of `names`, which were drawn."""
    known = _numbers(said) | _numbers(fixed) | _ALWAYS
    if any(number not in known and not _spelled(number, said) for number in _code_numbers(code)):
        return False
    if not all(_is_quoted(word, said, fixed) for word in _QUOTED.findall(code)):
        return False
    return all(stands_in(name, said) for name in names)


def stands_in(name: str, said: str) -> bool:
    """Whether `name` stands in `said` by itself, not within another name."""
    at = said.find(name)
    while at >= 0:
        around = said[at - 1 : at] + said[at + len(name) : at + len(name) + 1]
        if not any(sign == "_" or (sign.isascii() and sign.isalnum()) for sign in around):
            return True
        at = said.find(name, at + 1)
    return False


def _is_quoted(word: str, said: str, fixed: str) -> bool:
    """Whether a quoted text, but for the blanks around it, or all of its characters are said."""
    if "{" in word or f'"{word}"' in fixed or (word.strip(" ,") or word) in said:
        return True
    return len(word) < 4 and all(stands_in(character, said) for character in word)


def _code_numbers(code: str) -> set[str]:
    return set(_NUMBER.findall(_QUOTED.sub('""', code)))


def _numbers(text: str) -> set[str]:
    return set(_SAID_NUMBER.findall(text))


def _spelled(number: str, said: str) -> bool:
    lower = said.lower()
    return any(re.search(pattern, lower) for pattern in _words(number))


@cache
def _words(number: str) -> tuple[re.Pattern[str], ...]:
    """The number as a word in English, Chinese and Japanese."""
    return tuple(
        re.compile(rf"\b{word}" if word.isascii() else word) for word in parts.number_words(number)
    )


def is_said(family: Family, said: str, code: str, names: tuple[str, ...] = ()) -> bool:
    """The same for the answer to a request for `family`; `names` are those of the answer."""
    fixed = _made_code() if family.topic in _MADE else family.code
    first = family.names[0]  # where it is the name of an older function, the next one is used
    usual = {*family.names[: 2 if stands_in(first, said) else 1], *family.parameters[0]}
    return holds(said, code, fixed, names=tuple(name for name in names if name not in usual))


@cache
def _made_code() -> str:
    """What never varies in tasks that are put together from parts: the code of all parts."""
    every = (part for name in _FILES for part in parts.load(name))
    lines = (line for part in every for key in ("code", "not") for line in part.fields.get(key, ()))
    return "\n".join(lines)
