"""Calculations and comparisons spelled out: in words, in signs, step by step, with things' names."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random

from tools.demo import asking, compared, expressions, grammar, spoken, stepwise, symbols
from tools.demo.asking import Task
from tools.demo.expressions import Node

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
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_USUAL = ("calculate",)
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
    makers = (stepwise.pick, _of_things, _pi, _pair, _formula, _in_words)
    return rng.choices(makers, (20, 16, 3, 5, 22, 34))[0](language, rng)


def _task(kind: str, text: str, node: Node, *, rounds: bool = True) -> Task:
    parameters = tuple(expressions.variables(node))
    signature = ",".join("n" for _ in parameters) + ">n"
    line = f"return {expressions.code(node)}"
    rounds = rounds and node.kind not in ("round", "roundk", "int")
    rounds = rounds and ("/" in line or "." in line)
    return Task(kind, text, parameters, (line,), _USUAL, signature, "spelled", rounds)


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
        return replace(_task("n", text, node), topic="counted")
    return _task("n", _air(text, language, rng), node)


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
        task = _task("n", symbols.write(node, symbols.pick_style(rng)), node)
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
    return replace(task, text=text, kind="x", name=name)


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
    return _task("n", grammar.expand_outside(text, {}, rng), node)


@cache
def _things() -> tuple[dict[str, dict[str, list[str]]], tuple[tuple[str, str], ...]]:
    words: dict[str, dict[str, list[str]]] = {}
    formulas = []
    for line in (asking.FOLDER / "words.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            name, *said = line[2:].split("|")
            options = [each.split(",") for each in said]
            words[name] = dict(zip(("en", "zh", "ja"), options, strict=True))
        elif not line.startswith("#"):
            name, _, expression = line.partition("|")
            formulas.append((name, expression))
    return words, tuple(formulas)


def _of_things(language: str, rng: Random) -> Task:
    """A formula of things: parameters have the things' English names, or letters said with them."""
    while True:
        name, node = _draw_thing(rng)
        if rng.random() < 0.5:
            style = replace(symbols.pick_style(rng), glued=False)
            text: str | None = symbols.write(node, style)
        else:
            text = spoken.say(node, language, rng)
        if text is not None:
            break
    task = replace(_task("n", "", node), usual=(name,), topic="things")
    if rng.random() < 0.2:
        return _with_letters(task, text, language, rng)
    return replace(task, text=_name(text, task.parameters, language, rng))


def _draw_thing(rng: Random) -> tuple[str, Node]:
    name, expression = rng.choice(_things()[1])
    number = expressions.number(rng).text
    return name, _read(ast.parse(expression.replace("K", number), mode="eval").body)


def _name(text: str, names: tuple[str, ...], language: str, rng: Random) -> str:
    """The things' words in place of their names."""
    words = _things()[0]
    for each in names:
        text = re.sub(rf"\${each}(?!\w)", rng.choice(words[each][language]), text, flags=re.A)
    return text


def _with_letters(task: Task, text: str, language: str, rng: Random) -> Task:
    """Every thing with a letter, which is its parameter: "price p times quantity q"."""
    free = list("abcdefghkmnpqrstuvwxyz")
    letters = []
    for each in task.parameters:
        letters.append(each[0] if each[0] in free else rng.choice(free))
        free.remove(letters[-1])
    line = task.lines[0]
    chosen = dict(zip(task.parameters, letters, strict=True))
    line = re.sub(r"[a-z_]{2,}", lambda match: chosen.get(match[0], match[0]), line)
    gap = " " if language == "en" else ""
    for each, letter in chosen.items():
        word = rng.choice(_things()[0][each][language])
        text = re.sub(rf"\${each}(?!\w)", f"{word}{gap}\2{letter}", text, flags=re.A)
    text = text.replace("\2", "$")
    return replace(task, text=text, parameters=tuple(letters), lines=(line,))


_WITH_PI = (
    ("πr²", "{} * r ** 2"), ("2πr", "2 * {} * r"), ("πd", "{} * d"), ("πr²h", "{} * r ** 2 * h"),
    ("πr²h/3", "{} * r ** 2 * h / 3"), ("4πr²", "4 * {} * r ** 2"), ("πab", "{} * a * b"),
    ("4πr³/3", "4 * {} * r ** 3 / 3"), ("πr²/2", "{} * r ** 2 / 2"), ("2πrh", "2 * {} * r * h"),
    ("r²π", "r ** 2 * {}"), ("π × r × r", "{} * r * r"), ("2 × π × r", "2 * {} * r"),
    ("π × d", "{} * d"), ("d × π", "d * {}"), ("πd²/4", "{} * d ** 2 / 4"),
)  # fmt: skip


def _pi(language: str, rng: Random) -> Task:
    """A formula with the number that stands for pi."""
    text, code = rng.choice(_WITH_PI)
    number = rng.choice(("3.14", "3.14", "3.14", "3.1416", "3.14159", "3", "3.1", "3.142"))
    said = grammar.expand_outside(
        "\2" + rng.choice(asking.wording(language).sections["pi"]), {}, rng
    )
    left = rng.choice(("", "", "S = ", "A = ", "V = ")) if rng.random() < 0.4 else ""
    text = left + text + said[1:].replace("\1", number)
    parameters = tuple(dict.fromkeys(re.findall(r"\b[a-z]\b", code)))
    signature = ",".join("n" for _ in parameters) + ">n"
    line = f"return {code.format(number)}"
    return Task("n", text, parameters, (line,), _USUAL, signature, "pi", rounds=True)


def _read(node: ast.expr) -> Node:
    """An expression of Python as a node."""
    if isinstance(node, ast.Name):
        return expressions.var(node.id)
    if isinstance(node, ast.Constant):
        return expressions.num(str(node.value))
    assert isinstance(node, ast.BinOp)
    kind = _OPERATORS[type(node.op)]
    parts = (_read(node.left), _read(node.right))
    if kind == "**" and parts[1].text == "2":
        return expressions.op("sq", parts[0])
    return expressions.op(kind, *parts)


def comparison(language: str, rng: Random) -> Task:
    """Whether a value of named parameters compares to another."""
    things = rng.random() < 0.2
    while True:
        if things:
            found = compared.of_value(_draw_thing(rng)[1], language, rng)
        else:
            found = compared.draw(pick_names(rng), language, rng)
        if found is not None:
            kind, text, code, names = found
            signature = ",".join("n" for _ in names) + ">b"
            text = _name(text, names, language, rng) if things else _air(text, language, rng)
            return Task(kind, text, names, (f"return {code}",), ("check",), signature, "compared")


def all_formulas() -> Iterator[tuple[str, str]]:
    """Every formula of things, for tests."""
    yield from _things()[1]
