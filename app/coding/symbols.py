"""Symbols of a piece of code: what it defines and imports. Python by `ast`, others by tree-sitter.

Only the outermost level counts: a method belongs to its class, a local variable to its function.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from app.coding import languages

_MOST_VALUE = 500  # characters of a literal that are kept


@dataclass(frozen=True)
class Found:
    """A symbol as the code has it. `kind` is function, class, variable or import; `type` is the
    annotated or inferred type, `value` the literal text of a variable; `line` counts from 1."""

    name: str
    kind: str
    language: str
    code: str
    line: int
    signature: str | None = None
    type: str | None = None
    value: str | None = None

    @property
    def is_defined(self) -> bool:
        return self.kind != "import"


def extract(code: str, language: str) -> list[Found]:
    """The symbols in order, the last of each name; none of code that cannot be read."""
    if language == "python":
        found = list(_read_python(code))
    elif language in languages.PARSED:
        found = list(_read_tree(code, language))
    else:
        found = []
    return list({symbol.name: symbol for symbol in found}.values())


# Python.


def _read_python(code: str) -> Iterator[Found]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = code.splitlines(keepends=True)
    for node in body:
        yield from _read_statement(node, _cut(node, lines))


def _cut(node: ast.stmt, lines: list[str]) -> str:
    """The statement's own lines, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return "".join(lines[first - 1 : node.end_lineno]).strip("\n")


def _read_statement(node: ast.stmt, code: str) -> Iterator[Found]:
    line = node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        hint = ast.unparse(node.returns) if node.returns else None
        shown = f"{node.name}({ast.unparse(node.args)})" + (f" -> {hint}" if hint else "")
        yield Found(node.name, "function", "python", code, line, shown, hint)
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
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
    hint = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else None
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
        return _infer(value.operand)
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
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    text = ast.unparse(value)
    return text if len(text) <= _MOST_VALUE else None


# Other languages.

_KINDS = {
    "function_declaration": "function",
    "function_definition": "function",
    "generator_function_declaration": "function",
    "function_item": "function",
    "method_declaration": "function",
    "create_function": "function",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "class_specifier": "class",
    "struct_specifier": "class",
    "struct_item": "class",
    "enum_item": "class",
    "enum_declaration": "class",
    "trait_item": "class",
    "interface_declaration": "class",
    "record_declaration": "class",
    "type_alias_declaration": "class",
    "type_spec": "class",
    "create_table": "class",
    "create_view": "class",
    "variable_declarator": "variable",
    "init_declarator": "variable",
    "const_spec": "variable",
    "var_spec": "variable",
    "const_item": "variable",
    "static_item": "variable",
    "variable_assignment": "variable",
    "import_statement": "import",
    "import_declaration": "import",
    "use_declaration": "import",
    "preproc_include": "import",
}
_WRAPPERS = frozenset(
    {
        "program",
        "module",
        "source_file",
        "translation_unit",
        "statement",
        "export_statement",
        "lexical_declaration",
        "variable_declaration",
        "declaration",
        "const_declaration",
        "var_declaration",
        "type_declaration",
        "namespace_definition",
        "declaration_list",
        "ERROR",
    }
)
_NAME_FIELDS = ("name", "declarator", "function", "path", "source", "argument", "left")
_LEAVES = frozenset({"identifier", "type_identifier", "field_identifier", "variable_name", "word"})


def _read_tree(code: str, language: str) -> Iterator[Found]:
    root = languages.parse(code, language).root_node
    rest = [root]
    while rest:
        node = rest.pop()
        if kind := _KINDS.get(node.type):
            found = _describe(node, kind, language)
            if found is not None:
                yield found
        elif node.type in _WRAPPERS:
            rest += reversed(node.named_children)


def _describe(node: Node, kind: str, language: str) -> Found | None:
    named = _find_name(node)
    if named is None:
        return None
    value = node.child_by_field_name("value")
    is_function = value is not None and "function" in value.type
    return Found(
        named.rsplit("/", 1)[-1].strip("\"'<>;") if kind == "import" else named,
        "function" if is_function else kind,
        language,
        _text(_widen(node)),
        node.start_point.row + 1,
        _read_signature(value if is_function and value else node, node),
        _text_of(node, "type", "return_type", "result"),
        _text(value)[:_MOST_VALUE] if value is not None and not is_function else None,
    )


def _widen(node: Node) -> Node:
    """The whole statement around a definition: `export`, `const`, `type`."""
    while (around := node.parent) is not None and around.parent is not None:
        if around.type not in _WRAPPERS or len(around.named_children) > 1 + _has_type(around):
            break
        node = around
    return node


def _has_type(node: Node) -> bool:
    return node.child_by_field_name("type") is not None


def _find_name(node: Node) -> str | None:
    """The identifier that a definition is known by: through declarators to the leaf."""
    current: Node | None = node
    for _ in range(8):
        if current is None:
            return None
        if current.type in _LEAVES or not current.named_children:
            return _text(current) or None
        fields: Iterator[Node | None] = map(current.child_by_field_name, _NAME_FIELDS)
        current = next(filter(None, fields), None) or _first_named(current)
    return None


def _first_named(node: Node) -> Node | None:
    named = (each for each in node.named_children if _is_name(each))
    return next(named, None) or next(iter(node.named_children), None)


def _is_name(node: Node) -> bool:
    return node.type in _LEAVES or "reference" in node.type


def _read_signature(body_owner: Node, node: Node) -> str | None:
    body = body_owner.child_by_field_name("body")
    if body is None:
        return None
    raw = node.text or b""
    return raw[: body.start_byte - node.start_byte].decode(errors="replace").rstrip(" \n{=>:")


def _text_of(node: Node, *fields: str) -> str | None:
    found = next(filter(None, map(node.child_by_field_name, fields)), None)
    return _text(found).lstrip(": ") if found is not None else None


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
