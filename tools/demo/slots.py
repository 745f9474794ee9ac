"""The slots `<c>`, `<n2>`, `<e.q>` of a request on texts: a literal is drawn for each."""

import re
from dataclasses import dataclass, field
from random import Random

from tools.demo import literals
from tools.demo.literals import Literal

_SLOT = re.compile(r"<([a-z])(\d?)(?:\.([a-z]))?([+-]\d+)?>")
_FIRST_MARK = 0xE000
_TRIES = 40


@dataclass
class Draws:
    """The literals of one request, and the marks that stand for them while it is composed."""

    language: str
    rng: Random
    known: dict[str, Literal] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    spelled: bool | None = None

    def draw(self, kind: str, number: str) -> Literal:
        """The literal of a slot; slots of one kind differ, and numbers rise."""
        if kind + number not in self.known:
            taken = [one for key, one in self.known.items() if key[0] == kind]
            for _ in range(_TRIES):
                one = literals.draw(kind, self.language, self.rng)
                if all(one.plain != other.plain and self._rises(one, other) for other in taken):
                    break
            else:
                one = literals.following(taken[-1])
            self.known[kind + number] = one
        return self.known[kind + number]

    @staticmethod
    def _rises(one: Literal, other: Literal) -> bool:
        return not one.number or one.number > other.number

    def mark(self, text: str) -> str:
        """A private character that stands for `text`: nothing rewrites it."""
        mark = chr(_FIRST_MARK + len(self.marks))
        self.marks[mark] = text
        return mark

    def _spells(self) -> bool:
        """Whether ordinal numbers are words: all of one request or none."""
        if self.spelled is None:
            self.spelled = self.rng.random() < 0.45
        return self.spelled

    def in_code(self, text: str) -> str:
        return _SLOT.sub(self._code, text)

    def in_words(self, text: str) -> str:
        return _SLOT.sub(self._word, text)

    def fill(self, text: str) -> str:
        return re.sub("[\ue000-\uf8ff]", lambda match: self.marks[match[0]], text)

    def _code(self, match: re.Match[str]) -> str:
        one = self.draw(match[1], match[2])
        if match[4]:
            return str(one.number + int(match[4]))
        if match[3] == "c":
            return self.mark(one.plain)
        if match[1] == "b":
            return self.mark(literals.side(one, match[3]))
        return one.code if one.number else self.mark(one.code)

    def _word(self, match: re.Match[str]) -> str:
        one = self.draw(match[1], match[2])
        if match[0] not in self.said:
            form = "w" if match[3] == "o" and self._spells() else match[3] or ""
            said = literals.say(one, form, self.language, self.rng)
            self.said[match[0]] = self.mark(said)
        return self.said[match[0]]
