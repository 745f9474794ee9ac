"""From islands to the parts of a tree that they hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lark import Token
from lark import Tree as Syntax

from app.coding.instruction import types, vocabulary
from app.coding.instruction.islands import Island, end_of
from app.coding.instruction.tree import Parameter, Piece

_NAMES = ("NAME", "WORD", "QUOTED", "OPTION", "PLACEHOLDER")


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


def piece_of(token: Token) -> Piece:
    """A token's own text, without quotes, dashes and the sign of a placeholder."""
    text, start = str(token), int(token.start_pos or 0)
    if token.type in ("OPTION", "PLACEHOLDER"):
        bare = text.lstrip("-:@$")
        return Piece(bare, start + len(text) - len(bare), start + len(text))
    if token.type == "QUOTED" and not vocabulary.is_identifier(text):
        return Piece(text[1:-1], start + 1, start + len(text) - 1)
    return Piece(text, start, start + len(text))


def _named_tokens(island: Island) -> list[Token]:
    return [token for token in island.tokens if token.type in (*_NAMES, "FILENAME")]


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
    named = piece_of(_named_tokens(island)[0])
    words = [str(token) for token in island.tokens if token.type == "TYPE"]
    kind = types.spell(vocabulary.find_value(words[0]), findings.language)
    findings.typed.append(Parameter(named.text, kind, None, named.span))


def _read_return(island: Island, text: str, findings: Findings) -> None:
    typed = [token for token in island.tokens if token.type in ("TYPE", "OF")]
    start = int(typed[0].start_pos or 0)
    piece = Piece(text[start : end_of(typed[-1])], start, end_of(typed[-1]))
    findings.returns = findings.returns or piece


@dataclass
class _Listing:
    """A list of parameters in prose, while it is read: a type before a name is the name's."""

    language: str | None
    parameters: list[Parameter] = field(default_factory=list)
    kind: str | None = None
    waits: bool = True  # for a name: after a cue, a separator, an article or a type
    closes: bool = False  # a type that comes now is everybody's
    ends: bool = False  # after a word that cannot be a name: the sentence goes on

    def add(self, token: Token) -> None:
        kind = token.type
        if kind in _NAMES:
            self._add_name(token)
        elif kind == "TYPE":
            self._add_type(token)
        elif kind in ("COMMA", "AND"):
            self.kind, self.waits = None, True
        elif kind in ("ARTICLE", "OF", "CALLED", "PARAMETER", "COLON"):
            self.waits = self.waits or kind in ("CALLED", "PARAMETER")
        elif kind == "ALL":
            self.closes = True

    def _add_name(self, token: Token) -> None:
        if self.ends or not vocabulary.is_identifier(piece_of(token).text.replace("-", "_")):
            return
        if self.waits or token.type in ("NAME", "OPTION", "PLACEHOLDER"):
            spot = piece_of(token)
            self.parameters.append(Parameter(spot.text, self._spell(self.kind), None, spot.span))
        else:
            self.ends = True
        self.kind, self.waits = None, False

    def _add_type(self, token: Token) -> None:
        name = (
            vocabulary.find_value(str(token))
            if str(token)[0].islower() or not token.isascii()
            else str(token)
        )
        if self.closes:
            spelt = self._spell(name)
            self.parameters = [replace(p, type=p.type or spelt) for p in self.parameters]
            return
        if self.parameters and not self.waits and self.parameters[-1].type is None:
            self.set(type=self._spell(name))
            return
        self.kind = f"{self.kind}[{name}]" if self.kind and self.waits else name
        self.waits = True

    def _spell(self, kind: str | None) -> str | None:
        return types.spell(kind, self.language) if kind else None

    def set(self, **changes: Any) -> None:
        """Completes the last parameter."""
        if self.parameters:
            self.parameters[-1] = replace(self.parameters[-1], **changes)


def _read_list(island: Island, text: str, findings: Findings) -> None:
    findings.parameters += _list(island, text, findings.language)


def _read_options(island: Island, text: str, findings: Findings) -> None:
    findings.options += _list(island, text, findings.language)


def _read_placeholders(island: Island, text: str, findings: Findings) -> None:
    findings.placeholders += _list(island, text, findings.language)[:1]


def _list(island: Island, text: str, language: str | None) -> list[Parameter]:
    listing = _Listing(language)
    for part in island.tree.children:
        child = part.children[0] if isinstance(part, Syntax) and part.data == "part" else part
        if isinstance(child, Token):
            listing.add(child)
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


def _read_detail(node: Syntax[Token], text: str, listing: _Listing) -> None:
    tokens = node.scan_values(lambda value: isinstance(value, Token))
    kind = next((token for token in tokens if token.type == "TYPE"), None)
    if kind is not None:
        listing.set(type=types.spell(vocabulary.find_value(str(kind)), listing.language))
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


_READERS = {
    "naming": _read_naming,
    "labelled": _read_label,
    "renaming": _read_renaming,
    "described": _read_list,
    "taken": _read_list,
    "optioned": _read_options,
    "placed": _read_placeholders,
    "typed": _read_typed,
    "defaulted": _read_list,
    "returned": _read_return,
}
