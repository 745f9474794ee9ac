"""The parameters of what is asked for: from signatures, stubs, prose, options and columns."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.coding.instruction import evidence as facts
from app.coding.instruction import lexing, reading, signatures, vocabulary
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.reading import Findings
from app.coding.instruction.signatures import Signature
from app.coding.instruction.tree import Block, Intent, Parameter, Piece, Target

_COLUMN = re.compile(
    r"(?<![A-Za-z0-9_])(?P<name>[A-Za-z_]\w*) (?P<type>(?:big|small|tiny)?int(?:eger)?|serial|bigserial|uuid|text|date"
    r"|time(?:stamp)?(?:tz)?|datetime|bool(?:ean)?|real|float|double|jsonb?|blob|(?:var)?char\(\d+\)"
    r"|(?:decimal|numeric)\(\d+(?:, ?\d+)?\))(?![A-Za-z0-9_])(?P<rest>[^,，、;；。.\n]*)",
    re.IGNORECASE,
)
_INLINE = re.compile(
    r"(?<![\w.<(])(?P<name>[a-z_]\w*)\??: ?(?P<type>(?:str|int|float|bool|string|number|boolean|list|dict|bytes|char|any"
    r"|double|usize|[iu](?:8|16|32|64)|f32|f64|[A-Z]\w*(?:<[^<>\n]*>)?|list\[\w+\]|&str)(?:\[\])?(?: ?\| ?\w+)*)(?![\w(]| of )"
    r"(?:(?: ?= ?|, ?default(?:s to|ing to|:)? )(?P<default>[\w.'\"-]+))?"
)  # "sku: str" outside of brackets
_ADDED = re.compile(
    r"(?:(?<=[にへ、らし])[ \u3000]?)(?P<name>[a-z_]\w*)(?:（[^）\n]*）)?[ \u3000]?を(?=追加|足|増や|加え|持たせ|削除|消し|外し)",
    re.ASCII,
)
_TYPE_FIRST = re.compile(
    r"(?<![\w<,(（])(?P<type>[A-Z]\w*<[^<>\n]*>|int|long|double|String|boolean|char) (?P<name>[a-z]\w*)(?![\w(（])",
    re.ASCII,
)  # "List<Integer> nums 和 int target"
_DEFAULT = re.compile(
    r"(?:default|默认|デフォルト|既定)(?:值|値)?(?:为|は)?\s*['\"]?([\w.-]+)", re.I
)


@dataclass(frozen=True)
class Thing:
    """What is asked for, as far as it is decided."""

    intent: Intent
    target: Target
    name: Piece | None
    prose: str


def choose(
    thing: Thing, evidence: Evidence, findings: Findings, shown: Sequence[Signature]
) -> tuple[Parameter, ...]:
    """Those of the thing to be made, or those to be changed; of anything else none."""
    if thing.intent not in (Intent.CREATE, Intent.CHANGE):
        return ()
    reads = thing.target == Target.QUERY and thing.name is None
    found = [] if reads else [p for each in shown for p in each.parameters]
    if thing.intent == Intent.CREATE:
        stubs = [block for block in evidence.blocks if facts.is_stub(block)]
        found += [p for block in stubs for p in _read_stub(block, findings.language)]
    if thing.target == Target.QUERY:
        found += [*_read_columns(thing.prose), *findings.placeholders]
        found += _list_columns(thing, evidence)
    if thing.target != Target.CONFIGURATION and not reads:
        found += [*_read_inline(thing), *_read_added(thing), *findings.parameters, *findings.typed]
    if thing.target in (Target.SCRIPT, Target.FUNCTION):
        renames = evidence.has("RENAMED") and len(findings.options) == 2
        found += findings.options[1:] if renames else findings.options
    own = {thing.name.text} if thing.name else set()
    called = {each.name.text for each in shown}
    return reading.merge([each for each in found if each.name not in own | called])


def _read_added(thing: Thing) -> Iterator[Parameter]:
    """ "User に email を追加": a member, where no noun says what it is."""
    if thing.intent == Intent.CHANGE:
        for found in _ADDED.finditer(thing.prose):
            yield Parameter(found["name"], None, None, found.span("name"))


def _read_inline(thing: Thing) -> Iterator[Parameter]:
    if thing.target not in (Target.FUNCTION, Target.CLASS):
        return
    spelled = _TYPE_FIRST.finditer(thing.prose) if lexing.is_east_asian(thing.prose) else ()
    for found in spelled:
        yield Parameter(found["name"], found["type"], None, found.span("name"))
    for found in _INLINE.finditer(thing.prose):
        if vocabulary.find_kind(found["name"]) in (None, "FILLER", "COMPLAINT"):
            default = found["default"] and found["default"].strip("'\"")
            yield Parameter(found["name"], found["type"], default, found.span("name"))


def _read_stub(block: Block, language: str | None) -> Iterator[Parameter]:
    for signature in signatures.find(block.code.text, language=block.language or language)[:1]:
        for each in signature.parameters:
            start, end = (block.code.start + place for place in each.span)
            yield Parameter(each.name, each.type, each.default, (start, end))


def choose_return(findings: Findings, shown: Sequence[Signature], intent: Intent) -> Piece | None:
    """What is given back, where it is said."""
    if intent not in (Intent.CREATE, Intent.CHANGE):
        return None
    return next((each.returns for each in shown if each.returns), findings.returns)


def _list_columns(thing: Thing, evidence: Evidence) -> Iterator[Parameter]:
    """In Chinese and Japanese every Latin word after the name of a table to be made is a column,
    unless it is one of SQL's own."""
    if thing.intent != Intent.CREATE or thing.name is None or not lexing.is_east_asian(thing.prose):
        return
    if not re.search(r"表|テーブル", thing.prose):
        return
    for token in evidence.tokens:
        start = int(token.start_pos or 0)
        is_word = token.type in ("NAME", "WORD") and bool(_WORD.fullmatch(str(token)))
        if is_word and start > thing.name.end and str(token).lower() not in _SQL_WORDS:
            yield Parameter(str(token), None, None, (start, start + len(token)))


_WORD = re.compile(r"[a-z]\w*", re.ASCII)
_SQL_WORDS = frozenset(
    {"varchar", "char", "decimal", "numeric", "tinyint", "smallint", "bigint", "integer"}
    | {"serial", "bigserial", "text", "date", "time", "datetime", "timestamp", "timestamptz"}
    | {"real", "double", "blob", "json", "jsonb", "uuid", "utf8mb4", "innodb"}
    | {"unique", "null", "now", "current_timestamp", "auto_increment", "unsigned"}
)


def _read_columns(prose: str) -> list[Parameter]:
    """Columns of a table as SQL and people write them: name, type, and perhaps a default."""
    found = []
    for column in _COLUMN.finditer(prose):
        default = _DEFAULT.search(column["rest"])
        value = default[1] if default else None
        found.append(Parameter(column["name"], column["type"], value, column.span("name")))
    return found
