"""What is wrong with Python functions that a parser reads without complaint. Nothing is run.

Only what is certain as far as the code and the known symbols show it: a name that nothing defines, a
parameter that was asked for and is never used, a call with the wrong number of arguments, a condition that stands twice.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from app.coding import native
from app.wire.rows import Symbol

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_PYTHON = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__class__", "_"}
_BINDING = {  # nodes that bind the name in an attribute; the last three are of Python 3.12's def f[T](...)
    "arg": "arg", "FunctionDef": "name", "AsyncFunctionDef": "name", "ClassDef": "name", "ExceptHandler": "name",
    "MatchAs": "name", "MatchStar": "name", "MatchMapping": "rest", "TypeVar": "name", "ParamSpec": "name", "TypeVarTuple": "name",
}  # fmt: skip
_HIDING = {"exec", "eval", "globals", "locals", "vars"}  # may define or use any name
_OPPOSED = ast.Sub | ast.Div | ast.FloorDiv | ast.Mod
_SHOWN = 80  # characters of an expression


@dataclass(frozen=True)
class Flaw:
    """Something wrong: the check that found it ("names", "calls", "logic", "instruction"), the key of its
    sentence under `flaws` in the message files with its values, and the line, from 1."""

    check: str
    key: str
    line: int = 1
    values: Mapping[str, Any] = field(default_factory=dict)


class Known:
    """The symbols from before some code; their own code is only read where it matters."""

    def __init__(self, symbols: Sequence[Symbol]) -> None:
        self.names = {symbol.name for symbol in symbols}
        self.functions = {
            symbol.name: symbol.code
            for symbol in symbols
            if symbol.kind == "function" and symbol.language == "python"
        }
        self._read: dict[str, Function | None] = {}

    def find(self, name: str) -> Function | None:
        """The function of that name; None for what is none or cannot be read."""
        if name not in self._read:
            tree = native.parse(self.functions.get(name, ""))
            found = list_functions(tree) if tree else []
            self._read[name] = found[0] if found else None
        return self._read[name]

    def is_parameter(self, name: str) -> bool:
        """Whether any of the functions has such a parameter."""
        return any(name in _parameters(self.find(each)) for each in self.functions)


def list_functions(module: ast.Module) -> list[Function]:
    """The functions of the outermost level."""
    return [each for each in module.body if isinstance(each, _FUNCTION)]


def find(
    module: ast.Module, known: Known, said: set[str], shown: Set[str] = frozenset()
) -> Iterator[Flaw]:
    """The flaws of the outermost functions. `said` are the words of the instruction, `shown` those of what
    was said before: what they name may be defined elsewhere, unless it is a mere parameter; a parameter that
    nobody asked for may well be unused."""
    if _is_out_of_sight(module):
        return
    outside = _outermost(module) | known.names | _PYTHON
    within = {each.name: each for each in list_functions(module)}
    for function in within.values():
        gone = _parameters(known.find(function.name))
        for flaw in _find_in_names(function, outside | said.difference(gone)):
            name = flaw.values["name"]
            is_elsewhere = name in shown and not known.is_parameter(name)
            doubts = {"undefined": is_elsewhere, "unused": name not in said}
            if not doubts.get(flaw.key):
                yield flaw
        yield from _find_in_calls(function, within, known)
        if not function.name.startswith("test"):  # where x - x may well be what is tested
            yield from _find_in_logic(function)


def _is_out_of_sight(module: ast.Module) -> bool:
    starred = any(
        isinstance(each, ast.ImportFrom) and each.names[0].name == "*" for each in ast.walk(module)
    )
    return starred or bool(_names(module) & _HIDING)


def _outermost(module: ast.Module) -> set[str]:
    """What the module defines outside of its functions."""
    found: set[str] = set()
    for each in module.body:
        found |= {each.name} if isinstance(each, _FUNCTION) else _bound(each)
    declared = (each.names for each in ast.walk(module) if isinstance(each, ast.Global))
    return found.union(*declared)


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _bound(node: ast.AST) -> set[str]:
    """Every name that is bound anywhere inside."""
    found: set[str] = set()
    for each in ast.walk(node):
        found |= set(_bind(each))
    return found


def _bind(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).split(".")[0]
    elif isinstance(node, ast.Global):
        yield from node.names
    elif type(node).__name__ in _BINDING:
        yield getattr(node, _BINDING[type(node).__name__]) or ""


def _parameters(function: Function | None) -> list[str]:
    """Their names in order."""
    if function is None:
        return []
    a = function.args
    stars = [each for each in (a.vararg, a.kwarg) if each]
    return [each.arg for each in (*a.posonlyargs, *a.args, *a.kwonlyargs, *stars)]


def _find_in_names(function: Function, outside: set[str]) -> Iterator[Flaw]:
    defined = outside | _bound(function)
    decorating = {id(node) for each in function.decorator_list for node in ast.walk(each)}
    for each in ast.walk(function):  # a decorator belongs to the rest of the program
        if id(each) in decorating:
            continue
        if isinstance(each, ast.Name) and each.id not in defined:
            yield Flaw("names", "undefined", each.lineno, {"name": each.id})
    parameters = _parameters(function)
    for name in sorted({each for each in parameters if parameters.count(each) > 1}):
        yield Flaw("names", "twice", function.lineno, {"name": name})
    used = _names(function)
    for name in parameters if _is_whole(function) else ():
        if name not in used and not name.startswith("_"):
            yield Flaw("names", "unused", function.lineno, {"name": name})


def _is_whole(function: Function) -> bool:
    """Whether a plain function has a body: a hook's or a stub's parameters may well be unused."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    is_stub = all(isinstance(each, ast.Pass | ast.Raise | ast.Expr) for each in body)
    return not is_stub and not function.decorator_list


def _find_in_calls(
    function: Function, within: Mapping[str, Function], known: Known
) -> Iterator[Flaw]:
    own = _bound(function) - {function.name}
    for each in ast.walk(function):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
            called = within.get(each.func.id) or known.find(each.func.id)
            if called is None or each.func.id in own or called.decorator_list:
                continue
            if not _suits(each, called):
                values = {
                    "name": called.name,
                    "signature": f"{called.name}({native.show(called.args)})",
                }
                yield Flaw("calls", "arguments", each.lineno, values)


def _suits(call: ast.Call, function: Function) -> bool:
    """Whether a function can be called so. Starred arguments may be any."""
    a = function.args
    named = {each.arg for each in call.keywords}
    if None in named or any(isinstance(each, ast.Starred) for each in call.args):
        return True
    places = [each.arg for each in (*a.posonlyargs, *a.args)]
    if len(call.args) > len(places) and a.vararg is None:
        return False
    given = set(places[: len(call.args)]) | named
    needed = set(places[: len(places) - len(a.defaults)])
    needed |= {
        each.arg for each, value in zip(a.kwonlyargs, a.kw_defaults, strict=True) if not value
    }
    is_known = a.kwarg is not None or named <= {*places, *(each.arg for each in a.kwonlyargs)}
    return needed <= given and is_known and not named & set(places[: len(call.args)])


def _find_in_logic(function: Function) -> Iterator[Flaw]:
    for each in ast.walk(function):
        body = getattr(each, "body", None)
        yield from _find_repeated(body if isinstance(body, list) else [])
        if isinstance(each, ast.If) and len(each.orelse) == 1:
            yield from _find_repeated([each, *each.orelse])
        if isinstance(each, ast.BinOp) and _has_same_sides(each):
            yield Flaw("logic", "same_sides", each.lineno, {"code": native.show(each)[:_SHOWN]})


def _has_same_sides(node: ast.BinOp) -> bool:
    if not isinstance(node.op, _OPPOSED) or _measure(node.left) != _measure(node.right):
        return False
    return ast.dump(node.left) == ast.dump(node.right)


def _measure(node: ast.expr) -> tuple[int, int]:
    """Lines and columns: comparing all of a long chain's beginnings would take for ever."""
    return (node.end_lineno or 0) - node.lineno, (node.end_col_offset or 0) - node.col_offset


def _find_repeated(body: list[ast.stmt]) -> Iterator[Flaw]:
    """The same condition right behind itself, where nothing in between can change it."""
    for first, second in pairwise(body):
        if isinstance(first, ast.If) and isinstance(second, ast.If):
            is_else = second in first.orelse
            if ast.dump(first.test) == ast.dump(second.test) and (is_else or _leaves(first)):
                yield Flaw(
                    "logic", "repeated", second.lineno, {"code": native.show(second.test)[:_SHOWN]}
                )


def _leaves(branch: ast.If) -> bool:
    ends = isinstance(branch.body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)
    return ends and not branch.orelse
