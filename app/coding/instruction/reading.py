"""From tokens and islands to the parts of a tree."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lark import Token
from lark import Tree as Syntax

from app.coding.instruction import vocabulary
from app.coding.instruction.islands import Island, end_of
from app.coding.instruction.tree import Parameter, Piece

_NAMES = ("NAME", "WORD", "QUOTED")


@dataclass
class Findings:
    """What the islands say, before it is decided which name is whose."""

    name: Piece | None = None
    called: Piece | None = None  # a signature's or a label's name
    renamed: Piece | None = None
    parameters: list[Parameter] = field(default_factory=list)
    returns: Piece | None = None
    examples: list[Piece] = field(default_factory=list)


def read(found: Sequence[Island], text: str) -> Findings:
    """Collects what each island says."""
    findings = Findings()
    for island in found:
        _READERS[island.kind](island, text, findings)
    findings.parameters = _merge(findings.parameters)
    return findings


def _piece(text: str, start: int, end: int) -> Piece:
    return Piece(text[start:end], start, end)


def piece_of(token: Token) -> Piece:
    """A token's own text."""
    text = str(token)
    start, end = int(token.start_pos or 0), end_of(token)
    if token.type == "QUOTED" and not vocabulary.is_identifier(text):
        return Piece(text[1:-1], start + 1, end - 1)
    return Piece(text, start, end)


def _read_signature(island: Island, text: str, findings: Findings) -> None:
    name = next(token for token in island.tokens if token.type == "NAME")
    findings.called = findings.called or piece_of(name)
    declared = island.tree.find_data("declared")
    for each in sorted(declared, key=_place):
        findings.parameters.append(_declare(each, text))
    hint = island.tree.children[-1]
    if isinstance(hint, Syntax) and hint.data == "hint":
        findings.returns = _whole(hint, text)


def _declare(node: Syntax[Token], text: str) -> Parameter:
    tokens = [child for child in node.children if isinstance(child, Token)]
    name = next(token for token in tokens if token.type == "NAME")
    kind = next((token for token in tokens if token.type == "TYPE"), None)
    parts = {part.data: part for part in node.children if isinstance(part, Syntax)}
    hint = _whole(parts["hint"], text).text if "hint" in parts else _name_type(kind)
    value = _whole(parts["value"], text).text if "value" in parts else None
    return Parameter(str(name), hint, value, piece_of(name).span)


def _name_type(token: Token | None) -> str | None:
    if token is None:
        return None
    phrase = " ".join(str(token).lower().split())
    return vocabulary.load().types.get(phrase, str(token))


def _whole(node: Syntax[Token], text: str) -> Piece:
    tokens = list(node.scan_values(lambda value: isinstance(value, Token)))
    start = min(int(token.start_pos or 0) for token in tokens)
    end = max(end_of(token) for token in tokens)
    return _piece(text, start, end)


def _place(node: Syntax[Token]) -> int:
    return min(int(t.start_pos or 0) for t in node.scan_values(lambda v: isinstance(v, Token)))


def _read_example(island: Island, text: str, findings: Findings) -> None:
    findings.examples.append(_piece(text, island.start, island.end))


def _read_naming(island: Island, text: str, findings: Findings) -> None:
    named = [token for token in island.tokens if token.type in _NAMES]
    findings.name = findings.name or piece_of(named[-1])


def _read_label(island: Island, text: str, findings: Findings) -> None:
    named = next(token for token in island.tokens if token.type in _NAMES)
    findings.called = findings.called or piece_of(named)


def _read_renaming(island: Island, text: str, findings: Findings) -> None:
    named = [token for token in island.tokens if token.type in _NAMES]
    findings.renamed = piece_of(named[-1])
    if len(named) > 1:
        findings.called = piece_of(named[0])


def _read_return(island: Island, text: str, findings: Findings) -> None:
    typed = [token for token in island.tokens if token.type in ("TYPE", "OF")]
    start = int(typed[0].start_pos or 0)
    findings.returns = findings.returns or _piece(text, start, end_of(typed[-1]))


@dataclass
class _Listing:
    """A list of parameters in prose, while it is read: a type before a name is the name's."""

    parameters: list[Parameter] = field(default_factory=list)
    kind: str | None = None
    waits: bool = True  # for a name: after a cue, a separator, an article or a type

    def add(self, token: Token) -> None:
        kind = token.type
        if kind in _NAMES:
            self._add_name(token)
        elif kind == "TYPE":
            self._add_type(token)
        elif kind in ("COMMA", "AND"):
            self.kind, self.waits = None, True
        elif kind in ("ARTICLE", "OF", "CALLED", "PARAMETER"):
            self.waits = True

    def _add_name(self, token: Token) -> None:
        if self.waits or token.type == "NAME":
            spot = piece_of(token)
            self.parameters.append(Parameter(spot.text, self.kind, None, spot.span))
        self.kind, self.waits = None, False

    def _add_type(self, token: Token) -> None:
        name = _name_type(token)
        self.kind = f"{self.kind}[{name}]" if self.kind and self.waits else name
        self.waits = True

    def set(self, **changes: str | None) -> None:
        """Completes the last parameter."""
        if self.parameters:
            self.parameters[-1] = replace(self.parameters[-1], **changes)


def _read_list(island: Island, text: str, findings: Findings) -> None:
    listing = _Listing()
    for part in island.tree.children:
        child = part.children[0] if isinstance(part, Syntax) and part.data == "part" else part
        if isinstance(child, Token):
            listing.add(child)
        elif child.data == "default":
            listing.set(default=_read_default(child, text))
        else:
            _read_detail(child, text, listing)
    findings.parameters += listing.parameters


def _read_default(node: Syntax[Token], text: str) -> str | None:
    value = next(node.find_data("value"))
    return _whole(value, text).text


def _read_detail(node: Syntax[Token], text: str, listing: _Listing) -> None:
    tokens = node.scan_values(lambda value: isinstance(value, Token))
    kind = next((token for token in tokens if token.type == "TYPE"), None)
    if kind is not None:
        listing.set(type=_name_type(kind))
    for default in node.find_data("default"):
        listing.set(default=_read_default(default, text))


def _merge(parameters: list[Parameter]) -> list[Parameter]:
    """One parameter a name: what is said twice completes the first."""
    merged: dict[str, Parameter] = {}
    for each in parameters:
        known = merged.get(each.name)
        if known is None:
            merged[each.name] = each
        else:
            merged[each.name] = replace(
                known, type=known.type or each.type, default=known.default or each.default
            )
    return list(merged.values())


_READERS = {
    "signature": _read_signature,
    "example": _read_example,
    "naming": _read_naming,
    "labelled": _read_label,
    "renaming": _read_renaming,
    "described": _read_list,
    "taken": _read_list,
    "returned": _read_return,
}
