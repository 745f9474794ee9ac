"""A plain Python function under another name, all else as it was."""

import ast
import io
import tokenize

from app.wire.rows import Symbol

_MOST = 1000  # characters that are put into a model's mouth


def rename(older: Symbol, name: str) -> str:
    """The code of `older` as `name`, where the function calls itself, too. Empty where the name stands
    for something else as well (a parameter, a part of an f-string), and for more than one definition."""
    if len(older.code) > _MOST:
        return ""
    try:
        wanted = ast.parse(older.code)
        code = _replace(older.code, older.name, name)
        is_same = ast.dump(_Renamed(older.name, name).visit(wanted)) == ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):  # or too long an integer
        return ""
    return code.rstrip() if is_same and len(wanted.body) == 1 else ""


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
