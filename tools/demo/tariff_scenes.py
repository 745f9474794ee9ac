"""What limits are set for, and the parts of a sentence that speak of one limit."""

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from tools.demo import tariff_words as words
from tools.demo.tariff_words import Form

_RUNNING_ON = re.compile(r"(?<=[0-9]) \{R\}|(?<=under|below|above) \{R\}|(?<=over|more|less) \{R\}")
_SLOT = re.compile(r"\{([A-Z]+)\}")


@dataclass(frozen=True)
class Domain:
    """What limits are set for: ages, scores, temperatures."""

    id: str
    fields: dict[str, str]

    def pick(self, key: str, rng: Random) -> str:
        return rng.choice(self.fields[key].split("|"))

    def own(self, language: str, operator: str) -> tuple[Form, ...]:
        text = self.fields.get(f"{language} {operator}", "")
        return words.parse_own(text, language) if text else ()


@dataclass(frozen=True)
class Clause:
    """One limit of a rule, and how it is said."""

    operator: str
    limit: str
    shown: str
    span: str = ""

    @property
    def test(self) -> str:
        return f"$a {words.SIGNS[self.operator]} {self.limit}"


@cache
def domains() -> tuple[Domain, ...]:
    """All domains of domains.txt."""
    found: list[Domain] = []
    for line in words.lines("domains"):
        if line[0] == "@":
            found.append(Domain(line[2:], {}))
            continue
        size = 2 if line[:3] in ("en ", "zh ", "ja ") else 1
        parts = line.split(" ", size)
        found[-1].fields[" ".join(parts[:size])] = parts[size]
    return tuple(found)


@dataclass(frozen=True)
class Scene:
    """A domain as one request speaks of it: with which unit, subject and noun."""

    domain: Domain
    language: str
    unit: str
    the: str = ""
    who: str = ""

    @property
    def noun(self) -> str:
        return self.domain.fields.get(f"{self.language} noun", "").split("|")[0]

    @property
    def is_about_people(self) -> bool:
        return self.domain.id in {"age", "height", "count"}

    def cast(self, rng: Random) -> "Scene":
        """The scene with a subject and a noun."""
        the, who = (self.domain.pick(f"{self.language} {key}", rng) for key in ("the", "who"))
        return Scene(self.domain, self.language, self.unit, the, who)

    def shorten(self, rng: Random) -> "Scene":
        """The scene for a further clause: it says "it" or nothing for the subject."""
        the = self.the
        if self.language != "en":
            the = ""
        elif the.startswith(("the ", "$a")) and rng.random() < 0.5:
            the = "it"
        return Scene(self.domain, self.language, self.unit, the, self.who)

    def allows(self, pattern: str) -> bool:
        """Whether the pattern's subject can be said."""
        bare = not self.the and re.search(r"\{THEHA\}|\{THE\}：", pattern)
        return not bare and not ("{NOUN}" in pattern and not self.noun)

    def slots(self, clause: Clause, pattern: str, rng: Random) -> dict[str, str]:
        """The limit in the forms that the pattern asks for."""
        language, operator, number = self.language, clause.operator, clause.shown
        own = self.domain.own(language, operator)
        slots = {"THE": self.the, "NOUN": self.noun}
        slots["THEGA"] = f"{self.the}が" if self.the else ""
        slots["THEHA"] = f"{self.the}は" if self.the else ""
        slots["CQ"] = {"gt": "超过", "ge": "达到"}.get(operator, "") + number
        if re.search(r"\{(C|AN|N)\}", pattern):
            bare = words.say(language, operator, number, rng, "bare", own)
            slots["C"] = clause.span or bare.text.replace("*", "")
            slots["AN"] = slots["N"] = bare.text.replace("*", "")
        if re.search(r"\{(P|A|IF|NIF)\}", pattern):
            free = words.say(language, operator, number, rng, "free", own)
            slots["P"] = slots["A"] = free.text
            slots["IF"] = slots["NIF"] = words.say_if(free, rng)
        if "{CP}" in pattern:
            slots["CP"] = words.say(language, operator, number, rng, "preposition").text.strip("*")
        if "{W}" in pattern:
            noun = words.say(language, operator, number, rng, "noun", own)
            of = self.domain.fields.get("en of", "of")
            slots["W"] = words.say_attribute(noun, self.who, of, language)
        if clause.span and language == "ja":
            slots["IF"] = clause.span + rng.choice(("なら", "は", "の場合は", "のときは"))
        if clause.span and language == "zh":
            slots["W"] = f"{clause.span}的{self.who}"
        return slots


def fill(pattern: str, slots: dict[str, str]) -> str:
    """The pattern with its slots; a result does not run into the number before it."""
    result = slots.get("R", "{R}")
    text = _SLOT.sub(lambda match: match[0] if match[1] == "R" else slots[match[1]], pattern)
    if re.match(r"[\w.$€£-]", result, re.A):
        text = re.sub(r"(?<=[A-Za-z0-9])\{R\}", "：{R}", text)
        text = _RUNNING_ON.sub(": {R}", text)
    return text.replace("{R}", result)
