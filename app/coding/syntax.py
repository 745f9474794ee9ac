"""Whether code is well formed: Python by its own parser, others by tree-sitter. Nothing is run."""

import ast
import json
import warnings
from dataclasses import dataclass

import yaml
from tree_sitter import Node

from app.coding import languages


@dataclass(frozen=True)
class Fault:
    """The first place where code is wrong. Line and column count from 1; `reason` is the parser's
    own English words, to be shown to a model."""

    line: int
    column: int
    reason: str


def can_check(language: str | None) -> bool:
    """Whether there is a parser for this language."""
    return language in languages.PARSED or language in ("json", "yaml")


def find_fault(code: str, language: str) -> Fault | None:
    """The first fault, or None when the code is well formed or nobody here can tell."""
    if language == "python":
        return _check_python(code)
    if language == "json":
        return _check_json(code)
    if language == "yaml":
        return _check_yaml(code)
    return _check_tree(code, language) if language in languages.PARSED else None


def _check_python(code: str) -> Fault | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape is no fault
            ast.parse(code)
    except SyntaxError as error:
        return Fault(error.lineno or 1, error.offset or 1, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return Fault(1, 1, str(error) or type(error).__name__)
    return None


def _check_json(code: str) -> Fault | None:
    try:
        json.loads(code)
    except json.JSONDecodeError as error:
        return Fault(error.lineno, error.colno, error.msg)
    except (ValueError, RecursionError) as error:
        return Fault(1, 1, str(error))
    return None


def _check_yaml(code: str) -> Fault | None:
    try:
        for _ in yaml.parse(code, Loader=yaml.SafeLoader):
            pass
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Fault(line, column, str(getattr(error, "problem", None) or error))
    return None


def _check_tree(code: str, language: str) -> Fault | None:
    wrong = _find_error(languages.parse(code, language).root_node)
    if wrong is None:
        return None
    kind = f"missing {wrong.type}" if wrong.is_missing else "unexpected text"
    return Fault(wrong.start_point.row + 1, wrong.start_point.column + 1, kind)


def _find_error(root: Node) -> Node | None:
    """The first ERROR or missing node, without recursion."""
    rest = [root]
    while rest:
        node = rest.pop()
        if node.is_error or node.is_missing:
            return node
        rest += [child for child in reversed(node.children) if child.has_error or child.is_missing]
    return None
