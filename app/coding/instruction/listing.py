"""A list of parameters in prose, while it is read."""

from dataclasses import dataclass, field, replace
from typing import Any

from lark import Token

from app.coding.instruction import types, vocabulary
from app.coding.instruction.tree import Parameter, Piece

_BOTH = frozenset({"两个", "三个", "2つの", "二つの"})  # "x 和 y 两个整数"
NAMES = ("NAME", "WORD", "QUOTED", "OPTION", "PLACEHOLDER")


def piece_of(token: Token) -> Piece:
    """A token's own text, without quotes, dashes and the sign of a placeholder."""
    text, start = str(token), int(token.start_pos or 0)
    if token.type in ("OPTION", "PLACEHOLDER"):
        bare = text.lstrip("-:@$")
        return Piece(bare, start + len(text) - len(bare), start + len(text))
    if token.type == "QUOTED" and not vocabulary.is_identifier(text):
        return Piece(text[1:-1], start + 1, start + len(text) - 1)
    return Piece(text, start, start + len(text))


@dataclass
class Listing:
    """A list of parameters in prose, while it is read: a type before a name is the name's."""

    language: str | None
    parameters: list[Parameter] = field(default_factory=list)
    kind: str | None = None
    waits: bool = True  # for a name: after a cue, a separator, an article or a type
    closes: bool = False  # a type that comes now is everybody's
    ends: bool = False  # after a word that cannot be a name: the sentence goes on

    def add(self, token: Token) -> None:
        kind = token.type
        if kind in NAMES:
            self._add_name(token)
        elif kind == "TYPE":
            self._add_type(token)
        elif kind in ("COMMA", "AND"):
            self.kind, self.waits = None, True
        elif kind == "ARTICLE" and str(token) in _BOTH and self.parameters:
            self.closes = True
        elif kind in ("ARTICLE", "OF", "CALLED", "PARAMETER", "COLON"):
            self.waits = self.waits or kind in ("CALLED", "PARAMETER")
        elif kind == "ALL":
            self.closes = True

    def _add_name(self, token: Token) -> None:
        if "." in token and self.parameters and not self.waits:
            self.set(type=self.parameters[-1].type or str(token))  # Go: "ctx context.Context"
            return
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
