"""Arithmetic as a tree: drawn at random, written as Python or in the signs of a formula."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_SIGNS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 4}
_PATTERNS = {
    "sq": "{} ** 2", "cube": "{} ** 3", "half": "{} / 2", "double": "{} * 2", "third": "{} / 3",
    "quarter": "{} / 4", "sqrt": "{} ** 0.5",
}  # fmt: skip
_DECIMALS = ("0.5", "1.5", "2.5", "0.1", "0.2", "0.3", "0.7", "0.8", "0.9", "1.1", "1.2", "1.05",
             "1.08", "1.8", "2.54", "3.6", "3.3", "0.85", "4.5", "9.8", "0.25", "0.75", "2.2")  # fmt: skip
_ROUND_NUMBERS = ("10", "100", "100", "1000", "12", "15", "20", "24", "25", "30", "50", "60", "500")


@dataclass(frozen=True)
class Node:
    """A number or variable (`text`), or an operation on one or two parts."""

    kind: str
    parts: tuple["Node", ...] = ()
    text: str = ""


def var(name: str) -> Node:
    return Node("var", (), name)


def num(text: str) -> Node:
    return Node("num", (), text)


def op(kind: str, *parts: Node) -> Node:
    return Node(kind, parts)


def small(rng: Random) -> Node:
    return num(str(rng.randrange(2, rng.choice((6, 11, 13)))))


def number(rng: Random) -> Node:
    """A constant as people use them."""
    draw = rng.random()
    if draw < 0.6:
        return small(rng)
    if draw < 0.75:
        return num(rng.choice(_DECIMALS))
    return num(rng.choice(_ROUND_NUMBERS) if draw < 0.9 else str(rng.randrange(13, 1000)))


def code(node: Node) -> str:
    """Python, with no more parentheses than needed."""
    return _code(node)[0]


def _code(node: Node) -> tuple[str, int]:
    """The text, and how tightly it binds: 1 sum, 2 product, 4 power, 5 atom."""
    kind, parts = node.kind, node.parts
    if not parts:
        return node.text, 5
    if kind in _PATTERNS:
        pattern = _PATTERNS[kind]
        level = 4 if "**" in pattern else 2
        return pattern.format(_at(parts[0], level + ("**" in pattern))), level
    if kind in _SIGNS:
        level = _SIGNS[kind]
        left, right = _at(parts[0], level + (kind == "**")), _at(parts[1], level + 1)
        return f"{left} {kind} {right}", level
    return (f"{_at(parts[0], 2)} * {parts[1].text} / 100", 2) if kind == "pct" else (_call(node), 5)


def _call(node: Node) -> str:
    kind, parts = node.kind, node.parts
    if kind == "abs-":
        return f"abs({_at(parts[0], 1)} - {_at(parts[1], 2)})"
    named = {"floor": "max", "cap": "min", "roundk": "round"}.get(kind, kind)
    return f"{named}({', '.join(code(part) for part in parts)})"


def _at(node: Node, least: int) -> str:
    text, level = _code(node)
    return text if level >= least else f"({text})"


def variables(node: Node) -> list[str]:
    """The names in it, in the order of the code."""
    if node.kind == "var":
        return [node.text]
    return list(dict.fromkeys(name for part in node.parts for name in variables(part)))


def draw(names: tuple[str, ...], rng: Random) -> Node:
    """A random expression in which every one of `names` occurs."""
    parts = [var(name) for name in names]
    weights, makers = zip(*_SHAPES[len(names)], strict=True)
    node = rng.choices(makers, weights)[0](rng, *parts)
    return _finish(node, rng) if rng.random() < 0.18 else node


def _finish(node: Node, rng: Random) -> Node:
    """Something done with the result: rounded, cut, limited, its absolute value."""
    if node.kind in ("abs", "abs-", "min", "max", "//", "%"):
        return node
    kind = rng.choice(("round", "round", "int", "int", "roundk", "roundk", "floor", "cap", "abs"))
    if kind == "roundk":
        return op(kind, node, num(rng.choice("1122233")))
    if kind == "floor":
        return op(kind, node, rng.choice((num("0"), number(rng))))
    if kind == "cap":
        return op(kind, node, num(rng.choice(_ROUND_NUMBERS)))
    return op(kind, node)


def number_whole(rng: Random) -> Node:
    return small(rng) if rng.random() < 0.6 else num(rng.choice(_ROUND_NUMBERS))


def _term(x: Node, rng: Random) -> Node:
    """A variable, or a simple thing made of it."""
    return x if rng.random() < 0.3 else _made(x, rng)


def _made(x: Node, rng: Random) -> Node:
    """A multiple of a value, its square, half, third, so many percent of it."""
    kind = rng.choices(("*", "sq", "/", "pct", "third"), (25, 25, 10, 5, 5))[0]
    if kind == "*":
        return op("*", number(rng), x) if rng.random() < 0.5 else op("*", x, number(rng))
    if kind == "sq":
        return op(rng.choice(("sq", "sq", "half", "double", "double", "cube")), x)
    if kind == "pct":
        return op("pct", x, num(str(rng.choice((5, 8, 10, 15, 20, 25, 30, 40, 60, 75)))))
    return op("/", x, small(rng)) if kind == "/" else op(rng.choice(("third", "quarter")), x)


def _sum(rng: Random, left: Node, right: Node) -> Node:
    return op(rng.choice("++-"), left, right)


def _product(rng: Random, left: Node, right: Node) -> Node:
    return op(rng.choice("**/"), left, right)


def _extreme(rng: Random, left: Node, right: Node) -> Node:
    return op(rng.choice(("min", "max")), left, right)


def _scaled(rng: Random, group: Node) -> Node:
    """A group times, or divided by, a number, or its square and so on."""
    kind = rng.choices("*k/u", (30, 10, 30, 30))[0]
    if kind == "k":
        return op("*", small(rng), group)
    if kind == "u":
        return op(rng.choice(("sq", "half", "double", "half", "third", "sqrt")), group)
    return op(kind, group, number(rng))


def _rest(rng: Random, value: Node) -> Node:
    return op(rng.choice(("//", "%", "%")), value, number_whole(rng))


def _square_sum(rng: Random, x: Node) -> Node:
    square = op("*", small(rng), op("sq", x)) if rng.random() < 0.4 else op("sq", x)
    return _sum(rng, _sum(rng, square, op("*", small(rng), x)), small(rng))


def _apart(rng: Random, a: Node, b: Node) -> Node:
    apart = op("abs-", a, b)
    return apart if rng.random() < 0.4 else _sum(rng, apart, number(rng))


def _best(rng: Random, a: Node, b: Node) -> Node:
    best = _extreme(rng, _term(a, rng), b)
    return best if rng.random() < 0.5 else op("*", best, small(rng))


_SHAPES: dict[int, tuple[tuple[int, Callable[..., Node]], ...]] = {
    1: (
        (35, lambda r, x: _sum(r, _made(x, r), number(r))),
        (20, lambda r, x: _scaled(r, _sum(r, x, number(r)))),
        (10, _square_sum),
        (8, lambda r, x: op("-", number(r), _made(x, r))),
        (8, lambda r, x: _rest(r, _term(x, r))),
        (6, lambda r, x: op("abs-", x, number(r))),
        (6, lambda r, x: _sum(r, op("sq", x), x)),
        (7, lambda r, x: _extreme(r, _made(x, r), number(r))),
    ),
    2: (
        (30, lambda r, a, b: _sum(r, _term(a, r), _made(b, r))),
        (10, lambda r, a, b: _sum(r, _made(a, r), b)),
        (16, lambda r, a, b: _scaled(r, _sum(r, a, b))),
        (10, lambda r, a, b: _sum(r, op("*", a, b), number(r))),
        (8, lambda r, a, b: _sum(r, _sum(r, _term(a, r), _term(b, r)), number(r))),
        (6, lambda r, a, b: _product(r, op(r.choice("*+-"), a, b), number(r))),
        (6, lambda r, a, b: _rest(r, op(r.choice("+*-"), a, b))),
        (4, _apart),
        (5, _best),
        (5, lambda r, a, b: op("/", op("-", a, b), r.choice((a, b)))),
    ),
    3: (
        (25, lambda r, a, b, c: _sum(r, _sum(r, _term(a, r), _term(b, r)), _term(c, r))),
        (15, lambda r, a, b, c: _sum(r, _product(r, a, b), _term(c, r))),
        (20, lambda r, a, b, c: op(r.choice("*/"), _sum(r, a, b), c)),
        (10, lambda r, a, b, c: _sum(r, _term(a, r), _product(r, b, c))),
        (8, lambda r, a, b, c: op(r.choice("*/"), op("*", a, b), c)),
        (8, lambda r, a, b, c: _scaled(r, _sum(r, _sum(r, a, b), c))),
        (7, lambda r, a, b, c: op("*", a, _sum(r, b, c))),
        (7, lambda r, a, b, c: op(r.choice("*+-"), op(r.choice(("min", "max", "abs-")), a, b), c)),
    ),
    4: (
        (40, lambda r, a, b, c, d: _sum(r, _product(r, a, b), _product(r, c, d))),
        (20, lambda r, a, b, c, d: _sum(r, _sum(r, a, b), op("*", c, d))),
        (20, lambda r, a, b, c, d: op(r.choice("*/"), _sum(r, a, b), _sum(r, c, d))),
        (20, lambda r, a, b, c, d: _sum(r, _sum(r, _sum(r, a, b), c), d)),
    ),
}
