"""Calculations and comparisons spelled out: in words, in signs, step by step, with things' names."""

import re
from dataclasses import replace
from random import Random

from tools.demo import asking, compared, expressions, grammar, spoken, stepwise, symbols, things
from tools.demo.asking import Task

_SETS = (
    *(("a", "b", "c", "d"),) * 4, *(("x", "y", "z", "w"),) * 4, *(("p", "q", "r", "s"),) * 2,
    ("m", "n", "k", "t"), ("u", "v", "w", "t"), ("n", "m", "k", "i"), ("h", "w", "l", "t"),
    ("x1", "x2", "x3", "x4"), ("n1", "n2", "n3", "n4"), ("a1", "b1", "c1", "d1"),
    ("num1", "num2", "num3", "num4"), ("foo", "bar", "baz", "qux"), ("s", "t", "u", "v"),
    ("first", "second", "third", "fourth"), ("width", "height", "depth", "gap"),
    ("price", "qty", "fee", "tax"), ("hours", "rate", "bonus", "days"), ("i", "j", "k", "n"),
    ("alpha", "beta", "gamma", "delta"), ("base", "extra", "step", "limit"), ("k", "n", "j", "m"),
    ("left", "right", "top", "bottom"), ("start", "speed", "time", "shift"),
)  # fmt: skip
_SINGLE = ("x", "x", "x", "x", "n", "n", "a", "y", "t", "num", "value", "k", "p", "z", "m", "number",
           "price", "score", "amount", "size", "v", "temp", "foo", "val", "age", "count")  # fmt: skip
_EQUATION = ("y = {}", "y={}", "f({p}) = {}", "{}", "{}", "{}", "{}", "z = {}", "result = {}")


def pick_names(rng: Random) -> tuple[str, ...]:
    """One to four names of parameters that go together."""
    count = rng.choices((1, 2, 3, 4), (34, 38, 22, 6))[0]
    if count == 1:
        return (rng.choice(_SINGLE),)
    if rng.random() < 0.12:
        return tuple(rng.sample("abcdefghjkmnpqrstuvwxyz", count))
    return rng.choice(_SETS)[:count]


def calculation(language: str, rng: Random) -> Task:
    """A value of named parameters, or of things with names."""
    makers = (stepwise.pick, things.pick, things.pick_pi, _pair, _formula, _in_words)
    return rng.choices(makers, (20, 16, 3, 5, 22, 34))[0](language, rng)


def _in_words(language: str, rng: Random) -> Task:
    unnamed = rng.random() < 0.15
    while True:
        names = pick_names(rng)
        names = (("x",) if len(names) == 1 else ("a", "b", "c")[: len(names)]) if unnamed else names
        node = expressions.draw(names, rng)
        text = spoken.say(node, language, rng)
        if text is not None:
            break
    if unnamed:
        text = _count(text, names, language, rng)
        return replace(asking.value_task("n", text, node), topic="counted")
    return asking.value_task("n", _air(text, language, rng), node)


def _count(text: str, names: tuple[str, ...], language: str, rng: Random) -> str:
    """Parameters without names: the first number, the second."""
    lines = asking.wording(language).sections
    if len(names) == 1:
        return text.replace("$x", rng.choice(lines["ordinal1"]))
    place = rng.randrange(len(lines["ordinal"]) // 3 if language != "zh" else 3)
    width = len(lines["ordinal"]) // 3
    for index, name in enumerate(names):
        text = text.replace(f"${name}", lines["ordinal"][index * width + place])
    return text


def _air(text: str, language: str, rng: Random) -> str:
    """At times a space between Chinese or Japanese words and everything else."""
    if language == "en" or rng.random() < 0.6:
        return text
    text = re.sub(r"([\u3040-\u30ff\u4e00-\u9fff])(?=[$\d(])", r"\1 ", text)
    return re.sub(r"([\w)])(?=[\u3040-\u30ff\u4e00-\u9fff])", _spaced, text)


def _spaced(match: re.Match[str]) -> str:
    return match[1] + (" " if match[1].isascii() else "")


def _formula(language: str, rng: Random) -> Task:
    while True:
        node = expressions.draw(pick_names(rng), rng)
        task = asking.value_task("n", symbols.write(node, symbols.pick_style(rng)), node)
        shape = rng.choice(_EQUATION)
        left = shape[0]
        if shape[0] == "{" or left not in task.parameters:
            break
    if shape[0] == "f" and "f" in task.parameters:
        shape = "{}"
    listed = ", ".join(f"${name}" for name in task.parameters)
    text = shape.replace("{p}", listed).replace("{}", task.text)
    if shape[0] in "{":
        return replace(task, text=text)
    name = "f" if shape[0] == "f" else ""
    text = rng.choice(asking.wording(language).sections["equation"]).replace("\1", text)
    text = grammar.expand_outside(text, asking.wording(language).macros, rng)
    return replace(task, text=text, kind="e", name=name)


def _pair(language: str, rng: Random) -> Task:
    """Two things made of the same two values: "the sum of a and b divided by their difference"."""
    names = pick_names(rng)
    while len(names) != 2:
        names = pick_names(rng)
    a, b = (expressions.var(name) for name in names)
    first, second = rng.sample("+-*", 2)
    sign = rng.choice("**/+-/")
    node = expressions.op(sign, expressions.op(first, a, b), expressions.op(second, a, b))
    lines = asking.wording(language).sections
    said = {key: lines[f"pair{key}"] for key in ("+", "-", "*")}
    text = rng.choice(lines[f"their{sign}"])
    text = text.replace("\1", said[first][0]).replace("\2", said[second][0])
    text = re.sub(r"\$([ab])(?![a-z0-9])", lambda match: f"${names['ab'.index(match[1])]}", text)
    return asking.value_task("n", grammar.expand_outside(text, {}, rng), node)


def comparison(language: str, rng: Random) -> Task:
    """Whether a value of named parameters compares to another."""
    of_things = rng.random() < 0.2
    while True:
        if of_things:
            found = compared.of_value(things.draw(rng)[1], language, rng)
        else:
            found = compared.draw(pick_names(rng), language, rng)
        if found is not None:
            kind, text, code, names = found
            signature = ",".join("n" for _ in names) + ">b"
            text = (
                things.name(text, names, language, rng) if of_things else _air(text, language, rng)
            )
            return Task(kind, text, names, (f"return {code}",), ("check",), signature, "compared")
