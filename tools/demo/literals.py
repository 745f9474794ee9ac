"""Literals of requests on texts: characters, words, separators, numbers; their code and how they are said."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import parts

FOLDER = Path(__file__).parent / "texts"
_NAMED_CODES = {"SPACE": " ", "SLASH": "/", "TAB": "\\t", "NEWLINE": "\\n", "QUOTE": '"'}
_QUOTES = {
    "en": ('"{}"', '"{}"', '"{}"', "'{}'", "'{}'", "`{}`", "\u201c{}\u201d"),
    "zh": ("\u201c{}\u201d", "\u201c{}\u201d", '"{}"', '"{}"', "\u300c{}\u300d", "'{}'"),
    "ja": ("\u300c{}\u300d", "\u300c{}\u300d", "\u300c{}\u300d", '"{}"', "\u300e{}\u300f", "'{}'"),
}
_ORDINALS = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
]
_CHINESE = "零一二三四五六七八九十"
_NUMBERS = {
    "n": (2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10),
    "k": (5, 8, 10, 12, 15, 16, 20, 24, 30, 40, 50, 64, 80, 100, 140),
}
_LETTERS = "aeiostrnlcdmpxzbk"


@dataclass(frozen=True)
class Literal:
    """What stands in the code, and what the request may call it: quoted, by name, as a plural."""

    code: str
    plain: str
    names: tuple[str, ...] = ()
    plurals: tuple[str, ...] = ()
    number: int = 0


@cache
def _table(kind: str) -> tuple[tuple[str, ...], ...]:
    """The lines of one kind: code, English, English plural, Chinese, Japanese."""
    lines = (FOLDER / "literals.txt").read_text(encoding="utf-8").splitlines()
    rows = (tuple(field.strip() for field in line.split(" / ")) for line in lines)
    return tuple(row[1:] for row in rows if row[0] == kind)


@cache
def words(kind: str, language: str) -> tuple[str, ...]:
    """The words of one kind and language; `_` stands for a space."""
    listed = [row[1] for row in _table("words") if row[0] == f"{kind}.{language}"]
    return tuple(word.replace("_", " ") for row in listed for word in row.split())


def quote(text: str) -> str:
    """`text`, as it stands between quotes in code."""
    return f"'{text}'" if '"' in text else f'"{text}"'


def draw(kind: str, language: str, rng: Random) -> Literal:
    """A literal of a kind: c(haracter), s(eparator), n(umber), l(etter), b(racket), words."""
    if kind in _NUMBERS:
        return _number(rng.choice(_NUMBERS[kind]))
    if kind == "l" or (kind == "c" and rng.random() < 0.25):
        return _letter(rng.choice(_LETTERS))
    if kind in "csmb":
        return _character(rng.choice(_table(kind)), language)
    shared = words(kind, "any") if kind in "epu" else ()
    own = words(kind, language)
    text = rng.choice(shared if shared and rng.random() < 0.4 else own)
    return Literal(quote(text), text)


def _number(value: int) -> Literal:
    return Literal(str(value), str(value), number=value)


def _letter(letter: str) -> Literal:
    return Literal(quote(letter), letter, plurals=(f"{letter}'s", f"letters {letter}"))


def _character(row: tuple[str, ...], language: str) -> Literal:
    code, english, plural, chinese, japanese = row
    said = {"en": english, "zh": chinese, "ja": japanese}[language]
    names = tuple(said.split(";")) if said != "-" else ()
    text = _NAMED_CODES.get(code, code)
    if " " in code:
        text = "".join(_NAMED_CODES.get(piece, piece) for piece in code.split())
    return Literal(quote(text), text, names, tuple(plural.split(";")) if plural != "-" else ())


def say(literal: Literal, form: str, language: str, rng: Random) -> str:
    """One way to say it: `s` plural, `a` with an article, `b` bare, `q` quoted, `o` ordinal, `w` in a word."""
    if literal.number:
        return _say_number(literal.number, form, language, rng)
    by_name = bool(literal.names) and (rng.random() < 0.7 or "\\" in literal.code or form == "n")
    if form == "b":
        return literal.plain
    if form == "s" and literal.plurals and (by_name or not literal.names):
        return rng.choice(literal.plurals)
    if form in "qs" and form:
        return _quote(literal.plain, language, rng) + _ending(form, rng)
    return _name(literal, form, rng) if by_name else _quote(literal.plain, language, rng)


def _ending(form: str, rng: Random) -> str:
    return rng.choice((" characters", " signs", "s")) if form == "s" else ""


def _name(literal: Literal, form: str, rng: Random) -> str:
    name = rng.choice(literal.names)
    if form == "a" and not re.match(r"a |an |the |nothing", name):
        return ("an " if name[0] in "aeiou" else "a ") + name
    return name


def side(literal: Literal, which: str) -> str:
    """The code of the left (`l`) or right bracket of a pair; a pair of one sign has it twice."""
    text = literal.plain
    if len(text) == 2 and text[0] != text[1]:
        return quote(text[0] if which == "l" else text[1])
    return quote(text)


def following(literal: Literal) -> Literal:
    """The number after this one, or some other word."""
    return _number(literal.number + 1) if literal.number else Literal('"new"', "new")


def _quote(text: str, language: str, rng: Random) -> str:
    suited = [
        form
        for form in _QUOTES[language]
        if not set(form) & set(text) - set("{}") and (len(text) > 1 or "`" not in form)
    ]
    return rng.choice(suited or ["{}"]).format(text)


def _say_number(value: int, form: str, language: str, rng: Random) -> str:
    if form == "d":
        return str(value)
    if form in ("o", "w"):
        return _say_ordinal(value, language, spelled=form == "w")
    if language == "ja" and value < len(_CHINESE) and rng.random() < 0.08:
        return _CHINESE[value]
    if language == "zh" and value == 2 and rng.random() < 0.3:
        return "\u4e24"
    return parts.spell(str(value), language, rng)


def _say_ordinal(value: int, language: str, *, spelled: bool) -> str:
    small = value < len(_ORDINALS)
    if language != "en":
        return _CHINESE[value] if small and spelled else str(value)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(value if value < 20 else value % 10, "th")
    return _ORDINALS[value] if small and spelled else f"{value}{ending}"
