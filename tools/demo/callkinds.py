"""Kinds of calls: what their files hold, and which functions they go with."""

import re
from dataclasses import dataclass
from functools import cache

from tools.demo.callwords import FOLDER
from tools.demo.families import LANGUAGES
from tools.demo.prompts import Function

FACTOR = re.compile(r"^    return \w+ [*/] (\d+(?:\.\d+)?)$", re.M)
_TEXTS = re.compile(r"[\"]|\.\w+\(|\[::-1\]|len|x\[|str\(|words|texts|strings|names")
_FRACTION = re.compile(r" / |\*\*|\d\.\d|math|list|sum\(|max\(|min\(|round")
_WHOLE = re.compile(r"range\(|bin\(|hex\(|\[|\" \*|while|%|return .*\w\(")
_NUMBERS = re.compile(r"\[(len|ord|int|float)\(")
_NUMERIC = ("sum_list", "avg_list")
_HEAD = re.compile(r"^def \w+\((.*)\)(?: -> \w+)?:", re.M)


@dataclass(frozen=True)
class Call:
    """One kind of call: what it goes with, its code, and the wordings with their kind (n, v, w, x)."""

    id: str
    patterns: tuple[str, ...]
    result: str
    names: tuple[str, ...]
    arguments: tuple[str, ...]
    code: str
    lines: dict[str, tuple[tuple[str, str], ...]]


def required(older: Function) -> tuple[str, ...]:
    """The parameters without a default."""
    match = _HEAD.search(older.code)
    listed = match[1].split(", ") if match else []
    return tuple(part.split(":")[0] for part in listed if part and "=" not in part)


def is_usable(function: Function) -> bool:
    """Whether its signature tells how it is called and what it gives, whatever was changed."""
    kinds, _, result = function.signature.partition(">")
    if function.name in function.parameters or len(function.name) == 1:
        return False
    if len(kinds.split(",")) != len(required(function)) or len(required(function)) > 3:
        return False
    if function.topics[0] != "edited":
        return True
    text = '"' in function.code or "str(" in function.code or "None" in function.code
    return not text and result in "nb" and "sorted" not in function.code


def suits(call: Call, older: Function) -> bool:
    if call.id in _NUMERIC and older.signature[0] in "ls" and _gives_texts(older):
        return False
    if "{factor}" in call.code and not FACTOR.search(older.code):
        return False
    return matches(call.patterns, older.signature)


@cache
def suited(name: str, signature: str) -> tuple[Call, ...]:
    """The calls of a file that go with a signature."""
    return tuple(call for call in load(name) if matches(call.patterns, signature))


def match_both(call: Call, first: Function, second: Function) -> bool:
    if not _go_together(call, first, second):
        return False
    for pattern in call.patterns:
        one, _, other = pattern.partition("&")
        if matches((one,), first.signature) and matches((other,), second.signature):
            return True
    return False


def _go_together(call: Call, first: Function, second: Function) -> bool:
    """Whether the elements of lists, or whole numbers, are what both functions expect."""
    if first.name in second.parameters or second.name in first.parameters:
        return False
    if call.id.startswith("chain"):
        inner, outer = (first, second) if call.id == "chain" else (second, first)
        if outer.signature[0] == "l":
            return _gives_texts(inner) == _takes_texts(outer)
        return not (_needs_whole(outer) and _FRACTION.search(inner.code))
    return first.signature[0] != "l" or _takes_texts(first) == _takes_texts(second)


def _takes_texts(function: Function) -> bool:
    """Whether the list that it takes holds strings."""
    return bool(_TEXTS.search(function.code)) and "str(" not in function.code


def _gives_texts(function: Function) -> bool:
    """Whether the list that it gives holds strings."""
    if _NUMBERS.search(function.code):
        return False
    return function.signature[0] == "s" or bool(_TEXTS.search(function.code))


def _needs_whole(function: Function) -> bool:
    return function.signature[0] == "n" and bool(_WHOLE.search(function.code))


def matches(patterns: tuple[str, ...], signature: str) -> bool:
    return any(_fits(pattern, signature) for pattern in patterns if ">" in pattern)


@cache
def _fits(pattern: str, signature: str) -> bool:
    wanted, _, gives = pattern.partition(">")
    kinds, _, result = signature.partition(">")
    if gives not in ("*", result) or len(kinds.split(",")) > 3 or result == "?":
        return False
    return wanted in ("*", kinds) or (wanted == "n*" and set(kinds.split(",")) == {"n"})


@cache
def load(name: str) -> tuple[Call, ...]:
    """All calls of one file."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(parse(block) for block in re.split(r"^@ ", text, flags=re.M)[1:])


def parse(block: str) -> Call:
    header, *rest = block.splitlines()
    title, _, result = header.partition(" : ")
    fields: dict[str, list[str]] = {}
    for line in filter(None, rest):
        word, _, text = line.partition(" ")
        fields.setdefault(word, []).append(text)
    return Call(
        id=title.split()[0],
        patterns=tuple(title.split()[1:]),
        result=result.strip(),
        names=tuple(fields["name"][0].split()),
        arguments=tuple(fields["arg"][0].split()),
        code="\n".join(fields["code"]),
        lines={word: tuple(map(_kind, fields[word])) for word in LANGUAGES},
    )


def _kind(line: str) -> tuple[str, str]:
    return (line[0], line[2:]) if line[1:2] == " " and line[0] in "nvw" else ("x", line)
