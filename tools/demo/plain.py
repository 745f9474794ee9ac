"""Plain names for what a request leaves open, so that an answer holds nothing that must be guessed.

A function that is not named is `solve` (then `solve2`, ...), a parameter that is not named `x`,
`s` for a text, `items` for a list, and several are `a`, `b`, `c`, `d`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from tools.demo.changes import replace_name
from tools.demo.determined import stands_in
from tools.demo.prompts import Function, Turn

NAME = "solve"
_IMPORT = re.compile(r"^import math\n+def")
_SINGLE = {"s": "s", "l": "items"}
_NAMING = "called?|named?|name|def|function|method|it|as|be|is|let|write|define|implement|want|need"
_SEVERAL = ("a", "b", "c", "d", "e")


def make_plain(turn: Turn, earlier: Sequence[Turn] = ()) -> Turn:
    """`turn` with plain names for what neither it nor an `earlier` turn names."""
    function = turn.function
    if function is None:
        return turn
    known = [one.function for one in earlier if one.function is not None]
    code = _IMPORT.sub("import math\n\n\ndef", function.code)
    name = function.name
    named = _is_named(name, turn.request) if turn.is_named is None else turn.is_named
    if not named and name not in {one.name for one in known}:
        name = _free_name(known)
        code = replace_name(code, function.name, name)
    parameters = function.parameters
    new = _plain_parameters(turn, function, known)
    if new != parameters and not set(new) & (set(re.findall(r"\w+", code)) - set(parameters)):
        code = _replace_all(code, parameters, new)
        parameters = new
    changed = replace(function, name=name, parameters=parameters, code=code)
    answer = turn.answer.replace(function.code, code)
    return Turn(turn.request, answer, changed)


def _is_named(name: str, request: str) -> bool:
    """Whether a request names the function so and does not merely use the word."""
    if not request.isascii() or re.search(r"[_0-9A-Z]", name):
        return stands_in(name, request)
    word = re.escape(name)
    return (
        re.search(rf"\b{word}\(|[`'\"]{word}[`'\"]|\b(?:{_NAMING})\W+{word}\b", request) is not None
    )


def _plain_parameters(turn: Turn, function: Function, known: list[Function]) -> tuple[str, ...]:
    """The parameters as they are where an older function has them or the request says all of them."""
    old = function.parameters
    inherited = {name for one in known for name in one.parameters}
    if any(name in inherited for name in old):
        return old
    told = turn.names_parameters
    if told is None:
        told = all(stands_in(name, turn.request) for name in old)
    if told:
        return old
    if len(old) == 1:
        return (_SINGLE.get(function.signature[0], "x"),)
    return _SEVERAL[: len(old)] if len(old) <= len(_SEVERAL) else old


def _free_name(known: list[Function]) -> str:
    taken = {one.name for one in known}
    count = 1
    while (name := NAME if count == 1 else f"{NAME}{count}") in taken:
        count += 1
    return name


def _replace_all(code: str, old: tuple[str, ...], new: tuple[str, ...]) -> str:
    """New names for all parameters at once, as an old name may be another's new one."""
    between = [f"_{place}_" for place in range(len(old))]
    for before, after in (*zip(old, between, strict=True), *zip(between, new, strict=True)):
        code = replace_name(code, before, after)
    return code
