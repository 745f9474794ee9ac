"""Steps one after the other: "take x, add 3, then multiply by 2"."""

import re
from random import Random

from tools.demo import asking, expressions, grammar, spoken
from tools.demo.asking import Task
from tools.demo.expressions import Node

_STEPS = ("+", "+", "-", "-", "*", "*", "*", "/", "/", "sq", "half", "double", "%", "cube", "abs")
_ENDS = ("round", "int", "roundk", "abs", "%", "//")
_SINGLE = ("x",) * 5 + (
    "n",
    "n",
    "a",
    "num",
    "value",
    "t",
    "y",
    "number",
    "k",
    "v",
    "price",
    "score",
)
_PAIRS = (("a", "b", "c"), ("a", "b", "c"), ("x", "y", "z"), ("p", "q", "r"), ("m", "n", "k"),
          ("u", "v", "w"), ("num1", "num2", "k"), ("n1", "n2", "n3"), ("w", "h", "d"), ("x", "y", "k"))  # fmt: skip
_OTHERS = ("y", "b", "k", "m", "n", "p", "extra", "step", "c", "z")


def pick(language: str, rng: Random) -> Task:
    """Two to four steps on one value; some with a second parameter, some on two values."""
    first = rng.choice(_SINGLE)
    other = rng.choice([name for name in _OTHERS if name != first])
    if rng.random() < 0.3:
        return _from_two(language, rng)
    node = expressions.var(first)
    node, steps = _walk(node, rng.choice((2, 2, 2, 3, 3, 4)), [], other, rng)
    names = tuple(expressions.variables(node))
    text, said = _say(first, steps, language, rng)
    if not said:  # the request does not name it
        names = tuple("x" if name == first and "x" not in names else name for name in names)
        node = _rename(node, first, names[0])
    return _task(text, node, language)


def _task(text: str, node: Node, language: str) -> Task:
    names = tuple(expressions.variables(node))
    signature = ",".join("n" for _ in names) + ">n"
    line = f"return {expressions.code(node)}"
    kind = "x" if re.match(r"\$|with|for|given|a number", text) and language == "en" else "v"
    if language == "zh" and re.search("[:,]先|一个数", text):
        kind = "x"
    return Task(kind, text, names, (line,), ("calculate",), signature, "steps")


def _walk(
    node: Node, count: int, steps: list[tuple[str, str]], other: str, rng: Random
) -> tuple[Node, list[tuple[str, str]]]:
    """`count` steps more on `node`; at times one of them uses `other`."""
    at = rng.randrange(count) if rng.random() < 0.25 else -1
    for index in range(count):
        kind = _next(steps, rng)
        used = index == at and kind in "+-*/"
        value = expressions.var(other) if used else _value(kind, rng)
        node = _apply(kind, node, value)
        steps.append((kind, f"${value.text}" if used else value.text))
    if rng.random() < 0.12 and not {kind for kind, _ in steps} & {"//", "%"}:
        kind = rng.choice([end for end in _ENDS if end != steps[-1][0]])
        value = _value(kind, rng)
        node = _apply(kind, node, value)
        steps.append((kind, value.text))
    return node, steps


def _from_two(language: str, rng: Random) -> Task:
    """Two values are put together, then it goes on."""
    x, y, other = rng.choice(_PAIRS)
    kind = rng.choice("++-*/")
    node = expressions.op(kind, expressions.var(x), expressions.var(y))
    node, steps = _walk(node, rng.choice((1, 1, 1, 2, 2, 3)), [(kind, "")], other, rng)
    lines = asking.wording(language).sections
    form = "twot" if language == "ja" else "two"
    begun = rng.choice(lines[f"{form}{kind}"]).replace("$x", f"${x}").replace("$y", f"${y}")
    said = [begun]
    for index, step in enumerate(steps[1:], 1):
        said.append(_say_step(step, _form(index, len(steps), language, True), language, rng))
    text = rng.choice(lines["chain2"]).replace("\1", _join(said, language, rng))
    return _task(text, node, language)


def _rename(node: Node, old: str, new: str) -> Node:
    text = new if node.kind == "var" and node.text == old else node.text
    return Node(node.kind, tuple(_rename(part, old, new) for part in node.parts), text)


def _next(steps: list[tuple[str, str]], rng: Random) -> str:
    """A step that is not of the same sort as the one before."""
    sorts = {"-": "+", "/": "*", "double": "*", "half": "*", "cube": "sq"}
    last = sorts.get(steps[-1][0], steps[-1][0]) if steps else ""
    while True:
        kind = rng.choice(_STEPS)
        if sorts.get(kind, kind) != last and (kind not in ("%", "abs") or steps):
            return kind


def _value(kind: str, rng: Random) -> Node:
    if kind == "roundk":
        return expressions.num(rng.choice("1223"))
    return expressions.small(rng) if kind in ("%", "//") else expressions.number(rng)


def _apply(kind: str, node: Node, value: Node) -> Node:
    if kind in ("sq", "cube", "half", "double", "round", "int", "abs"):
        return expressions.op(kind, node)
    return expressions.op(kind, node, value)


def _say(first: str, steps: list[tuple[str, str]], language: str, rng: Random) -> tuple[str, bool]:
    """The steps as a verb phrase, and whether it names the value."""
    lines = asking.wording(language).sections
    named = rng.random() < 0.75
    said = []
    for index, (kind, value) in enumerate(steps):
        form = _form(index, len(steps), language, named)
        text = _say_step((kind, value), form, language, rng)
        said.append(text.replace("$x", f"${first}"))
    text = rng.choice(lines["chain" if named else "chain0"])
    text = grammar.expand_outside(text, {}, rng).replace("$x", f"${first}")
    return text.replace("\1", _join(said, language, rng)), named


def _say_step(step: tuple[str, str], form: str, language: str, rng: Random) -> str:
    kind, value = step
    text = rng.choice(asking.wording(language).sections[f"{form}{kind}"])
    text = grammar.expand_outside(text, {}, rng)
    if language == "en" and rng.random() < 0.15:
        value = spoken.spell(value, language, rng)
    return text.replace("\1", value)


def _form(index: int, count: int, language: str, named: bool) -> str:
    """Japanese verbs end otherwise in the last step, and name the value in the first."""
    if language != "ja":
        return "step"
    form = "stepe" if index == count - 1 else "stept"
    return f"{form}1" if index == 0 and named else form


def _join(said: list[str], language: str, rng: Random) -> str:
    if language == "ja":
        joint = rng.choice(("、", "、", "、それから", "、次に"))
        if len(said) == 2:
            return rng.choice(("、", "", "、さらに")).join(said)
        return joint.join(said[:-1]) + rng.choice(("、", "、最後に")) + said[-1]
    middle, end = rng.choice(asking.wording(language).sections["joints"]).split("/")
    head = middle.replace("_", " ").join(said[:-1])
    return head + end.replace("_", " ") + said[-1]
