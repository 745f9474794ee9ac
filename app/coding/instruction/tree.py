"""The syntax tree of an instruction: what is asked for, with spans back into its text."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Intent(StrEnum):
    """What is to be done."""

    CREATE = "create"
    CHANGE = "change"
    FIX = "fix"
    EXPLAIN = "explain"
    TEST = "test"
    CONVERT = "convert"


class Target(StrEnum):
    """What it is to be done to, or what is to come of it."""

    FUNCTION = "function"
    CLASS = "class"
    SCRIPT = "script"
    QUERY = "query"
    CONFIGURATION = "configuration"


class Scope(StrEnum):
    """How far the instruction reaches."""

    SESSION = "session"
    FILE = "file"
    MODULE = "module"


@dataclass(frozen=True)
class Piece:
    """Some of the instruction's own text: characters `start` to `end` (exclusive)."""

    text: str
    start: int
    end: int

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end


@dataclass(frozen=True)
class Parameter:
    """A parameter as the instruction names it; `default` is its literal text."""

    name: str
    type: str | None = None
    default: str | None = None
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Block:
    """Code inside the instruction. `defines` are the names it defines, `fault` the line of its
    first syntax error."""

    code: Piece
    language: str | None
    defines: tuple[str, ...] = ()
    fault: int | None = None


@dataclass(frozen=True)
class Heading:
    """The new name of something that is renamed, and `beside` it the other names that are said."""

    name: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """What an instruction says. What could not be placed stays in `text`; `confidence` is between
    0 and 1 and falls with every part that was guessed rather than read."""

    intent: Intent
    target: Target
    locale: str
    language: str | None = None
    name: Piece | None = None
    parameters: tuple[Parameter, ...] = ()
    returns: Piece | None = None
    constraints: tuple[Piece, ...] = ()
    examples: tuple[Piece, ...] = ()
    references: tuple[Piece, ...] = ()
    scope: Scope | None = None
    confidence: float = 0.0
    text: tuple[Piece, ...] = ()
    code: tuple[Block, ...] = ()
    headings: tuple[
        Heading, ...
    ] = ()  # of what is renamed: whoever has a memory knows what that is

    def as_json(self) -> dict[str, Any]:
        """The tree as clients see it; `spans` leads each part back into the instruction."""
        return {
            "intent": self.intent.value,
            "target": self.target.value,
            "language": self.language,
            "locale": self.locale,
            "name": self.name.text if self.name else None,
            "parameters": [
                {"name": each.name, "type": each.type, "default": each.default}
                for each in self.parameters
            ],
            "returns": self.returns.text if self.returns else None,
            "constraints": [each.text for each in self.constraints],
            "examples": [each.text for each in self.examples],
            "references": [each.text for each in self.references],
            "scope": self.scope.value if self.scope else None,
            "confidence": round(self.confidence, 2),
            "text": [each.text for each in self.text],
            "code": [_show_block(block) for block in self.code],
            "spans": self._spans(),
        }

    def _spans(self) -> dict[str, Any]:
        many = ("parameters", "constraints", "examples", "references", "text")
        one = ("name", "returns")
        found = {name: [list(each.span) for each in getattr(self, name)] for name in many}
        single = {name: getattr(self, name) for name in one}
        spans = {name: list(each.span) if each else None for name, each in single.items()}
        return {**spans, **found, "code": [list(block.code.span) for block in self.code]}


def _show_block(block: Block) -> dict[str, Any]:
    return {
        "language": block.language,
        "code": block.code.text,
        "defines": list(block.defines),
        "fault": block.fault,
    }
