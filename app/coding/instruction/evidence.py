"""What decisions are made from: the words of the prose, and the code that is shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from app.coding import languages
from app.coding.instruction import vocabulary
from app.coding.instruction.signatures import Signature
from app.coding.instruction.tree import Block

_LANGUAGES = frozenset(languages.NAMES.values())
_STUB = re.compile(
    r"pass\b|\.\.\.|unimplemented!|todo!|TODO|NotImplemented|panic\(|throw new|// *\.\.\.|^\s*$"
)
_DECLARATION = re.compile(
    r"^(?!.*\b(?:select|from|where|return)\b)\s*(?:[\w<>\[\],:&*?.]+\s+)+\w+(?:<[^>]*>)? ?\(.*\)"
    r"[^=+*/]*(?:[;:{]|\{ ?\}|\.\.\.)?$",
    re.IGNORECASE,
)
_STUB_LINES = 6


@dataclass(frozen=True)
class Evidence:
    """What decisions are made from."""

    tokens: Sequence[Token]
    blocks: Sequence[Block]
    signatures: Sequence[Signature] = ()
    prose: str = ""

    def has(self, *kinds: str) -> bool:
        """Whether a token of any of these kinds is there."""
        return not self._kinds.isdisjoint(kinds)

    @cached_property
    def _kinds(self) -> frozenset[str]:
        return frozenset(token.type for token in self.tokens)

    @cached_property
    def files(self) -> list[str]:
        """The files that prose names."""
        return [str(token) for token in self.tokens if token.type == "FILENAME"]

    @cached_property
    def code(self) -> list[Block]:
        """Blocks with something in them: not a stub to be filled in."""
        return [block for block in self.blocks if not is_stub(block)]

    @property
    def has_object(self) -> bool:
        """Whether something exists that the instruction can be about."""
        return bool(self.code) or self.has("PRONOUN", "SESSION", "NAME", "FILENAME", "RENAMED")


def is_stub(block: Block) -> bool:
    """Whether a block is one signature with an empty body."""
    lines = [line for line in block.code.text.strip().splitlines() if line.strip()]
    if len(lines) == 1:
        return bool(_DECLARATION.search(lines[0])) and "=" not in lines[0].partition("(")[0]
    body = "\n".join(lines[1:]).replace("return NotImplemented", "")
    return len(lines) <= _STUB_LINES and bool(_STUB.search(body)) and "return" not in body


def named_languages(evidence: Evidence, kind: str) -> list[str]:
    """The languages that prose names: by name ("LANGUAGE") or by a tool of theirs ("HINT")."""
    words = (str(token) for token in evidence.tokens if token.type == kind)
    found = (vocabulary.find_value(vocabulary.correct(word) or word) for word in words)
    return [name for name in found if name in _LANGUAGES]
