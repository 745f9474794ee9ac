"""The symbols of other languages, by tree-sitter."""

from collections.abc import Iterator

from tree_sitter import Node

from app.coding import languages
from app.coding.found import MOST_VALUE, Found

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


def read(code: str, language: str) -> Iterator[Found]:
    """What the outermost level defines and imports, with faults around it or not."""
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
        _text(value)[:MOST_VALUE] if value is not None and not is_function else None,
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
