"""Sequences whose first term and rule stand in the request, as a recursive function or a list."""

from random import Random

from tools.demo import grammar, parts, series_said
from tools.demo.series_said import Task

_MULTIPLES = {
    "en": {"2": "[twice|double|two times|2 times]", "3": "[three times|3 times|triple]"},
    "zh": {"2": "[2倍|两倍]", "3": "[3倍|三倍]"},
    "ja": {"2": "[2倍|二倍|倍]", "3": "[3倍|三倍]"},
}
_KINDS = ("linear", "linear", "plus", "minus", "times", "grow", "half", "place")

_IN_STORIES = (("前一项", "前一次"), ("上一项", "上一次"), ("前の項", "前回"), ("1つ前", "前回"))


def pick(language: str, rng: Random) -> Task:
    """A random sequence."""
    kind = rng.choice(_KINDS)
    values = {
        "s": str(rng.randrange(1, rng.choice((6, 13, 101)))),
        "k": str(rng.randrange(2, 6)),
        "m": str(rng.randrange(1, rng.choice((6, 13, 51)))),
        "r": str(rng.choice((2, 3, 5, 8, 10, 20))),
    }
    minus = rng.random() < 0.4
    rule = _rule(kind, language, rng, values, minus=minus)
    told = rng.choice(("term", "term", "term0", "list", "story"))
    if told == "story" and kind == "place":
        told = "term"
    line = rng.choice(grammar.split(series_said.macros(language)["SEQ" + told.upper()]))
    if told == "story":
        for old, new in _IN_STORIES:
            rule = rule.replace(old, new)
    line = line.replace("{RULE}", rule).replace("$s", values["s"])
    line = line.replace("等于比", "比").replace("是比", "比")
    code = _code(kind, told, values, minus=minus)
    return Task(
        f"sequence_{kind}_{told}",
        "n>l" if told == "list" else "n>n",
        tuple(_NAMES["list" if told == "list" else "term"].split()),
        (("n",), ("n",), ("k",), ("i",) if told != "story" else ("count",)),
        code,
        "",
        {language: (("x", line),)},
    )


_NAMES = {
    "list": "sequence terms first_terms make_sequence seq",
    "term": "term seq sequence nth_term element a_n series",
}


def _rule(kind: str, language: str, rng: Random, values: dict[str, str], *, minus: bool) -> str:
    """How a term comes from the last one, in words."""
    text = rng.choice(grammar.split(series_said.macros(language)["RULE" + kind.upper()]))
    sign = {"en": ("[plus|+]", "minus"), "zh": ("加", "减"), "ja": ("足した", "引いた")}[language]
    text = text.replace("$S", sign[minus]).replace("$P", "から" if minus else "に")
    times = _MULTIPLES[language].get(values["k"])
    said = {"en": f"{values['k']} times", "zh": f"{values['k']}倍", "ja": f"{values['k']}倍"}
    text = text.replace("$X", times or said[language])
    for slot in "kmr":
        said_value = parts.spell(values[slot], language, rng)
        text = text.replace(f"${slot}", said_value)
    return text


def _code(kind: str, told: str, values: dict[str, str], *, minus: bool) -> str:
    last = "result[-1]" if told == "list" else "$f($a - 1)"
    sign = "-" if minus else "+"
    nxt = {
        "linear": f"{values['k']} * {last} {sign} {values['m']}",
        "plus": f"{last} + {values['m']}",
        "minus": f"{last} - {values['m']}",
        "times": f"{values['k']} * {last}",
        "grow": f"{last} * (100 + {values['r']}) / 100",
        "half": f"{last} / 2 + {values['m']}",
        "place": f"{last} + {'i' if told == 'list' else '$a'}",
    }[kind]
    if told == "list":
        index = "i in range(2, $a + 1)" if kind == "place" else "_ in range($a - 1)"
        return (
            f"def $f($a):\n    result = [{values['s']}]\n    for {index}:\n"
            f"        result.append({nxt})\n    return result"
        )
    start = "1" if told == "term" else "0"
    return f"def $f($a):\n    if $a == {start}:\n        return {values['s']}\n    return {nxt}"
