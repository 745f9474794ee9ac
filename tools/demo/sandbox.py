"""The program of the child process: reads answers and checks, prints "right" or the fault."""

import builtins
import json
import math
import resource
import sys
from typing import Any

_ALLOWED = (
    "abs", "all", "any", "bin", "bool", "chr", "dict", "divmod", "enumerate", "filter", "float", "format",
    "hex", "int", "isinstance", "iter", "len", "list", "map", "max", "min", "next", "oct", "ord",
    "pow", "print", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum",
    "tuple", "zip", "True", "False", "None", "ArithmeticError", "Exception", "IndexError",
    "KeyError", "TypeError", "ValueError", "ZeroDivisionError",
)  # fmt: skip


def main() -> None:
    """Stops with the first fault."""
    job = json.load(sys.stdin)
    _limit()
    scope: dict[str, Any] = {"__builtins__": _builtins(), "__name__": "answer"}
    try:
        for turn, answer in enumerate(job["answers"]):
            latest = _define(answer, scope)
            _check_turn(turn, latest, scope, job)
    except BaseException as error:  # noqa: BLE001 - whatever an answer raises is its fault
        print(type(error).__name__, error)
    else:
        print("right")


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_CPU, 2),
        (resource.RLIMIT_AS, 1 << 29),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(kind, (most, most))


def _builtins() -> dict[str, Any]:
    found = {name: getattr(builtins, name) for name in _ALLOWED if hasattr(builtins, name)}
    return found | {"__import__": _import, "print": lambda *values, **options: None}


def _import(name: str, *rest: Any) -> Any:
    if name != "math":
        raise ImportError(name)
    return math


def _define(answer: str, scope: dict[str, Any]) -> str | None:
    before = dict(scope)
    exec(compile(answer, "answer", "exec"), scope)
    made = [name for name, value in scope.items() if before.get(name) is not value]
    made = [name for name in made if hasattr(scope[name], "__code__")]
    return made[-1] if made else None


def _check_turn(turn: int, latest: str | None, scope: dict[str, Any], job: dict[str, Any]) -> None:
    """What later answers change is not known yet."""
    for check in job["checks"]:
        if check["turn"] % len(job["answers"]) == turn:
            _check(scope[str(check["name"] or latest)], check)


def _check(function: Any, check: dict[str, Any]) -> None:
    found = function(*check["args"])
    if not _same(found, check["value"]):
        raise AssertionError(f"{check['args']} gave {found!r:.80}")


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and isinstance(found, list | tuple):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(wanted, dict) and isinstance(found, dict):  # keys came as JSON: strings
        return {str(key): value for key, value in found.items()} == wanted
    if isinstance(wanted, bool) or isinstance(found, bool):
        return type(found) is type(wanted) and bool(found == wanted)
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return math.isclose(found, wanted, rel_tol=1e-4, abs_tol=1e-9)
    return bool(found == wanted)


main()
