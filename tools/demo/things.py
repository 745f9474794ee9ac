"""Formulas of things with names, such as unit price times quantity, and those with pi."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random

from tools.demo import asking, expressions, grammar, spoken, symbols
from tools.demo.asking import Task
from tools.demo.expressions import Node

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


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


def pick(language: str, rng: Random) -> Task:
    """A formula of things: parameters have the things' English names, or letters said with them."""
    while True:
        usual, node = draw(rng)
        if rng.random() < 0.5:
            style = replace(symbols.pick_style(rng), glued=False)
            text: str | None = symbols.write(node, style)
        else:
            text = spoken.say(node, language, rng)
        if text is not None:
            break
    task = replace(asking.value_task("n", "", node), usual=(usual,), topic="things")
    if rng.random() < 0.2:
        return _with_letters(task, text, language, rng)
    return replace(task, text=name(text, task.parameters, language, rng))


def draw(rng: Random) -> tuple[str, Node]:
    usual, expression = rng.choice(_things()[1])
    number = expressions.number(rng).text
    return usual, _read(ast.parse(expression.replace("K", number), mode="eval").body)


def name(text: str, names: tuple[str, ...], language: str, rng: Random) -> str:
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


def pick_pi(language: str, rng: Random) -> Task:
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
    return Task("n", text, parameters, (line,), ("calculate",), signature, "pi", rounds=True)


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


def all_formulas() -> Iterator[tuple[str, str]]:
    """Every formula of things, for tests."""
    yield from _things()[1]
