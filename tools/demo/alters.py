"""Requests that change the last function, whatever it is, by editing its code."""

from itertools import accumulate
from random import Random

from tools.demo import (
    alter_guards,
    alter_numbers,
    alter_parameters,
    alter_results,
    edits,
    grammar,
    noise,
    phrases,
)
from tools.demo.alter_numbers import Altered, Maker, turn
from tools.demo.alter_results import prepare, wrap
from tools.demo.prompts import Function, Turn

_OLD = 0.35  # of the changes are of the kinds of edits.py
_UNDONE = 0.12  # of the changes of a function that was changed before take that back
_OPENED, _POINTED, _CLOSED = 0.14, 0.1, 0.07
_RENAMED, _JOINED = 0.08, 0.07
_TRIES = 40


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
    request = noise.space(noise.disturb(text, language, rng), language, rng)
    return Turn(request, function.code, function)


def _undo(older: Function, previous: Function, language: str, rng: Random) -> Turn:
    lines = phrases.load_once(f"alters/{language}")
    text = rng.choice(lines.sections["undo"]).replace("$f", older.name)
    text = noise.disturb(text, language, rng)
    return Turn(noise.space(text, language, rng), previous.code, previous)


def _pick(
    older: Function, language: str, rng: Random, after: str = ""
) -> tuple[Function, str, str] | None:
    """A change that suits `older`, the filled text that asks for it, and its kind.

    With `after`, one that can be asked for in the same breath as a change of that kind.
    """
    least = _PLACES.get(after, len(_GROUPS))
    for _ in range(_TRIES):
        kind = rng.choices(_NAMES, cum_weights=_WEIGHTS)[0]
        if after and _PLACES.get(kind, -1) <= least:
            continue
        altered = KINDS[kind][0](older, language, rng)
        if altered is not None and altered[0].code != older.code:
            return altered[0], say(kind, altered, older, language, rng), kind
    return None


def say(kind: str, altered: Altered, older: Function, language: str, rng: Random) -> str:
    """One way to ask for a change."""
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
    elif kind == "case":
        section = case
    said = [line for line in lines.sections[section] if values.get("!", "") in line]
    text = grammar.expand(rng.choice(said), macros, rng)
    slots = dict(zip("abcd", older.parameters, strict=False)) | {"f": older.name}
    slots |= {key: value for key, value in values.items() if len(key) == 1}
    return grammar.fill(text, slots)


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
    return made, _join(text, line.replace("$h", values["h"]), "")


def _open(text: str, older: Function, language: str, rng: Random) -> str:
    """`text` after an apology or the like, or after what names the function."""
    lines, draw = phrases.load_once(f"alters/{language}"), rng.random()
    gap = " " if language == "en" else ""
    if draw < _OPENED:
        return rng.choice(lines.sections["opener"]) + gap + text
    if draw < _OPENED + _POINTED and older.name not in text:
        pointed = rng.choice(lines.sections["about"])
        return pointed.replace("$f", older.name) + gap + text
    return text


KINDS: dict[str, tuple[Maker, int]] = {
    "num1": (alter_numbers.replace_single, 90),
    "numk": (alter_numbers.replace_one, 70),
    "numtwo": (alter_numbers.replace_two, 14),
    "limit": (alter_numbers.replace_after(r" (?:>=?|<=?) (\d+(?:\.\d+)?)"), 40),
    "factor": (alter_numbers.replace_after(r"\* (\d+(?:\.\d+)?)$"), 40),
    "plusnum": (alter_numbers.replace_after(r"\w \+ (\d+(?:\.\d+)?)$"), 30),
    "minusnum": (alter_numbers.replace_after(r"\w - (\d+(?:\.\d+)?)$"), 30),
    "divnum": (alter_numbers.replace_after(r"\w / (\d+(?:\.\d+)?)$"), 25),
    "discount": (alter_numbers.replace_discount, 60),
    "take": (alter_numbers.take(named=True, default="none"), 26),
    "takebare": (alter_numbers.take(named=False, default="none"), 26),
    "takedef": (alter_numbers.take(named=True, default="other"), 13),
    "takesame": (alter_numbers.take(named=True, default="same"), 13),
    "takebaredef": (alter_numbers.take(named=False, default="other"), 13),
    "takebaresame": (alter_numbers.take(named=False, default="same"), 13),
    "takerole": (alter_numbers.take(named=False, default="other", single=True), 9),
    "takerolesame": (alter_numbers.take(named=False, default="same", single=True), 12),
    "addsumdef": (alter_numbers.add_plain("+", named=True, default=True), 5),
    "addminusdef": (alter_numbers.add_plain("-", named=True, default=True), 5),
    "addtimesdef": (alter_numbers.add_plain("*", named=True, default=True), 5),
    "addsumbare": (alter_numbers.add_plain("+", named=False, default=False), 5),
    "addtimesbare": (alter_numbers.add_plain("*", named=False, default=False), 5),
    "minus2plus": (turn(r"(?<=\w) - (?=[\w(])", " + ", signature=r"^[n,]+>n"), 12),
    "plus2minus": (turn(r"(?<=[\w)]) \+ (?=[\w(])", " - ", signature=r"^[n,]+>n"), 12),
    "times2plus": (turn(r"(?<=\w) \* (?=\w)", " + ", signature=r"^[n,]+>n"), 6),
    "plus2times": (turn(r"(?<=\w) \+ (?=\w)", " * ", signature=r"^[n,]+>n"), 8),
    "times2div": (turn(r"(?<=\w) \* (?=\w)", " / ", signature=r"^[n,]+>n"), 8),
    "div2times": (turn(r"(?<=\w) / (?=\w)", " * ", signature=r"^[n,]+>n"), 8),
    "div2floor": (turn(r"(?<=\w) / (?=\w)", " // ", signature=r"^[n,]+>n"), 6),
    "square2cube": (turn(r" \*\* 2\b", " ** 3"), 50),
    "cube2square": (turn(r" \*\* 3\b", " ** 2"), 50),
    "gt2lt": (turn(r" >(?=[ =])", " <", r"^(?!.* <)"), 8),
    "lt2gt": (turn(r" <(?=[ =])", " >", r"^(?!.* >)"), 8),
    "max2min": (turn(r"\bmax\(", "min(", r"^(?!.*min\()"), 30),
    "min2max": (turn(r"\bmin\(", "max(", r"^(?!.*max\()"), 30),
    "sum2mean": (turn(r"\breturn sum\((\w+)\)$", r"return sum(\1) / len(\1)"), 60),
    "mean2sum": (turn(r"\breturn sum\((\w+)\) / len\(\1\)$", r"return sum(\1)"), 60),
    "sum2max": (turn(r"\breturn sum\((\w+)\)$", r"return max(\1)"), 30),
    "sum2count": (turn(r"\breturn sum\((\w+)\)$", r"return len(\1)"), 30),
    "even2odd": (turn(r"% 2 == 0", "% 2 == 1", needs=r"^(?!.*and)"), 45),
    "odd2even": (turn(r"% 2 == 1", "% 2 == 0", needs=r"^(?!.*and)"), 45),
    "upper2lower": (turn(r"\.upper\(\)(?=$| for)", ".lower()"), 30),
    "lower2upper": (turn(r"\.lower\(\)(?=$| for)", ".upper()"), 25),
    "first2last": (turn(r"\[0\]", "[-1]", r"^(?!.*-1)"), 30),
    "last2first": (turn(r"\[-1\]", "[0]", r"^(?!.*\[0)"), 30),
    "asc2desc": (turn(r"sorted\((\w+)\)$", r"sorted(\1, reverse=True)"), 45),
    "desc2asc": (turn(r"sorted\((\w+), reverse=True\)$", r"sorted(\1)"), 45),
    "and2or": (turn(r" and ", " or "), 18),
    "or2and": (turn(r" or ", " and "), 18),
    "starts2ends": (turn(r"\.startswith\(", ".endswith("), 40),
    "ends2starts": (turn(r"\.endswith\(", ".startswith("), 40),
    "any2all": (turn(r"\bany\((?=.+ for x in )", "all(", r"^(?!.*not )"), 20),
    "all2any": (turn(r"\ball\((?=.+ for x in )", "any(", r"^(?!.*not )"), 20),
    "keep2count": (
        turn(r"return \[(\w+) for \1 in (\w+) if ([^\[\]]+)\]$",
             r"return sum(1 for \1 in \2 if \3)", gives="n"), 14,
    ),
    "count2keep": (
        turn(r"return sum\(1 for (\w+) in (\w+) if (.+)\)$", r"return [\1 for \1 in \2 if \3]",
             gives="l"), 14,
    ),
    "incl": (turn(r" (>|<) (\d+(?:\.\d+)?)(?![\w.])", r" \1= \2"), 45),
    "excl": (turn(r" (>|<)= (\d+(?:\.\d+)?)(?![\w.])", r" \1 \2"), 45),
    "more": (alter_results.add_condition, 40),
    "guard": (alter_guards.guard, 95),
    "case": (alter_guards.add_case, 90),
    "word": (alter_guards.change_word, 55),
    "words": (alter_guards.change_words, 20),
    "towords": (alter_guards.to_words, 40),
    "totruth": (alter_guards.to_truth, 20),
    "inlist": (wrap("[%s]", "nsb", "l"), 4),
    "double": (wrap("%s * 2", "n"), 6),
    "half": (wrap("%s / 2", "n"), 6),
    "up": (wrap("math.ceil(%s)", "n"), 7),
    "down": (wrap("math.floor(%s)", "n"), 3),
    "tax": (wrap("%s * $r", "n"), 6),
    "off": (wrap("%s * $s", "n"), 6),
    "unit": (wrap('str(%s) + " $u"', "n", "s"), 6),
    "percent": (wrap('str(%s) + "%"', "n", "s"), 4),
    "joined": (wrap('", ".join(%s)', "w", "s"), 12),
    "spaced": (wrap('" ".join(%s)', "w", "s"), 12),
    "firstn": (wrap("%s[:$k]", "l"), 9),
    "lastn": (wrap("%s[-$k:]", "l"), 8),
    "maxr": (wrap("max(%s)", "m", "n"), 5),
    "minr": (wrap("min(%s)", "m", "n"), 5),
    "firstchars": (wrap("%s[:$k]", "s"), 8),
    "backtext": (wrap("%s[::-1]", "s"), 7),
    "twicetext": (wrap("%s * 2", "s"), 5),
    "lentext": (wrap("len(%s)", "s", "n"), 6),
    "nospaces": (wrap('%s.replace(" ", "")', "s"), 7),
    "capital": (wrap("%s.capitalize()", "s"), 7),
    "prefix": (wrap('"$x" + %s', "s"), 8),
    "suffix": (wrap('%s + "$w"', "s"), 8),
    "ignorespaces": (prepare('$a.replace(" ", "")', "s"), 9),
    "asnumber": (prepare("float($a)", "n"), 5),
    "strip": (prepare("$a.strip()", "s"), 9),
    "maplist": (alter_results.map_list, 24),
    "unmap": (alter_results.unmap_list, 24),
    "sumlist": (alter_results.sum_list, 7),
    "swap": (alter_parameters.swap_parameters, 16),
    "params": (alter_parameters.rename_parameters, 22),
    "param1": (alter_parameters.rename_parameter, 14),
    "fixed": (alter_parameters.fix_parameter, 9),
    "newdefault": (alter_parameters.set_default, 60),
}  # fmt: skip
SECTIONS = {"takesame": "takedef", "takebaresame": "takebaredef", "takerolesame": "takerole"}
_NAMES = tuple(KINDS)
_WEIGHTS = tuple(accumulate(weight for _, weight in KINDS.values()))
_GROUPS = (
    "num1 numk numtwo limit factor plusnum minusnum divnum discount words",
    "params param1 swap",
    "guard",
    "double half up tax off unit percent firstn lastn firstchars backtext nospaces capital suffix",
)  # two changes in one request come from two of these, in this order
_PLACES = {kind: place for place, group in enumerate(_GROUPS) for kind in group.split()}
