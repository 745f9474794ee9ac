"""The function that answers a request: its names and its code."""

import ast
import re
from dataclasses import dataclass
from random import Random

from tools.demo import constants, grammar, names
from tools.demo.families import Family

_SLOTS = "abcd"


@dataclass(frozen=True)
class Function:
    """A function some answer defined."""

    name: str
    parameters: tuple[str, ...]
    code: str
    signature: str
    topics: tuple[str, ...]


def define(
    family: Family,
    text: str,
    rng: Random,
    older: Function | None,
    *,
    bare: bool,
    more: tuple[str, ...] = (),
) -> Function:
    """The function that `text` asks for: names that it has no slot for are the usual ones."""
    called = older.name if older else ""
    code = family.code.replace("$g", called)
    usual = tuple(name for name in family.names if name != called) or ("f",)
    listed = " ".join(family.parameters[0])
    asked = more if more and rng.random() < 0.25 else usual
    name = names.pick_function(asked, f"{code} {listed}", rng) if "$f" in text else usual[0]
    name = rng.choice(usual[:3]) if bare else name
    parameters = _parameters(family, text, code + " " + name, rng)
    code = fill_names(family, name, parameters, older)
    return Function(name, parameters, code, family.signature, (family.id, family.topic))


def fill_names(
    family: Family, name: str, parameters: tuple[str, ...], older: Function | None
) -> str:
    """The code of `family` with all names in it; its constants are still slots."""
    known = dict(zip(_SLOTS, parameters, strict=False)) | constants.KEPT
    return grammar.fill(family.code, known | {"f": name, "g": older.name if older else ""})


def _parameters(family: Family, text: str, code: str, rng: Random) -> tuple[str, ...]:
    usual, kinds = family.parameters[0], family.signature.split(">")[0]
    kinds = kinds if kinds.count(",") == len(usual) - 1 else ""
    while True:
        chosen = names.pick_parameters(family.parameters, code, rng, kinds)
        pairs = zip(_SLOTS, chosen, usual, strict=False)
        result = tuple(new if "$p" in text or f"${s}" in text else old for s, new, old in pairs)
        if len(set(result)) == len(result):
            return result


def values(
    language: str, function: Function, older: Function | None, rng: Random, text: str
) -> dict[str, str]:
    """What the slots of a request stand for; those of constants are filled in later."""
    listed = ", ".join(function.parameters)
    if not re.search(r"\$f\(\$p\)", text) and len(function.parameters) == 2 and rng.random() < 0.4:
        listed = {"en": " and ", "zh": "和", "ja": "と"}[language].join(function.parameters)
    return {
        **dict(zip(_SLOTS, function.parameters, strict=False)),
        **constants.KEPT,
        "f": function.name,
        "p": listed,
        "g": older.name if older else "",
    }


def is_code(text: str) -> bool:
    """Whether Python can read it: a number in its code may stand where nothing else can."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
