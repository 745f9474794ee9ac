"""Conversations as people write them, with the right answers: the files of written/, varied anew each time.

A file holds conversations with an empty line between them. `> ` begins a request, the lines after it are
its answer, `? ` begins what is true when the answers so far have been run.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import varied
from tools.demo.prompts import Function, Turn

FOLDER = Path(__file__).parent / "written"
_SIGNS = {bool: "b", int: "n", float: "n", str: "s", list: "l", dict: "d"}


@dataclass(frozen=True)
class Said:
    """A request, its answer, and expressions that are true then."""

    request: str
    answer: str
    checks: tuple[str, ...]


Talk = tuple[Said, ...]


@cache
def load(language: str) -> tuple[Talk, ...]:
    """All conversations of a language, in a fixed order."""
    return tuple(talk for talks in _read(language).values() for talk in talks)


@cache
def _read(language: str) -> dict[str, tuple[Talk, ...]]:
    """The conversations of each file."""
    paths = sorted(FOLDER.glob(f"{language}*.txt"))
    texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in paths}
    return {name: tuple(map(_parse, re.split(r"\n\n+", text))) for name, text in texts.items()}


@cache
def load_easy(language: str) -> tuple[Talk, ...]:
    """Those to learn from: each up to its first turn that is too hard for so small a model. hard.txt
    has a line for each file: how many conversations it holds, the numbers of such ones and how many
    turns are left."""
    lines = (FOLDER / "hard.txt").read_text(encoding="utf-8").splitlines()
    left = {name: _left(marks) for name, _, *marks in map(str.split, lines)}
    cut = (
        talk[: left.get(name, {}).get(number)]
        for name, talks in _read(language).items()
        for number, talk in enumerate(talks, 1)
    )
    return tuple(filter(None, cut))


def _left(marks: list[str]) -> dict[int, int]:
    pairs = (mark.split(":") for mark in marks)
    return {int(number): int(turns) for number, turns in pairs}


def _parse(block: str) -> Talk:
    said = []
    for part in re.split(r"^> ", block, flags=re.M)[1:]:
        request, *rest = part.strip().splitlines()
        answer = "\n".join(line for line in rest if not line.startswith("? "))
        checks = tuple(line[2:] for line in rest if line.startswith("? "))
        said.append(Said(request.strip(), answer, checks))
    return tuple(said)


def pick(language: str, rng: Random) -> Turn:
    """The first request of a conversation and its function, of which all is known."""
    return _vary((rng.choice(_plain(language)),), language, rng)[0]


@cache
def _plain(language: str) -> tuple[Said, ...]:
    """First turns whose function has parameters without defaults, of known kinds."""
    first = (talk[0] for talk in load_easy(language))
    return tuple(said for said in first if is_plain(_function(said.answer, said)))


def is_plain(function: Function) -> bool:
    """Whether any change or call can follow."""
    head = function.code.partition("\n")[0]
    return bool(function.parameters) and "x" not in function.signature and "=" not in head


def talk(language: str, rng: Random) -> list[Turn]:
    """A whole conversation."""
    return _vary(rng.choice(_long(language)), language, rng)


@cache
def _long(language: str) -> tuple[Talk, ...]:
    return tuple(one for one in load_easy(language) if len(one) > 1)


def _vary(said: Talk, language: str, rng: Random) -> list[Turn]:
    pairs = varied.vary([(one.request, one.answer) for one in said], language, rng)
    return [
        Turn(request, answer, _function(answer, one))
        for one, (request, answer) in zip(said, pairs, strict=True)
    ]


def _function(answer: str, said: Said) -> Function:
    """The function of an answer, which is that of `said` with other names."""
    name, parameters = _head(answer)
    return Function(name, parameters, answer, _signature(said), ("written", "written"))


def _head(answer: str) -> tuple[str, tuple[str, ...]]:
    """The name of the function, and its parameters without a default."""
    node = ast.parse(answer).body[0]
    assert isinstance(node, ast.FunctionDef)
    listed = node.args.args[: len(node.args.args) - len(node.args.defaults)]
    return node.name, tuple(each.arg for each in listed)


@cache
def _signature(said: Said) -> str:
    """What the function takes and gives, as its checks show; x where they do not."""
    name, parameters = _head(said.answer)
    for check in said.checks:
        tree = ast.parse(check, mode="eval").body
        kinds = _find_kinds(tree.values[0] if isinstance(tree, ast.BoolOp) else tree, name)
        if len(kinds) == len(parameters) + 1 and "x" not in kinds:
            return ",".join(kinds[:-1]) + ">" + kinds[-1]
    return ",".join("x" * len(parameters)) + ">x"


def _find_kinds(check: ast.expr, name: str) -> list[str]:
    """The kinds of the arguments and of the value of a call of `name` in a check; x is unknown."""
    for node in ast.walk(check):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name and not node.keywords:
            kinds = [_kind(each) for each in node.args]
            if isinstance(check, ast.Compare) and check.left is node:
                return [*kinds, _kind(check.comparators[0])]
            near = isinstance(check, ast.Compare) and ast.unparse(check.left).startswith("abs(")
            return [*kinds, "n" if near else "b" if check is node else "x"]
    return []


def _kind(node: ast.expr) -> str:
    try:
        return _SIGNS.get(type(ast.literal_eval(node)), "x")
    except ValueError:
        return "x"
