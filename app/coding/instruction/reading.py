"""From islands to the parts of a tree that they hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lark import Token
from lark import Tree as Syntax

from app.coding.instruction import types, vocabulary
from app.coding.instruction.islands import Island, end_of
from app.coding.instruction.listing import NAMES, Listing, piece_of
from app.coding.instruction.tree import Parameter, Piece


@dataclass
class Findings:
    """What the islands say, before it is decided which name is whose."""

    language: str | None
    named: Piece | None = None  # "called area"
    labelled: list[Piece] = field(default_factory=list)  # "function area"
    renamed: Piece | None = None
    parameters: list[Parameter] = field(default_factory=list)
    placeholders: list[Parameter] = field(default_factory=list)
    options: list[Parameter] = field(default_factory=list)
    typed: list[Parameter] = field(default_factory=list)  # "year is an int"
    returns: Piece | None = None


def read(found: Sequence[Island], text: str, language: str | None) -> Findings:
    """Collects what each island says."""
    findings = Findings(language)
    for island in found:
        _READERS[island.kind](island, text, findings)
    return findings


def _named_tokens(island: Island) -> list[Token]:
    return [token for token in island.tokens if token.type in (*NAMES, "FILENAME")]


def _read_naming(island: Island, text: str, findings: Findings) -> None:
    findings.named = findings.named or piece_of(_named_tokens(island)[-1])


def _read_label(island: Island, text: str, findings: Findings) -> None:
    findings.labelled.append(piece_of(_named_tokens(island)[0]))


def _read_renaming(island: Island, text: str, findings: Findings) -> None:
    named = _named_tokens(island)
    findings.renamed = piece_of(named[-1])
    if len(named) > 1:
        findings.labelled.insert(0, piece_of(named[0]))


def _read_typed(island: Island, text: str, findings: Findings) -> None:
    """ "w and h are floats": the type is everybody's."""
    words = [str(token) for token in island.tokens if token.type == "TYPE"]
    kind = types.spell(vocabulary.find_value(words[0]), findings.language)
    for token in _named_tokens(island):
        named = piece_of(token)
        findings.typed.append(Parameter(named.text, kind, None, named.span))


def _read_reset(island: Island, text: str, findings: Findings) -> None:
    """ "the default of timeout to 30"."""
    named = piece_of(_named_tokens(island)[0])
    default = _read_default(island.tree, text)
    findings.parameters.append(Parameter(named.text, None, default, named.span))


def _read_taken(island: Island, text: str, findings: Findings) -> None:
    """What is taken; "query_user から verbose を" takes away instead."""
    following = text[island.end : island.end + 2].strip()[:1]
    takes_away = island.tokens[-1] == "から" and following.isascii() and following.isalpha()
    if not takes_away:
        _read_list(island, text, findings)


def _read_return(island: Island, text: str, findings: Findings) -> None:
    typed = [token for token in island.tokens if token.type in ("TYPE", "OF")]
    start = int(typed[0].start_pos or 0)
    piece = Piece(text[start : end_of(typed[-1])], start, end_of(typed[-1]))
    findings.returns = findings.returns or piece


def _read_list(island: Island, text: str, findings: Findings) -> None:
    for each in _list(island, text, findings.language):
        is_placeholder = text[max(0, each.span[0] - 1)] in ":@$"
        (findings.placeholders if is_placeholder else findings.parameters).append(each)


def _read_options(island: Island, text: str, findings: Findings) -> None:
    findings.options += _list(island, text, findings.language)


def _read_placeholders(island: Island, text: str, findings: Findings) -> None:
    listed = _list(island, text, findings.language)
    findings.placeholders += [each for each in listed if text[each.span[0] - 1] in ":@$"]


def _list(island: Island, text: str, language: str | None) -> list[Parameter]:
    listing = Listing(language)
    for part in island.tree.children:
        child = part.children[0] if isinstance(part, Syntax) and part.data == "part" else part
        if isinstance(child, Token):
            listing.add(child)
        elif child is None:  # an optional word that is not there
            continue  # type: ignore[unreachable]  # lark's types know no such child
        elif child.data == "default":
            listing.set(default=_read_default(child, text))
        else:
            _read_detail(child, text, listing)
    return listing.parameters


def _read_default(node: Syntax[Token], text: str) -> str:
    value = next(node.find_data("value"))
    tokens = list(value.scan_values(lambda each: isinstance(each, Token)))
    start, end = int(tokens[0].start_pos or 0), end_of(tokens[-1])
    return text[start:end].strip("\"'`「」“”‘’『』")


def _read_detail(node: Syntax[Token], text: str, listing: Listing) -> None:
    tokens = list(node.scan_values(lambda value: isinstance(value, Token)))
    kind = next((token for token in tokens if token.type == "TYPE"), None)
    classes = [str(t) for t in tokens if t.type in ("NAME", "WORD") and t[0].isupper()]
    if any(token.type == "ALL" for token in tokens) and kind is not None:
        listing.closes = True
        listing.add(kind)
    elif kind is not None:
        listing.set(type=types.spell(vocabulary.find_value(str(kind)), listing.language))
    elif len(classes) == 1 and classes[0] not in ("None", "True", "False"):
        listing.set(type=classes[0])  # "amount (BigDecimal)"
    for default in node.find_data("default"):
        listing.set(default=_read_default(default, text))


def merge(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """One parameter a name: what is said twice completes the first."""
    merged: dict[str, Parameter] = {}
    for each in parameters:
        known = merged.get(each.name, each)
        kind, default = known.type or each.type, known.default or each.default
        merged[each.name] = replace(known, type=kind, default=default)
    return tuple(merged.values())


def _read_worded(island: Island, text: str, findings: Findings) -> None:
    """ "a timeout parameter (float, default 30)"."""
    named = _named_tokens(island)[0]
    if named.lower() in _ORDINALS:
        return
    listing = Listing(findings.language)
    listing.add(named)
    for child in island.tree.children:
        if isinstance(child, Syntax):
            _read_detail(child, text, listing)
    findings.parameters += listing.parameters


def _read_orphan(island: Island, text: str, findings: Findings) -> None:
    """A sentence that says the default of the parameter before it."""
    for found in (findings.parameters, findings.options):
        if found and found[-1].default is None:
            found[-1] = replace(found[-1], default=_read_default(island.tree, text))
            return


_ORDINALS = frozenset(
    {
        "first",
        "second",
        "third",
        "last",
        "extra",
        "additional",
        "another",
        "constructor",
        "function",
    }
    | {
        "single",
        "named",
        "positional",
        "boolean",
        "string",
        "integer",
        "command",
        "line",
        "missing",
    }
)
_READERS = {
    "naming": _read_naming,
    "labelled": _read_label,
    "renaming": _read_renaming,
    "described": _read_list,
    "taken": _read_taken,
    "optioned": _read_options,
    "placed": _read_placeholders,
    "worded": _read_worded,
    "orphan": _read_orphan,
    "reset": _read_reset,
    "typed": _read_typed,
    "defaulted": _read_list,
    "returned": _read_return,
}
