"""Arithmetic in words, such that nobody can take it for another calculation.

A line of formulas/spoken.txt: a kind of node, how tightly the phrase binds (0 only as a whole, 1 a
sum, 2 a product, 3 one thing done to a value, 4 a closed phrase), `o` where it would swallow what
follows it (English) or what stands before it (Japanese), and patterns. Slots: {a2} takes phrases
that bind at least so tightly, {a3=} such as are one thing done to a value, {a1^} no single name, {b#} a number, {b~} one with 两 for 2, {a1*} anything.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tools.demo.expressions import Node

_FILE = Path(__file__).parent / "formulas" / "spoken.txt"
_SLOT = re.compile(r"\{([ab])(\d|#|~)([=*^]?)\}")
_INFIX = {"+": 1, "-": 1, "*": 2, "/": 2}
_WORDS = {
    "en": ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "zh": ("", "", "二", "三", "四", "五", "六", "七", "八", "九", "十"),
    "ja": ("", "", "二", "三", "四", "五", "六", "七", "八", "九", "十"),
}


@dataclass(frozen=True)
class _Slot:
    part: int
    least: int | str
    mark: str
    closed: bool
    inherits: bool


@dataclass(frozen=True)
class _Pattern:
    level: int
    is_open: bool
    texts: tuple[str, ...]
    slots: tuple[_Slot, ...]


@dataclass(frozen=True)
class _Way:
    language: str
    brackets: bool


@cache
def _patterns() -> dict[tuple[str, str], tuple[_Pattern, ...]]:
    found: dict[tuple[str, str], tuple[_Pattern, ...]] = {}
    language = ""
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            language = line[2:]
        elif not line.startswith("#"):
            kind, level, rest = line.split(" ", 2)
            options = [rest] if "|{" in rest and rest[0] == "|" else rest.split("|")
            made = tuple(_parse(option, level, language) for option in options)
            found[language, kind] = (*found.get((language, kind), ()), *made)
    return found


def _parse(text: str, level: str, language: str) -> _Pattern:
    slots, pieces, end = [], [], 0
    for match in _SLOT.finditer(text):
        part, least, mark = match.groups()
        before, after = text[: match.start()], text[match.end() :]
        edge = not after if language == "en" else not before
        guarded = mark == "*" or after[:1] in (",", ")", "|") or before[-1:] in ("(", "|")
        bound = int(least) if least.isdigit() else least
        slots.append(_Slot("ab".index(part), bound, mark, not (edge or guarded), edge))
        pieces.append(text[end : match.start()])
        end = match.end()
    return _Pattern(int(level[0]), level.endswith("o"), (*pieces, text[end:]), tuple(slots))


def say(node: Node, language: str, rng: Random, least: int = 0) -> str | None:
    """`node` in words; None where no phrase would be clear. Names have a $ before them."""
    if rng.random() < 0.75:
        text = _say(node, _Way(language, False), rng, least)
        if text is not None:
            return _plural(text)
    text = _say(node, _Way(language, True), rng, least)
    return None if text is None else _plural(text)


def _plural(text: str) -> str:
    return re.sub(r"\b1 decimal(s| places)\b", "1 decimal place", text)


def _say(node: Node, way: _Way, rng: Random, least: int = 0, closed: bool = False) -> str | None:
    if node.kind == "var":
        return f"${node.text}"
    if node.kind == "num":
        chance = 0.25 if way.language == "en" else 0.08
        return spell(node.text, way.language, rng) if rng.random() < chance else node.text
    level = _INFIX.get(node.kind, 9)
    if way.brackets and level < least and rng.random() < 0.4:
        return _bracket(node, way, rng)
    patterns = list(_patterns()[way.language, node.kind])
    rng.shuffle(patterns)
    for pattern in patterns:
        if pattern.level >= least and not (closed and pattern.is_open):
            text = _fill(pattern, node, way, rng, closed)
            if text is not None:
                return text
    return _bracket(node, way, rng) if way.brackets and level < least else None


def _bracket(node: Node, way: _Way, rng: Random) -> str | None:
    for pattern in _patterns()[way.language, node.kind]:
        if pattern.level in (1, 2):
            text = _fill(pattern, node, way, rng, False)
            return None if text is None else f"({text})"
    return None


def _fill(pattern: _Pattern, node: Node, way: _Way, rng: Random, closed: bool) -> str | None:
    said, seen = [pattern.texts[0]], dict[int, str]()
    for slot, after in zip(pattern.slots, pattern.texts[1:], strict=True):
        text = seen.get(slot.part) or _put(slot, node.parts[slot.part], way, rng, closed)
        if text is None:
            return None
        seen[slot.part] = text
        said += [text, after]
    return "".join(said)


def _put(slot: _Slot, part: Node, way: _Way, rng: Random, closed: bool) -> str | None:
    if isinstance(slot.least, str):
        if part.kind != "num":
            return None
        return "两" if slot.least == "~" and part.text == "2" and rng.random() < 0.6 else part.text
    if slot.mark == "^" and not part.parts:
        return None
    if slot.mark == "=" and part.kind not in ("sq", "cube", "half", "double", "third"):
        return None
    return _say(part, way, rng, slot.least, slot.closed or (slot.inherits and closed))


def spell(text: str, language: str, rng: Random) -> str:
    """A small number as a word."""
    if text.isdigit() and 1 < int(text) <= 10:
        return _WORDS[language][int(text)]
    return text
