"""Signatures as people write them: name(parameters), with the types of any language around."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.coding.instruction import vocabulary
from app.coding.instruction.tree import Parameter, Piece

_CALLED = re.compile(
    r"(?<![A-Za-z0-9_.$À-ɏ])(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_]\w*)*)(?:<\w+(?:, ?\w+)*>)?(?P<open>[(（])"
)
_CLASS = re.compile(r"[A-Z]\w*(?:<.*>)?")
_MODIFIER = re.compile(r"(?:val|var|this|final|mut|readonly|private|public|_) (?=\w)")
_BEFORE = re.compile(
    r"(?:(?:public|private|protected|static|async|final|virtual|inline|export|const|fn|func|def|function|void) )*"
    r"(?P<type>[A-Za-z_][\w:]*(?:<[^()\n]{0,60}>)?(?:\[\])?(?: ?[*&]+)?) ?$"
)
_AFTER = re.compile(
    r"\s*(?:->|=>|→|:(?!:))\s*(?P<type>[A-Za-z_&*\[(](?:[\w:&*]|\.(?=\w))*(?:<[^\n]{0,60}?>+|\[[^\n\]]{0,60}\])*(?: ?\| ?[\w\[\]]+)*)"
)
_MODIFIERS = frozenset(
    [
        "public",
        "private",
        "protected",
        "static",
        "async",
        "final",
        "virtual",
        "inline",
        "export",
        "const",
        "fn",
        "func",
        "def",
        "function",
        "class",
        "record",
        "struct",
        "enum",
        "interface",
        "new",
        "return",
        "void",
    ]
)
_TYPE_WORDS = frozenset(
    [
        "void",
        "int",
        "long",
        "short",
        "char",
        "bool",
        "boolean",
        "float",
        "double",
        "string",
        "String",
        "byte",
        "auto",
        "size_t",
        "unsigned",
        "Integer",
        "Long",
        "Double",
        "Boolean",
        "List",
        "Map",
        "Set",
        "Optional",
    ]
)
_LITERAL = re.compile(r"""[-+]?\d|["'“「\[{]|(?:True|False|None|true|false|null|nil)$""")
_NAME_FIRST = re.compile(
    r"(?P<star>\*{0,2}|\.\.\.|\$|&)(?P<name>[A-Za-z_]\w*)\??\s*(?::\s*(?P<type>.+))?$", re.S
)
_TYPE_FIRST = re.compile(r"(?P<type>[A-Za-z_].*?[\s*&>\]])(?P<name>[A-Za-z_]\w*)$", re.S)
_LONGEST = 600
_NO_NAMES = frozenset({"self", "cls", "this", "*", "/", "...", "&self", "&mut self", "void", ""})
_NEVER = frozenset({"FUNCTION", "PARAMETER", "MUST", "DEFAULT", "TAKES", "EXAMPLE", "FILLER", "AND", "FOR", "INTO", "LANGUAGE", "HINT", "AS", "CLASS", "QUERY", "SCRIPT", "CONFIGURATION"})  # fmt: skip
_NEVER_NAMES = frozenset({"if", "for", "while", "switch", "catch", "return", "O", "o", "print", "VALUES", "IN", "SUM", "COUNT", "MAX", "MIN", "AVG", "varchar", "decimal", "numeric", "char"})  # fmt: skip


@dataclass(frozen=True)
class Signature:
    """One name with its brackets; a call has values where a signature has parameters."""

    name: Piece
    parameters: tuple[Parameter, ...]
    returns: Piece | None
    is_call: bool
    start: int
    end: int


def find(text: str, *, language: str | None = None) -> list[Signature]:
    """Every signature and call in prose, in order, none inside another. Wide brackets are a
    signature's only where no others are: they also hold units and remarks."""
    found = list(_iterate(text, language))
    plain = [each for each in found if text[each.name.end] == "("]
    return plain if any(not each.is_call for each in plain) else found


def _iterate(text: str, language: str | None) -> Iterator[Signature]:
    end = 0
    for found in _CALLED.finditer(text):
        if found.start() < end or not _can_be_called(found["name"]):
            continue
        closing = _find_closing(text, found.end("open"))
        if closing is None:
            continue
        signature = _read(text, found, closing, language)
        if signature is not None:
            end = signature.end
            yield signature


def _can_be_called(name: str) -> bool:
    return vocabulary.find_kind(name) not in _NEVER and name not in _NEVER_NAMES


def _find_closing(text: str, start: int) -> int | None:
    depth = 1
    for place in range(start, min(len(text), start + _LONGEST)):
        depth += {"(": 1, "（": 1, ")": -1, "）": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None


def _read(text: str, found: re.Match[str], closing: int, language: str | None) -> Signature | None:
    inner = text[found.end("open") : closing]
    parts = list(_split(inner, found.end("open")))
    is_call = bool(parts) and all(_LITERAL.match(part) for part, _ in parts)
    if parts and all(_is_remark(part) for part, _ in parts):
        return None
    parameters = [_parse(part, start, language) for part, start in parts]
    if not is_call and any(each is None for each in parameters):
        return None
    name = Piece(found["name"], found.start("name"), found.end("name"))
    returns, start, end = _find_return(text, found.start(), closing + 1)
    kept = () if is_call else tuple(each for each in parameters if each and each.name)
    return Signature(name, kept, returns, is_call, start, end)


def _is_remark(part: str) -> bool:
    """Whether brackets after a name say its type, as in `count (int)`, instead of parameters."""
    if part == "void":
        return False
    return (
        part in _TYPE_WORDS
        or bool(_CLASS.fullmatch(part))
        or (
            vocabulary.find_kind(part) == "TYPE"
            or vocabulary.find_kind(part.split()[0]) == "DEFAULT"
        )
    )


def _split(inner: str, start: int) -> Iterator[tuple[str, int]]:
    """Parts between the commas of the outermost level, with their places."""
    depth, first = 0, 0
    for place, char in enumerate(f"{inner},"):
        depth += (char in "([{<（") - (
            char in ")]}）" or (char == ">" and inner[place - 1 : place] not in ("=", "-"))
        )
        if (char in ",，、" and depth <= 0) or place == len(inner):
            part = inner[first:place]
            if part.strip():
                yield part.strip(), start + first + len(part) - len(part.lstrip())
            first = place + 1


def _parse(part: str, start: int, language: str | None) -> Parameter | None:
    """One declared parameter; one without a name for `self` and `*`, None for what is none."""
    if part in _NO_NAMES:
        return Parameter("")
    while modifier := _MODIFIER.match(part):
        part, start = part[modifier.end() :], start + modifier.end()
    head, _, default = _cut_default(part)
    found = _NAME_FIRST.match(head) or _TYPE_FIRST.match(head)
    if found is None:
        return _parse_go(head, start) if language == "go" else None
    if language == "go" and ":" not in head and " " in head:
        return _parse_go(head, start)
    place = start + found.start("name")
    kind = (found["type"] or "").strip() or None
    return Parameter(found["name"], kind, default, (place, place + len(found["name"])))


def _cut_default(part: str) -> tuple[str, str, str | None]:
    found = re.search(r"(?<![=<>!])=(?![=>])", part)
    if found is None:
        return part.strip(), "", None
    value = part[found.end() :].strip()
    return part[: found.start()].strip(), "=", value.strip("\"'") or value


def _parse_go(head: str, start: int) -> Parameter | None:
    name, _, kind = head.partition(" ")
    if not vocabulary.is_identifier(name):
        return None
    return Parameter(name, kind.strip() or None, None, (start, start + len(name)))


def _find_return(text: str, start: int, end: int) -> tuple[Piece | None, int, int]:
    """The type after an arrow or before the name, and how far the signature reaches with it."""
    after = _AFTER.match(text, end)
    if after is not None and (
        text[end : after.start("type")].strip() != ":" or _is_type(after["type"])
    ):
        piece = Piece(after["type"], after.start("type"), after.end("type"))
        return piece, start, after.end()
    line = text[text.rfind("\n", 0, start) + 1 : start]
    before = _BEFORE.search(line[-120:])
    if before is not None and _is_type(before["type"]):
        first = start - len(line[-120:]) + before.start("type")
        kind = before["type"].strip()
        return Piece(kind, first, first + len(kind)), first, end
    return None, start, end


def _is_type(word: str) -> bool:
    bare = word.strip(" *&")
    if bare in _MODIFIERS - {"void"}:
        return False
    return bare in _TYPE_WORDS or "<" in word or word.rstrip()[-1:] in "*&" or _is_listed(bare)


def _is_listed(word: str) -> bool:
    return vocabulary.find_kind(word) == "TYPE" and word in (
        "number",
        "string",
        "str",
        "int",
        "float",
        "bool",
        "boolean",
        "list",
        "dict",
    )


def blank_inner(text: str, found: list[Signature]) -> str:
    """The text with only the names of its signatures left."""
    for each in found:
        for start, end in ((each.start, each.name.start), (each.name.end, each.end)):
            text = text[:start] + " " * (end - start) + text[end:]
    return text
