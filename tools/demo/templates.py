"""Sentences with one or two holes that a function fills: greetings, labels, full sentences.

A line of `texts/templates.txt` is `language kind parameters samples :: text` with the holes §0 and
§1; kinds are g (one name), l (one number) and t (two inputs). `language kind! ...` says how it is asked
for: {TPL} stands for the text, {V} for sample values. The text is copied from the request as it stands.
"""

import re
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from tools.demo import grammar, literals
from tools.demo.families import Family, Wording
from tools.demo.slots import Draws

_QUOTES = {
    "en": ('""', '""', '""', "``", "\u201c\u201d"),
    "zh": ("\u201c\u201d", "\u201c\u201d", '""', "\u300c\u300d"),
    "ja": ("\u300c\u300d", "\u300c\u300d", "\u300c\u300d", '""', "\u300e\u300f"),
}
_SIGNS = {
    "g": {
        "en": ("NAME", "NAME", "<name>", "[name]", "X", "___", "..."),
        "zh": ("NAME", "XX", "某某", "名字", "[名字]", "___", "\u25cb\u25cb", "XXX"),
        "ja": ("NAME", "\u25cb\u25cb", "\u3007\u3007", "[名前]", "\u25b3\u25b3", "___"),
    },
    "l": {
        "en": ("X", "N", "...", "___", "[number]", "#"),
        "zh": ("X", "N", "___", "\u25cb", "[数字]"),
        "ja": ("X", "N", "___", "\u25cb", "\u3007", "[数字]"),
    },
}
_PAIRS = {
    "en": (("X", "Y"), ("A", "B"), ("___", "___"), ("X", "Y")),
    "zh": (("X", "Y"), ("A", "B"), ("\u25cb\u25cb", "\u25b3\u25b3"), ("__", "__")),
    "ja": (("\u25cb\u25cb", "\u25b3\u25b3"), ("X", "Y"), ("A", "B"), ("\u25cb", "\u25b3")),
}
_MORE = {"g": (("who",), ("person",)), "l": (("n",), ("value",), ("num",))}
_NAMES = {"g": "greet", "l": "label", "t": "describe"}


@dataclass(frozen=True)
class Template:
    """One line of texts with holes."""

    kind: str
    parameters: tuple[str, ...]
    samples: tuple[str, ...]
    text: str


@cache
def _lines() -> tuple[str, ...]:
    text = (literals.FOLDER / "templates.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and line[0] != "#")


@cache
def _texts(language: str) -> tuple[Template, ...]:
    found = []
    for line in _lines():
        head, _, text = line.partition(" :: ")
        if text and head.split()[0] == language:
            _, kind, parameters, samples = head.split()
            found.append(
                Template(kind, tuple(parameters.split(",")), tuple(samples.split(";")), text)
            )
    return tuple(found)


@cache
def _askings(language: str, kind: str) -> tuple[Wording, ...]:
    """The ways to ask for a text of a kind; `x` kinds show an example."""
    start = f"{language} {kind}! "
    return tuple(
        Wording(line[len(start)], line[len(start) + 2 :])
        for line in _lines()
        if line.startswith(start)
    )


def make(draws: Draws) -> Family:
    """A text with holes and a function that fills them."""
    language, rng = draws.language, draws.rng
    kind = rng.choice("ggglltttt")
    template = rng.choice([one for one in _texts(language) if one.kind == kind])
    text = grammar.expand(template.text, {}, rng)
    template = _in_order(template, text)
    pieces = re.split(r"§\d", text)
    values = _values(template, rng)
    shown = rng.random() < 0.25
    holes, parameters = _holes(template, pieces, language, rng)
    holes = values if shown else holes
    said = _say(pieces, holes, draws)
    wording = rng.choice(_askings(language, kind + ("x" if shown else "")))
    asked = wording.text.replace("{TPL}", said).replace("{V}", draws.mark(_list(values, language)))
    usual = "label" if template.parameters == ("item",) else _NAMES[kind]
    signature = ",".join("n" if one.isdigit() else "s" for one in values) + ">s"
    return Family(
        id=f"text_template_{kind}",
        signature=signature,
        bases=(),
        names=(usual,),
        parameters=(template.parameters,) if shown else parameters,
        code=_code(pieces, signature, draws),
        test=_test(pieces, values, draws),
        wordings={language: (Wording(wording.kind, asked),)},
        topic="texts",
    )


def _values(template: Template, rng: Random) -> list[str]:
    """A sample for each hole; two are not the same."""
    values: list[str] = []
    for sample in template.samples:
        values.append(rng.choice([one for one in sample.split(",") if one not in values]))
    return values


def _in_order(template: Template, text: str) -> Template:
    """The parameters come in the order of the holes."""
    if "§1" not in text or text.index("§0") < text.index("§1"):
        return template
    return replace(template, parameters=template.parameters[::-1], samples=template.samples[::-1])


def _holes(
    template: Template, pieces: list[str], language: str, rng: Random
) -> tuple[list[str], tuple[tuple[str, ...], ...]]:
    """What stands in the holes: the parameter in braces, its name in capitals, a sign; and the names
    that the parameters may have.
    """
    named = (template.parameters,)
    if rng.random() < 0.35:
        slots = ["$a", "$b"][: len(template.parameters)]
        return [f"{{{slot}}}" for slot in slots], (*named, *_MORE.get(template.kind, named))
    if template.kind != "t":
        return [rng.choice(_SIGNS[template.kind][language])], named
    if rng.random() < 0.4:
        signs = rng.choice(_PAIRS[language])
        letters = signs[0].lower() in "xa" and signs[0].isascii()
        pair = (signs[0].lower(), signs[1].lower()) if letters else ("a", "b")
        return list(signs), (pair,)
    form = rng.choice(("<{}>", "[{}]", "{}")) if pieces[1] else "[{}]"
    return [form.format(word.upper() if form == "{}" else word) for word in named[0]], named


def _say(pieces: list[str], holes: list[str], draws: Draws) -> str:
    quotes = draws.rng.choice(_QUOTES[draws.language])
    if any("$" in hole for hole in holes) and draws.rng.random() < 0.12:
        quotes = 'f""'  # as it stands in code
    parts = [quotes[:-1] + pieces[0], *pieces[1:]]
    parts[-1] += quotes[-1]
    filled = [draws.mark(part) for part in parts]
    shown = [hole if "$" in hole else draws.mark(hole) for hole in holes]
    return "".join(a + b for a, b in zip(filled, [*shown, ""], strict=True))


def _code(pieces: list[str], signature: str, draws: Draws) -> str:
    marks = [draws.mark(piece) if piece else "" for piece in pieces]
    number = signature == "n>s"
    if len(pieces) == 2 and not pieces[0]:
        made = f'{"str($a)" if number else "$a"} + "{marks[1]}"'
    elif len(pieces) == 2 and not pieces[1]:
        made = f'"{marks[0]}" + {"str($a)" if number else "$a"}'
    else:
        holes = ["{$a}", "{$b}"][: len(pieces) - 1]
        made = 'f"' + "".join(a + b for a, b in zip(marks, [*holes, ""], strict=True)) + '"'
    listed = ", ".join(("$a", "$b")[: len(pieces) - 1])
    return f"def $f({listed}):\n    return {made}"


def _test(pieces: list[str], values: list[str], draws: Draws) -> str:
    arguments = ", ".join(one if one.isdigit() else literals.quote(one) for one in values)
    whole = "".join(a + b for a, b in zip(pieces, [*values, ""], strict=True))
    return draws.mark(f"({arguments},) == {literals.quote(whole)}")


def _list(values: list[str], language: str) -> str:
    """Sample values as a request names them."""
    joint = {"en": " and ", "zh": "和", "ja": "と"}[language]
    return joint.join(one if one.isdigit() else f'"{one}"' for one in values)
