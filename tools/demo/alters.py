"""Requests that change the last function, whatever it is, by editing its code."""

import re
from itertools import accumulate
from random import Random

from tools.demo import defining, edits, grammar, noise, parts, phrases
from tools.demo.alter_kinds import GROUPS, KINDS, SECTIONS
from tools.demo.alter_numbers import Altered
from tools.demo.prompts import Function, Turn

_OLD = 0.35  # of the changes are of the kinds of edits.py
_UNDONE = 0.12  # of the changes of a function that was changed before take that back
_OPENED, _POINTED, _CLOSED = 0.14, 0.1, 0.07
_RENAMED, _JOINED = 0.08, 0.07
_TRIES = 40
_HIDDEN = 0xF0000
_SPELLED = {"num1", "numk", "factor", "plusnum", "minusnum", "divnum", "firstn", "lastn", "more"}
_SPELLED_OUT = 0.12
_SIGNS = re.compile(r"[-=+/*%→>]")  # where no number is spelled out
_JAPANESE = dict(zip("23456789", "二三四五六七八九", strict=True))
_LINKED = {"zh": r"(是|为|返回|叫|算)\$w", "ja": r"(は|とき|で)\$w", "en": r"\$w"}
_NAMES = tuple(KINDS)
_WEIGHTS = tuple(accumulate(weight for _, weight in KINDS.values()))
_PLACES = {kind: place for place, group in enumerate(GROUPS) for kind in group.split()}


def compose(older: Function, language: str, rng: Random, previous: Function | None = None) -> Turn:
    """A request to change `older`, and the whole changed function; `previous` is what it was."""
    if previous is not None and previous.code != older.code and rng.random() < _UNDONE:
        return _undo(older, previous, language, rng)
    if rng.random() < _OLD:
        return edits.compose(older, language, rng)
    first = _pick(older, language, rng)
    if first is None:
        return edits.compose(older, language, rng)
    function, text, kind = first
    lines = phrases.load_once(f"alters/{language}")
    draw = rng.random()
    if draw < _RENAMED:
        function, text = _add_name(function, text, language, rng)
    elif draw < _RENAMED + _JOINED:
        second = _pick(function, language, rng, after=kind)
        if second is not None and "math" not in function.code:
            text = _join(text, rng.choice(lines.sections["joint"]), second[1])
            function = second[0]
    elif draw < _RENAMED + _JOINED + _CLOSED and "?" not in text[-1]:
        text = _join(text, rng.choice(lines.sections["closer"]), "")
    text = _open(text, older, language, rng)
    return Turn(_finish(text, language, rng), function.code, function)


def _undo(older: Function, previous: Function, language: str, rng: Random) -> Turn:
    lines = phrases.load_once(f"alters/{language}")
    text = rng.choice(lines.sections["undo"]).replace("$f", hide(older.name))
    return Turn(_finish(text, language, rng), previous.code, previous)


def hide(text: str) -> str:
    """Names, numbers and quoted words, in signs that no disturbance touches."""
    return "".join(chr(_HIDDEN + ord(sign)) for sign in text)


def reveal(text: str) -> str:
    """The text with all that was hidden in it."""
    return "".join(chr(ord(sign) % _HIDDEN) for sign in text)


def _finish(text: str, language: str, rng: Random) -> str:
    return noise.space(reveal(noise.disturb(text, language, rng)), language, rng)


def _pick(
    older: Function, language: str, rng: Random, after: str = ""
) -> tuple[Function, str, str] | None:
    """A change that suits `older`, the filled text that asks for it, and its kind.

    With `after`, one that can be asked for in the same breath as a change of that kind.
    """
    least = _PLACES.get(after, len(GROUPS))
    for _ in range(_TRIES):
        kind = rng.choices(_NAMES, cum_weights=_WEIGHTS)[0]
        if after and _PLACES.get(kind, -1) <= least:
            continue
        altered = KINDS[kind][0](older, language, rng)
        if (
            altered is not None
            and altered[0].code != older.code
            and defining.is_code(altered[0].code)
        ):
            return altered[0], say(kind, altered, older, language, rng), kind
    return None


def say(kind: str, altered: Altered, older: Function, language: str, rng: Random) -> str:
    """One way to ask for a change, with its names and numbers hidden."""
    lines = phrases.load_once(f"alters/{language}")
    _, values = altered
    section, macros = SECTIONS.get(kind, kind), dict(lines.macros)
    case = values.get("!case", "")
    if kind == "guard":
        section = (
            "raise" if values["!raises"] == "True" else rng.choice(("guard", "guard", "guardn"))
        )
        macros["P"] = rng.choice(lines.sections[f"if.{case}"])
        macros["N"] = rng.choice(lines.sections[f"for.{case}"])
    elif kind == "more":
        section = "moreone" if values["!sort"] == "single" else "moreeach"
        macros["C"] = rng.choice(lines.sections[f"cond.{case}"])
    elif section == "takerole":
        compared = re.search(r"[<>]", older.code)
        macros["ROLE"] = macros["RATE" if "* " in older.code else "LIMIT" if compared else "NUM"]
    elif kind == "case":
        section = case
    said = [line for line in lines.sections[section] if values.get("!", "") in line]
    if kind == "case" and values["w"].isdigit():
        said = [line for line in said if re.search(_LINKED[language], line)]
    text = grammar.expand(rng.choice(said), macros, rng)
    slots = dict(zip("abcd", older.parameters, strict=False)) | {"f": older.name}
    slots |= {key: value for key, value in values.items() if len(key) == 1}
    if kind in _SPELLED and not _SIGNS.search(text):
        slots |= {key: _spell(slots[key], language, rng) for key in "jk" if key in slots}
    return grammar.fill(text, {key: hide(value) for key, value in slots.items()})


def _spell(number: str, language: str, rng: Random) -> str:
    """A small number as a word, at times."""
    if language == "ja" and number in _JAPANESE:
        return _JAPANESE[number] if rng.random() < _SPELLED_OUT else number
    return parts.spell(number, language, rng)


def _join(text: str, joint: str, more: str) -> str:
    """`text`, what joins, and `more`."""
    if text[-1] in "?？.。" and joint[0] in ",.，。、；;":
        joint = joint[1:]
    upper = joint.rstrip().endswith(".")
    return text + joint + (more[:1].upper() + more[1:] if upper else more)


def _add_name(function: Function, text: str, language: str, rng: Random) -> tuple[Function, str]:
    """The changed function under another name, and the text that also asks for that."""
    made, values = edits.EDITS["rename"][1](function, rng)
    line = rng.choice(phrases.load_once(f"alters/{language}").sections["also"])
    return made, _join(text, line.replace("$h", hide(values["h"])), "")


def _open(text: str, older: Function, language: str, rng: Random) -> str:
    """`text` after an apology or the like, or after what names the function."""
    lines, draw = phrases.load_once(f"alters/{language}"), rng.random()
    gap = " " if language == "en" else ""
    if draw < _OPENED:
        return rng.choice(lines.sections["opener"]) + gap + text
    if draw < _OPENED + _POINTED and hide(older.name) not in text:
        pointed = rng.choice(lines.sections["about"])
        return pointed.replace("$f", hide(older.name)) + gap + text
    return text
