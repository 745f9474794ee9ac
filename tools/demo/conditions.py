"""Conditions in words and code: "greater than 5", the numbers it holds for, what they then are."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tools.demo import parts
from tools.demo.parts import Part

_VERBS = (
    (r"that are (.+)", r"are \1", r"is \1"),
    (r"that can (.+)", r"can \1", r"can \1"),
    (r"that (\$?\w+) divides evenly", r"are multiples of \1", r"is a multiple of \1"),
    (r"that do not (.+)", r"do not \1", r"does not \1"),
    (r"that start and end (.+)", r"start and end \1", r"starts and ends \1"),
    (r"that have(.*)", r"have\1", r"has\1"),
    (r"that (\w+)(.*)", r"\1\2", r"\1s\2"),
    (r"with(?! exactly)? (.+)", r"have \1", r"has \1"),
    (r"without (.+)", r"do not contain \1", r"does not contain \1"),
    (r"whose (.+) (is|are) (.+)", r"have \1 equal to \3", r"has \1 equal to \3"),
    (r"starting (.+)", r"start \1", r"starts \1"),
    (r"beginning (.+)", r"begin \1", r"begins \1"),
    (r"ending (.+)", r"end \1", r"ends \1"),
    (r"containing (.+)", r"contain \1", r"contains \1"),
    (r"exceeding (.+)", r"exceed \1", r"exceeds \1"),
    (r"consisting (.+)", r"consist \1", r"consists \1"),
    (r"of (\w+ or (?:more|less).*|\w+ and above)", r"are \1", r"is \1"),
    (r"(.+)", r"are \1", r"is \1"),
)  # what follows a noun, and the same as the predicate of several things and of one


@dataclass(frozen=True)
class Condition:
    """A condition with its constants filled in: code, and phrases for one language."""

    code: str
    opposite: str
    noun: str
    nouns: str  # the noun with the condition
    predicate: str
    singular: str

    @property
    def is_joined(self) -> bool:
        return " and " in self.code or " or " in self.code


def pick(kind: str, language: str, rng: Random) -> Condition:
    """A random condition on numbers (`kind` n) or words (s)."""
    suited = [part for part in parts.load("conditions") if kind in part.kinds]
    return _draw(rng.choice(suited), kind, language, rng)


def _draw(part: Part, kind: str, language: str, rng: Random) -> Condition:
    values = parts.draw_values(rng)
    said = parts.say_values(rng.choice(part.options(language)), values, language, rng)
    noun = pick_noun(kind, language, rng)
    code, opposite = (parts.put_values(part.fields[key][0], values) for key in ("code", "not"))
    nouns, predicate, singular = _PHRASES[language](said, noun, part, rng)
    return Condition(code, opposite, noun, nouns, predicate, singular)


def pick_noun(kind: str, language: str, rng: Random) -> str:
    """What the elements of a list are called."""
    return rng.choice(parts.say(language, "numbers" if kind == "n" else "texts").split())


def _english(said: str, noun: str, part: Part, rng: Random) -> tuple[str, str, str]:
    pre = part.options("pre")
    nouns = f"{pre[0]} {noun}" if pre and rng.random() < 0.7 else f"{noun} {said}"
    plural, singular = _make_verb(said)
    return nouns, plural, singular


def _make_verb(said: str) -> tuple[str, str]:
    for pattern, plural, singular in _VERBS:
        match = re.fullmatch(pattern, said)
        if match:
            return match.expand(plural), match.expand(singular)
    raise ValueError(said)


def _chinese(said: str, noun: str, part: Part, rng: Random) -> tuple[str, str, str]:
    bare = said.removeprefix("是")
    nouns = bare if bare != said and rng.random() < 0.7 else f"{said}的{noun}"
    return nouns, said, said


def _japanese(said: str, noun: str, part: Part, rng: Random) -> tuple[str, str, str]:
    bare = said.removesuffix("の")
    nouns = bare if bare in ("偶数", "奇数", "回文") and rng.random() < 0.7 else said + noun
    return nouns, bare, bare


_PHRASES: dict[str, Callable[[str, str, Part, Random], tuple[str, str, str]]] = {
    "en": _english,
    "zh": _chinese,
    "ja": _japanese,
}
