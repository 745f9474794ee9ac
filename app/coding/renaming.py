"""A plain Python function under another name, all else as it was."""

import ast
import io
import re
import tokenize

from app.wire.rows import Symbol

_MOST = 1000  # characters that are put into a model's mouth
_DEFINING = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def rename(older: Symbol, name: str) -> str:
    """The code of `older` as `name`, where the function calls itself, too. Empty where the new name
    stands there already, the old one for something else as well (a parameter, a word of a text), and
    for more than one definition."""
    if len(older.code) > _MOST or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", older.code):
        return ""
    try:
        wanted = ast.parse(older.code)
        if not _is_alone(wanted, older.name):
            return ""
        code = _replace(older.code, older.name, name)
        is_same = ast.dump(_Renamed(older.name, name).visit(wanted)) == ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return ""
    return code.rstrip() if is_same else ""


def _is_alone(tree: ast.Module, name: str) -> bool:
    """Whether a tree is one function of that name, with none inside and no text that speaks of it."""
    first, *more = tree.body
    inner = [node for node in ast.walk(tree) if isinstance(node, _DEFINING)]
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    if more or not isinstance(first, ast.FunctionDef) or first.name != name or len(inner) > 1:
        return False
    return not any(isinstance(text, str) and name in text for text in texts)


def _replace(code: str, old: str, new: str) -> str:
    """Each token `old` as `new`, but for attributes."""
    lines, before = code.split("\n"), ""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.NAME and token.string == old and before != ".":
            found.append(token.start)
        before = token.string
    for row, column in reversed(found):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + new + line[column + len(old) :]
    return "\n".join(lines)


class _Renamed(ast.NodeTransformer):
    """The same tree with another name for its function, in the definition and where it is called."""

    def __init__(self, old: str, new: str) -> None:
        self._table = {old: new}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._table.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._table.get(node.id, node.id)
        return node
