"""Two or three operations on one text, in the order in which they are said.

A line of `texts/chains.txt` is `group / code / English / Chinese / Japanese`; {X} is the text so far in the
code, {O} in the words. Of one group only one operation is taken.
"""

import re
from functools import cache
from random import Random

from tools.demo import inflect, literals
from tools.demo.families import Family, Wording
from tools.demo.slots import Draws

_OPEN = {
    "en": (
        "{0}, then ^{1}", "{0} and then ^{1}", "{0} and ^{1}", "{0}; after that ^{1}", "{0}, next ^{1}",
        "{0} first, then ^{1}", "{0}, and finally ^{1}",
    ),
    "zh": (
        "把{S}先{0},再{1}", "先把{S}{0},再{1}", "先把{S}{0},然后{1}", "把{S}{0}再{1}", "把{S}{0},最后{1}",
        "对{S}先{0},接着{1}", "把{S}{0}之后{1}", "{0}再{1}", "先{0},再{1}", "先{0}然后{1}", "{0},接着{1}",
    ),
    "ja": (
        "{0}、{1}", "{0}から{1}", "まず{0}、次に{1}", "{0}、そのあと{1}", "{0}、最後に{1}", "先に{0}、それから{1}",
    ),
}  # fmt: skip
_SAMPLE = '"  Fog-hut VoWel "'


@cache
def _operations() -> tuple[tuple[str, ...], ...]:
    text = (literals.FOLDER / "chains.txt").read_text(encoding="utf-8")
    return tuple(tuple(part.strip() for part in line.split(" / ")) for line in text.splitlines())


def make(draws: Draws) -> Family:
    """A task of two operations, now and then three."""
    language, rng = draws.language, draws.rng
    chosen = _choose(3 if rng.random() < 0.1 else 2, rng)
    code, tested = "$a", _SAMPLE
    for one in chosen:
        code = _apply(one[1], code)
        tested = f"(lambda s: {one[1].replace('{X}', 's')})({tested})"
    column = {"en": 2, "zh": 3, "ja": 4}[language]
    said = _join([one[column] for one in chosen], language, rng)
    return Family(
        id="text_chain",
        signature="s>s",
        bases=(),
        names=("transform",),
        parameters=(("s",), ("text",), ("word",), ("string",), ("t",), ("name",)),
        code=f"def $f($a):\n    return {code}",
        test=f"({_SAMPLE},) == {tested}",
        wordings={language: (Wording("v", said),)},
        topic="texts",
    )


def _choose(count: int, rng: Random) -> list[tuple[str, ...]]:
    chosen: list[tuple[str, ...]] = []
    while len(chosen) < count:
        one = rng.choice(_operations())
        if one[0] not in [other[0] for other in chosen]:
            chosen.append(one)
    return chosen


def _apply(operation: str, inner: str) -> str:
    """The operation on what was done so far; a sum or a product stands in parentheses."""
    sign = _top_sign(inner)
    free = not sign or (sign == "+" and " + " in operation)
    return operation.replace("{X}", inner if free else f"({inner})")


def _top_sign(code: str) -> str:
    """The `+` or `*` that stands outside of all brackets."""
    plain = re.sub(r"[\ue000-\uf8ff]|\"[^\"]*\"", "", code)
    while re.search(r"[(\[][^()\[\]]*[)\]]", plain):
        plain = re.sub(r"[(\[][^()\[\]]*[)\]]", "", plain)
    found = re.search(r" ([+*]) ", plain)
    return found[1] if found else ""


def _join(said: list[str], language: str, rng: Random) -> str:
    """The operations one after the other; only the first names the text."""
    it = {"en": "it", "zh": "", "ja": ""}[language]
    things = ["{" + rng.choice(("S", "S", "WORD", "LINE")) + "}", *[it] * (len(said) - 1)]
    parts = [part.replace("{O}", thing) for part, thing in zip(said, things, strict=True)]
    if language == "ja":
        parts = [
            said[0].replace("{O}", things[0]),
            *[re.sub("^{O}[をのに]", "", p) for p in said[1:]],
        ]
        parts = [*map(_te, parts[:-1]), parts[-1]]
    text = parts[0]
    for position, part in enumerate(parts[1:]):
        form = rng.choice(_OPEN[language][:3] if len(parts) > 2 else _OPEN[language])
        if position:
            form = {"en": "{0}, then ^{1}", "zh": "{0},最后{1}", "ja": "{0}、{1}"}[language]
        if "{S}" in form and text.startswith("把"):
            form, text = "先把{S}{0},再{1}", f"里的{text[1:]}"
        if part.startswith("最後"):
            form = form.replace("最後に", "そのあと")
        text = form.replace("{S}", things[0]).replace("{0}", text).replace("{1}", part)
    return text


def _te(phrase: str) -> str:
    return inflect.te_form(phrase)
