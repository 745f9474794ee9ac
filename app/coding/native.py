"""The symbols of Python code, by Python's own parser."""

import ast
import io
import warnings
from collections.abc import Iterator

from app.coding.found import MOST_VALUE, Found


def parse(code: str) -> ast.Module | None:
    """None for code that Python cannot read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read(code: str) -> Iterator[Found]:
    """What the outermost level defines and imports; nothing of code that cannot be read."""
    module, lines = parse(code), split(code)
    for node in module.body if module else ():
        yield from _read_statement(node, cut(node, lines))


def split(code: str) -> list[str]:
    """The lines as Python counts them: no form feeds, no U+2028."""
    return list(io.StringIO(code, newline=""))


def show(node: ast.AST) -> str:
    """The text of a part of the code, "..." where Python cannot write it: a backslash inside an
    f-string's braces (3.11), an integer of thousands of digits."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        return "..."


def cut(node: ast.stmt, lines: list[str]) -> str:
    """The statement's own lines, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return "".join(lines[first - 1 : node.end_lineno]).strip("\n")


def _read_statement(node: ast.stmt, code: str) -> Iterator[Found]:
    line = node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        hint = show(node.returns) if node.returns else None
        shown = f"{node.name}({show(node.args)})" + (f" -> {hint}" if hint else "")
        yield Found(node.name, "function", "python", code, line, shown, hint)
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(show(base) for base in node.bases)
        shown = f"{node.name}({bases})" if bases else node.name
        yield Found(node.name, "class", "python", code, line, shown)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            yield Found(name, "import", "python", code, line)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        yield from _read_assignment(node, code)


def _read_assignment(node: ast.Assign | ast.AnnAssign, code: str) -> Iterator[Found]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [each.id for each in targets if isinstance(each, ast.Name)]
    hint = show(node.annotation) if isinstance(node, ast.AnnAssign) else None
    kind = "function" if isinstance(node.value, ast.Lambda) else "variable"
    for name in names:
        yield Found(
            name,
            kind,
            "python",
            code,
            node.lineno,
            type=hint or _infer(node.value),
            value=_show_literal(node.value),
        )


def _infer(value: ast.expr | None) -> str | None:
    """The type that a value's own text shows: of a literal, a display or a call of a class."""
    displays = {
        ast.List: "list",
        ast.ListComp: "list",
        ast.Dict: "dict",
        ast.DictComp: "dict",
        ast.Set: "set",
        ast.SetComp: "set",
        ast.Tuple: "tuple",
        ast.JoinedStr: "str",
        ast.Compare: "bool",
    }
    if isinstance(value, ast.Constant):
        return type(value.value).__name__
    if isinstance(value, ast.UnaryOp):
        return "bool" if isinstance(value.op, ast.Not) else _infer(value.operand)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        named = value.func.id
        return named if named[:1].isupper() or named in displays.values() else None
    return displays.get(type(value)) if value is not None else None


def _show_literal(value: ast.expr | None) -> str | None:
    """The text of a literal; None for anything that has to be computed."""
    if value is None:
        return None
    try:
        ast.literal_eval(value)
        text = ast.unparse(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return text if len(text) <= MOST_VALUE else None
