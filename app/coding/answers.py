"""What an answer holds: code, its language, what it defines, its first fault."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.coding import languages, symbols, syntax
from app.coding.instruction import Tree
from app.coding.syntax import Fault
from app.wire.rows import NewSymbol

_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.S | re.M
)
_MOST_CODE = 200_000  # characters of an answer that are parsed
_USUAL = "python"
CHECKS = ("names", "calls", "logic", "instruction")  # beside the syntax, of Python


@dataclass(frozen=True)
class Answer:
    """What an answer holds: its code, the language, what it defines, the first fault if any."""

    text: str
    code: str | None = None
    language: str | None = None
    symbols: tuple[NewSymbol, ...] = ()
    fault: Fault | None = None
    is_checked: bool = False
    flaws: Mapping[str, Fault] = field(default_factory=dict)  # by check, see app.coding.checks
    is_examined: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether there is code and no parser found a fault in it."""
        return self.code is not None and self.fault is None

    @property
    def wrong(self) -> Fault | None:
        """The first thing that is wrong, in the syntax or beside it."""
        return self.fault or next(iter(self.flaws.values()), None)

    def as_json(self) -> dict[str, Any]:
        """The part of a result that is about code."""
        return {
            "code": self.code,
            "language": self.language,
            "symbols": [_show(symbol) for symbol in self.symbols],
            "checks": self._checks() if self.code is not None else [],
        }

    def _checks(self) -> list[dict[str, Any]]:
        syntax = _show_check("syntax", self.fault, is_done=self.is_checked)
        others = CHECKS if self.is_examined else ()
        return [syntax, *(_show_check(name, self.flaws.get(name)) for name in others)]


def _show_check(name: str, fault: Fault | None, *, is_done: bool = True) -> dict[str, Any]:
    state = "skipped" if not is_done else "failed" if fault else "passed"
    return {"name": name, "state": state, "fault": vars(fault) if fault else None}


def _show(symbol: NewSymbol) -> dict[str, Any]:
    shown = ("name", "kind", "signature", "type", "value")
    return {name: getattr(symbol, name) for name in shown}


def read(text: str, tree: Tree) -> Answer:
    """Takes the code out of an answer and checks it. An answer without code, a refusal for
    example, is left as it is."""
    code, label = _extract(text[:_MOST_CODE])
    if code is None:
        return Answer(text)
    language = label or _find_language(code, tree)
    if language is None:
        return Answer(text)
    fault = syntax.find_fault(code, language)
    found = symbols.extract(code, language) if fault is None else []
    kept = tuple(_keep(symbol) for symbol in found)
    return Answer(text, code, language, kept, fault, syntax.can_check(language))


def _keep(found: symbols.Found) -> NewSymbol:
    fields = ("name", "kind", "language", "code", "signature", "type", "value")
    return NewSymbol(**{name: getattr(found, name) for name in fields})


def _extract(text: str) -> tuple[str | None, str | None]:
    """Code and its label: all fenced blocks of the first one's language, else the whole text if it
    looks like code."""
    fences = [(languages.NAMES.get(f[1].lower()), f[2]) for f in _FENCE.findall(text)]
    if fences:
        label = fences[0][0]
        return "\n".join(code.strip("\n") for name, code in fences if name == label), label
    return (text.strip("\n"), None) if text.strip() and languages.looks(text) else (None, None)


def _find_language(code: str, tree: Tree) -> str | None:
    wanted = tree.language
    if wanted is not None and (not syntax.can_check(wanted) or languages.fits(code, wanted)):
        return wanted
    return languages.guess(code) or wanted or _USUAL
