"""Context memory: which earlier symbols and turns the next prompt gets to see."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import clock
from app.coding.instruction import Tree
from app.models import symbols
from app.models.database import Database
from app.wire.rows import Symbol

_DAY_SECONDS = 86_400
WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ENGLISH = {"a", "A", "an", "I", "it", "is", "in"}  # words, unless they are marked as code
_MARKED = re.compile(r"[`'\"](\w+)[`'\"]|\b(\w+)\(")
_PLURAL = re.compile(r"both|two|these|those|they|them|它们|这两|两个|両方|2つ|二つ", re.IGNORECASE)


@dataclass(frozen=True)
class Scope:
    """Whose memory is looked into: a session's, and what the tenant's sessions share by a name."""

    db: Database
    tenant_id: str
    session_id: str | None = None
    name: str | None = None
    days: int = 30


def retrieve(scope: Scope) -> list[Symbol]:
    """Every symbol that a prompt of this scope may see, the latest first; the session's own wins
    over one of the same name that is only shared."""
    since = clock.earliest() - scope.days * _DAY_SECONDS
    found = symbols.list_current(
        scope.db, scope.tenant_id, session_id=scope.session_id, scope=scope.name, since=since
    )
    own = sorted(found, key=lambda symbol: symbol.session_id != scope.session_id)
    chosen = {symbol.name: symbol for symbol in reversed(own)}
    return sorted(chosen.values(), key=lambda symbol: -symbol.id)


@dataclass(frozen=True)
class Choice:
    """What was chosen for a prompt, and what there was no room or no reason for."""

    used: tuple[Symbol, ...] = ()
    dropped: tuple[Symbol, ...] = ()
    visible: tuple[Symbol, ...] = ()  # stand in the turns that the prompt repeats anyway
    resolved: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the result's `context_used`."""
        parts = ("used", "dropped", "visible")
        named = {part: [_name(symbol) for symbol in getattr(self, part)] for part in parts}
        return {**named, "resolved": self.resolved}


def _name(symbol: Symbol) -> dict[str, Any]:
    return {"name": symbol.name, "version": symbol.version, "job_id": symbol.job_id}


def choose(
    found: Sequence[Symbol],
    tree: Tree,
    text: str,
    *,
    seen: str,
    count: Callable[[str], int],
    budget: int,
) -> Choice:
    """The symbols to show before `text`: those it means come first, then the latest, as long as
    their code fits into `budget` tokens. What stands in `seen` already need not be repeated."""
    resolved = resolve(found, tree, text)
    meant = {name for names in resolved.values() for name in names}
    visible = tuple(symbol for symbol in found if symbol.code in seen)
    rest = [symbol for symbol in found if symbol.code not in seen]
    ranked = sorted(rest, key=lambda each: (each.name not in meant, not each.pinned, -each.id))
    used: list[Symbol] = []
    for symbol in ranked:
        is_there = any(symbol.code == each.code for each in used)  # "import a, b" defines two
        cost = 0 if is_there else count(symbol.code)
        if cost <= budget:
            used.append(symbol)
            budget -= cost
    dropped = tuple(symbol for symbol in ranked if symbol not in used)
    in_order = tuple(sorted(used, key=lambda symbol: symbol.id))
    return Choice(in_order, dropped, visible, resolved)


def resolve(found: Sequence[Symbol], tree: Tree, text: str) -> dict[str, list[str]]:
    """What each reference means: a name that a symbol has, or for "it" and its likes the latest
    function or class (the latest two where the words are plural)."""
    names = {symbol.name for symbol in found}
    resolved = {name: [name] for name in sorted(names & list_words(tree, text))}
    latest = [symbol.name for symbol in found if symbol.kind in ("function", "class")]
    for reference in tree.references:
        if reference.text in names or not latest:
            continue
        number = 2 if _PLURAL.search(reference.text) else 1
        resolved[reference.text] = latest[:number]
    return resolved


def list_words(tree: Tree, text: str) -> set[str]:
    """What may be a name in an instruction: not the article "a" and its like, unless marked as code."""
    words = set(WORD.findall(text))
    if tree.locale == "en":
        words -= _ENGLISH - {name for pair in _MARKED.findall(text) for name in pair}
    return words
