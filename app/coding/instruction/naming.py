"""Whose name is whose: the name of the thing asked for, and the names it refers to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lark import Token

from app.coding.instruction import pointing
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.listing import piece_of
from app.coding.instruction.reading import Findings
from app.coding.instruction.signatures import Signature
from app.coding.instruction.tree import Block, Intent, Piece, Target


@dataclass(frozen=True)
class Named:
    """The name of the target and the references to other things, in order."""

    name: Piece | None
    references: tuple[Piece, ...]


def decide(
    evidence: Evidence,
    findings: Findings,
    signatures: Sequence[Signature],
    intent: Intent,
    target: Target,
) -> Named:
    """Sorts the names by what is done: what is created has a new name, all else an old one."""
    files = _files(evidence, target)
    names = _names(evidence, findings, intent)
    if target == Target.CONFIGURATION:
        return _pick(files, files if intent != Intent.CREATE else [], evidence, intent)
    if target == Target.QUERY:
        return _decide_query(evidence, names, [each.name for each in signatures], intent)
    if intent == Intent.CREATE:
        return _decide_new(evidence, findings, signatures, [*files, *names], target)
    if intent == Intent.CHANGE:
        names = _drop_new(evidence.tokens, signatures, names)
    named = [*findings.labelled[:1], *names] if intent != Intent.CONVERT else names
    named = named or [each.name for each in signatures]
    return _pick([*named, *files, *_shown(evidence)], [*named, *files], evidence, intent)


def _pick(names: list[Piece], references: list[Piece], evidence: Evidence, intent: Intent) -> Named:
    """The first name; what is referred to by name, or else by a pointing word."""
    pointers = pointing.find_all(evidence)
    if intent == Intent.CREATE and not evidence.blocks:
        pointers = [piece for piece in pointers if pointing.is_used(piece, evidence.prose)]
    return Named(next(iter(names), None), _unique(references or pointers[:1]))


def _decide_new(
    evidence: Evidence,
    findings: Findings,
    signatures: Sequence[Signature],
    names: list[Piece],
    target: Target,
) -> Named:
    used = _find_used(evidence.tokens)
    taken = {piece.text for piece in used}
    declared = [each.name for each in signatures if not each.is_call]
    named = [findings.named] if findings.named else []
    stubs = [] if evidence.code else _shown(evidence)
    if target == Target.CLASS and not any(each.parameters for each in signatures):
        declared, stubs = [], [*stubs, *findings.labelled, *declared]  # its methods
    options = [*named, *declared, *stubs, *findings.labelled, *names, *_shown(evidence)]
    fresh = [piece for piece in options if piece.text not in taken]
    own = fresh[0].text if fresh else None
    return _pick(fresh, [piece for piece in used if piece.text != own], evidence, Intent.CREATE)


def _decide_query(
    evidence: Evidence, names: list[Piece], listed: list[Piece], intent: Intent
) -> Named:
    """A query has no name; a table, view or procedure has the one next to its noun."""
    table = _find_table(evidence, is_new=intent == Intent.CREATE)
    if table is not None and intent == Intent.CREATE:
        return Named(table, _unique([piece for piece in names if piece.text != table.text]))
    if table is not None or intent == Intent.TEST:
        return _pick([table] if table else names, names, evidence, intent)
    return _pick([], [*names, *listed, *pointing.find_tables(evidence.prose)], evidence, intent)


def _find_table(evidence: Evidence, *, is_new: bool) -> Piece | None:
    """The name beside a word for something that SQL keeps; what is new is not read from."""
    tokens = evidence.tokens
    for place, token in enumerate(tokens):
        if token.type not in ("NAME", "WORD", "QUOTED") or str(token).lower() in _KEPT:
            continue
        following = [str(each) for each in tokens[place + 1 : place + 3]]
        if is_new and (
            str(tokens[place - 1]).lower() in _READ - {"で"} or _READ.intersection(following)
        ):
            continue
        around = tokens[max(0, place - 3) : place + 3]
        kept = {str(each).lower() for each in around} & _KEPT
        if kept - _TABLES or (kept and (not is_new or _is_made(tokens, place))):
            return piece_of(token)
    return None


def _is_made(tokens: Sequence[Token], place: int) -> bool:
    """Whether a table is to be made, not only read."""
    near = (str(each).lower() for each in tokens[max(0, place - 7) : place + 7])
    return any(word in _MAKING or word.startswith(("create", "建")) for word in near)


_MAKING = frozenset(
    {
        "define",
        "创建",
        "新建",
        "定义",
        "作成",
        "作って",
        "作る",
        "作りたい",
        "作成して",
        "定義",
        "定義して",
    }
)
_TABLES = frozenset({"table", "表", "テーブル"})


_READ = frozenset({"from", "in", "into", "里", "里的", "中", "から", "で", "の"})
_KEPT = frozenset(
    {
        "view",
        "table",
        "procedure",
        "trigger",
        "index",
        "stored procedure",
        "create table",
        "create view",
    }
    | {"视图", "建表", "建表语句", "存储过程", "数据表", "触发器", "索引", "表"}
    | {"ビュー", "テーブル", "ストアド", "テーブル定義", "トリガー", "ストアドプロシージャ"}
)


def _names(evidence: Evidence, findings: Findings, intent: Intent) -> list[Piece]:
    """Identifiers in prose that are no parameters, places or errors."""
    listed = (*findings.parameters, *findings.options, *findings.placeholders)
    excluded = {parameter.name for parameter in listed}
    excluded |= {parameter.type or "" for parameter in listed}
    excluded |= {findings.renamed.text} if findings.renamed else set()
    tokens = evidence.tokens
    found = []
    for place, token in enumerate(tokens):
        is_place = any(each.type == "MODULE" for each in tokens[place + 1 : place + 2])
        is_error = intent != Intent.CREATE and str(token).endswith(
            ("Error", "Exception", "Warning")
        )
        is_other = str(token).partition(".")[0] in _LIBRARIES and "." in token
        is_other = is_other or (str(token).startswith("__") and bool(evidence.blocks))
        if token.type == "NAME" and len(token) > 1 and not (is_place or is_error or is_other):
            found.append(piece_of(token))
    return [piece for piece in found if piece.text not in excluded]


_LIBRARIES = frozenset(
    {"requests", "os", "json", "re", "np", "numpy", "pd", "pandas", "asyncio", "sys", "time"}
    | {"subprocess", "logging", "datetime", "itertools", "functools", "collections", "random"}
    | {"Promise", "console", "Math", "Object", "Array", "JSON", "fmt", "strings", "std", "System"}
)  # what is theirs is no code of the user


def find_brought(tokens: Sequence[Token]) -> Iterator[Piece]:
    """The names that others are changed into, where something is renamed."""
    if any(t.type == "RENAMED" or str(t).lower() == "rename" for t in tokens):
        for place, token in enumerate(tokens):
            before = tokens[place - 1].type if place else ""
            after = [each.type for each in tokens[place + 1 : place + 3]]
            follows = after[:1] == ["RENAMED"] or after == ["INTO", "RENAMED"]
            if token.type == "NAME" and (before in ("INTO", "RENAMED") or follows):
                yield piece_of(token)


def _drop_new(
    tokens: Sequence[Token], signatures: Sequence[Signature], names: list[Piece]
) -> list[Piece]:
    """The names without those that a change brings: of a new member, or of what is renamed."""
    brought = {each.name.text for each in signatures if not each.is_call}
    brought |= {piece.text for piece in find_brought(tokens)}
    return [piece for piece in names if piece.text not in brought] or names


def _files(evidence: Evidence, target: Target) -> list[Piece]:
    """Files that are the thing itself, not the place where it is."""
    if target not in (Target.SCRIPT, Target.CONFIGURATION):
        return []
    return [piece_of(token) for token in evidence.tokens if token.type == "FILENAME"]


def _shown(evidence: Evidence) -> list[Piece]:
    """What the code shown defines, where it is one thing."""
    for block in evidence.blocks:
        if len(block.defines) == 1 and block.language != "sql" and not _is_value(block):
            return [_place(block, block.defines[0])]
    return []


def _is_value(block: Block) -> bool:
    """Whether what a block defines is only a variable with a value."""
    name = re.escape(block.defines[0])
    pattern = rf"^\s*(?:(?:export|const|let|var|static|final) )*{name}\s*(?::[^=\n]*)?=(?!=)(.*)"
    assigned = re.search(pattern, block.code.text, re.MULTILINE)
    if assigned is None:
        return False
    return not re.search(r"=>|\bfunction\b|\blambda\b", assigned[1])


def _place(block: Block, name: str) -> Piece:
    start = block.code.start + max(0, block.code.text.find(name))
    return Piece(name, start, start + len(name))


def _find_used(tokens: Sequence[Token]) -> list[Piece]:
    """Names right after "using", "call", and right before their Japanese likes."""
    used = []
    for place, token in enumerate(tokens):
        before = [each for each in tokens[max(0, place - 2) : place] if each.type == "USE"]
        after = [each for each in tokens[place + 1 : place + 3] if each.type == "USE"]
        comes_first = any(not _KANA.search(each) for each in before)
        if token.type == "NAME" and (comes_first or any(_KANA.search(each) for each in after)):
            used.append(piece_of(token))
    return used


_KANA = re.compile(r"[぀-ヿ]")


def _unique(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    ordered = sorted(pieces, key=lambda piece: piece.start)
    return tuple({piece.text: piece for piece in reversed(ordered)}.values())[::-1]
