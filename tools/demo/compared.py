"""Yes or no: whether values that are spelled out compare as said."""

import re
from random import Random

from tools.demo import asking, expressions, grammar, spoken, symbols
from tools.demo.expressions import Node

Found = tuple[str, str, str, tuple[str, ...]]
_KINDS = ("gt", "gt", "lt", "ge", "le", "eq", "eq", "ne", "div", "div", "div2", "divor", "between", "even", "even", "odd", "positive", "negative", "zero",
          "differ", "differs", "rest", "outside")  # fmt: skip
_SIGNS = {"gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="}


def draw(names: tuple[str, ...], language: str, rng: Random) -> Found | None:
    """Kind of phrase, phrase, code and parameters; None where no phrase would be clear."""
    kind = rng.choice(_KINDS)
    if kind in ("differ", "differs"):
        names = names if len(names) == 2 else ("a", "b")
        left, right = expressions.var(names[0]), expressions.var(names[1])
        return put(kind, left, right, _numbers(kind, rng), language, rng)
    if kind in _SIGNS and len(names) > 1 and rng.random() < 0.4:
        left = _value(names[: len(names) // 2 + (len(names) == 3)], rng)
        right = _value(names[len(names) // 2 + (len(names) == 3) :], rng)
        if not left.parts and not right.parts:
            left = expressions.op("*", left, expressions.small(rng))
        return put(kind, left, right, (), language, rng)
    return put(kind, _value(names, rng), None, _numbers(kind, rng), language, rng)


def of_value(value: Node, language: str, rng: Random) -> Found | None:
    """The same for a value that is given."""
    kind = rng.choice(("gt", "gt", "ge", "lt", "le", "eq", "between"))
    return put(kind, value, None, _numbers(kind, rng), language, rng)


def _value(names: tuple[str, ...], rng: Random) -> Node:
    first, *others = (expressions.var(name) for name in names)
    if not others:
        made = expressions.op(rng.choice("*+-*"), first, expressions.small(rng))
        other = expressions.op(rng.choice(("sq", "double", "half")), first)
        return rng.choice((first, made, other))
    node = expressions.op(rng.choice("++*-*"), first, others[0])
    if len(others) == 3:
        return expressions.op(rng.choice("+-"), node, expressions.op("*", *others[1:]))
    return expressions.op(rng.choice("++-"), node, others[1]) if others[1:] else node


def _numbers(kind: str, rng: Random) -> tuple[str, ...]:
    """One number, or two of which the second is larger; small ones to divide by."""
    if kind in ("div", "div2", "divor", "rest"):
        low, high = rng.sample((2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13), 2)
        if kind == "rest":
            return str(max(low, high)), str(rng.randrange(0, max(low, high)))
        return str(low), str(high if high != low else low + 1)
    low = int(expressions.number_whole(rng).text)
    if rng.random() < 0.3:
        low = rng.randrange(1, 300)
    return str(low), str(low + rng.choice((1, 2, 5, 10, 20, 50, 100)) * rng.randrange(1, 9))


def put(
    kind: str, left: Node, right: Node | None, numbers: tuple[str, ...], language: str, rng: Random
) -> Found | None:
    signs = rng.random() < 0.22
    said, code = _say(left, signs, language, rng), expressions.code(left)
    other = right or expressions.num(numbers[0])
    second = _say(other, signs, language, rng)
    if said is None or second is None:
        return None
    names = tuple(expressions.variables(left))
    names += tuple(n for n in (expressions.variables(right) if right else []) if n not in names)
    lines = asking.wording(language).sections
    form = "q" if language == "en" and rng.random() < 0.3 else "w"
    text = rng.choice(lines[f"{form}_{kind}"])
    text = grammar.expand_outside(text, {}, rng)
    first, *rest = numbers or ("",)
    text = text.replace("\1", said).replace("\2", second)
    text = text.replace("\3", first).replace("\4", rest[0] if rest else "")
    return form, text, _code(kind, left, code, right, numbers), names


def _say(node: Node, signs: bool, language: str, rng: Random) -> str | None:
    if signs and node.parts:
        return symbols.write(node, symbols.pick_style(rng))
    if node.kind == "num":
        return node.text
    for _ in range(6):
        text = spoken.say(node, language, rng, 1)
        if text is not None and not re.search(r"[,、]", text):
            return text
    return None


def _code(kind: str, left: Node, code: str, right: Node | None, numbers: tuple[str, ...]) -> str:
    if kind in _SIGNS:
        return f"{code} {_SIGNS[kind]} {expressions.code(right) if right else numbers[0]}"
    if right is not None:
        sign = "<=" if kind == "differ" else ">"
        return f"abs({code} - {expressions.code(right)}) {sign} {numbers[0]}"
    low, high = numbers
    first, second = (
        expressions.code(expressions.op("%", left, expressions.num(number))) for number in numbers
    )
    even = expressions.code(expressions.op("%", left, expressions.num("2")))
    return {
        "even": f"{even} == 0",
        "odd": f"{even} == 1",
        "positive": f"{code} > 0",
        "negative": f"{code} < 0",
        "zero": f"{code} == 0",
        "between": f"{low} <= {code} <= {high}",
        "outside": f"{code} < {low} or {code} > {high}",
        "div": f"{first} == 0",
        "rest": f"{first} == {high}",
        "div2": f"{first} == 0 and {second} == 0",
        "divor": f"{first} == 0 or {second} == 0",
    }[kind]
