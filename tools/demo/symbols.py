"""Arithmetic in signs, as formulas are written: 2x² - 3, (a + b)h / 2, 2*x + 1."""

import re
from dataclasses import dataclass
from random import Random

from tools.demo.expressions import Node

_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 4}
_AS = {"half": ("/", "2"), "double": ("*", "2"), "third": ("/", "3"), "quarter": ("/", "4"),
       "sq": ("**", "2"), "cube": ("**", "3")}  # fmt: skip
COMMA = "\7"  # stays a comma in every language
_RAISED = {"2": "²", "3": "³"}
_TIMES = {"code": "*", "school": "×", "maths": "×"}


@dataclass(frozen=True)
class Style:
    """How products, quotients and powers are written; `glued` leaves out times where it can."""

    times: str
    over: str
    raised: str
    glued: bool
    gap: str


def pick_style(rng: Random) -> Style:
    kind = rng.choice(("code", "school", "school", "maths", "maths"))
    over = "/" if kind == "code" or rng.random() < (0.7 if kind == "maths" else 0.3) else "÷"
    raised = {"code": "**", "school": "²", "maths": rng.choice(("²", "²", "^"))}[kind]
    return Style(_TIMES[kind], over, raised, kind == "maths", rng.choice((" ", "")))


def write(node: Node, style: Style) -> str:
    """`node` in signs; names have a $ before them."""
    return _write(node, style)[0]


def _write(node: Node, style: Style) -> tuple[str, int]:
    kind, parts = node.kind, node.parts
    if not parts:
        return (f"${node.text}" if kind == "var" else node.text), 5
    if kind in _AS:
        kind, text = _AS[kind]
        parts = (parts[0], Node("num", (), text))
    if kind == "**":
        return _power(parts, style), 4
    if kind in _LEVELS:
        return _binary(kind, parts, style), _LEVELS[kind]
    return _call(kind, parts, style), 2 if kind == "pct" else 5


def _call(kind: str, parts: tuple[Node, ...], style: Style) -> str:
    inner, gap = [write(part, style) for part in parts], style.gap
    if kind == "pct":
        return f"{_at(parts[0], 2, style)}{gap}{style.times}{gap}{parts[1].text}%"
    if kind == "abs-":
        return f"|{inner[0]}{gap}-{gap}{_at(parts[1], 2, style)}|"
    if kind == "sqrt":
        return f"√({inner[0]})" if parts[0].parts else f"√{inner[0]}"
    named = {"floor": "max", "cap": "min", "roundk": "round"}.get(kind, kind)
    return f"{named}({f'{COMMA} '.join(inner)})"


def _power(parts: tuple[Node, ...], style: Style) -> str:
    base, exponent = _at(parts[0], 5, style), _at(parts[1], 5, style)
    if style.raised == "²" and exponent in _RAISED:
        return base + _RAISED[exponent]
    sign = "**" if style.raised == "**" else "^"
    return f"{base}{style.gap}{sign}{style.gap}{exponent}" if sign == "**" else f"{base}^{exponent}"


def _binary(kind: str, parts: tuple[Node, ...], style: Style) -> str:
    level = _LEVELS[kind]
    left, right = _at(parts[0], level, style), _at(parts[1], level + 1, style)
    if kind == "*" and style.glued and _glues(left, right):
        return left + right
    sign = {"*": style.times, "/": style.over, "%": "mod" if style.glued else "%"}.get(kind, kind)
    gap = " " if sign in ("mod", "//") else style.gap
    return f"{left}{gap}{sign}{gap}{right}"


def _glues(left: str, right: str) -> bool:
    """Whether 2x, ab or 3(a + b) can be written: no long names, no number behind."""
    name = r"\$[a-z](\^\d+|[²³])?"
    if not re.fullmatch(rf"{name}|\(.+\)", right):
        return False
    return bool(re.fullmatch(rf"[\d.]+|{name}", left))


def _at(node: Node, least: int, style: Style) -> str:
    text, level = _write(node, style)
    return text if level >= least else f"({text})"
