"""The words of the three languages by what they mean: words/<language>.yaml, loaded once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from app.coding import languages

_FOLDER = Path(__file__).parent / "words"
_CASED = {"c": "C", "r": "R", "go": "Go"}  # English words too, unless written like this
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_SHORTEST_SLIP = 4
_LONG = 8


@dataclass(frozen=True)
class Vocabulary:
    """The kind of token that each phrase is, in lower case; the type or language that a phrase
    stands for; the words that are recognized with a typing slip in them, and words that are no
    slip although they look like one."""

    kinds: Mapping[str, str]
    values: Mapping[str, str]
    slips: frozenset[str]
    sound: frozenset[str]


@cache
def load() -> Vocabulary:
    """All three languages together: instructions mix them."""
    slips: set[str] = set()
    sound: set[str] = set()
    kinds = {name: "LANGUAGE" for name in languages.NAMES if name not in _CASED}
    values = dict(languages.NAMES)
    for path in sorted(_FOLDER.glob("*.yaml")):
        for kind, phrases in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            if kind in ("SLIPS", "SOUND"):
                (slips if kind == "SLIPS" else sound).update(phrases)
                continue
            if isinstance(phrases, dict):
                named = {phrase: name for name, each in phrases.items() for phrase in each}
                values |= {phrase: name for phrase, name in named.items() if name}
                phrases = named
            kinds = dict.fromkeys(phrases, kind) | kinds
    return Vocabulary(kinds, values, frozenset(slips), frozenset(sound))


def find_value(phrase: str) -> str:
    """What a phrase for a type or a language stands for."""
    return load().values.get(" ".join(phrase.lower().split()), phrase)


def find_kind(phrase: str) -> str | None:
    """What this phrase is; None for a word that nobody listed."""
    if phrase in _CASED.values():
        return "LANGUAGE"
    return load().kinds.get(" ".join(phrase.lower().split()))


@cache
def correct(word: str) -> str | None:
    """The listed word that a typing slip was meant to be: one edit away, two if it is long."""
    lower = word.lower()
    if lower in load().kinds or lower in load().sound or len(word) < _SHORTEST_SLIP:
        return None
    near = ((_count_edits(lower, known), known) for known in load().slips)
    edits, known = min(near)
    return known if edits <= (2 if len(known) >= _LONG else 1) else None


def _count_edits(one: str, other: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours (Damerau, restricted)."""
    if abs(len(one) - len(other)) > 2:
        return 9
    rows = [list(range(len(other) + 1))]
    for i, left in enumerate(one, 1):
        rows.append([i])
        for j, right in enumerate(other, 1):
            best = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                best = min(best, rows[i - 2][j - 2] + 1)
            rows[i].append(best)
    return rows[-1][-1]


def make_pattern() -> str:
    """One regular expression for every phrase, the longest first: English ones as whole words."""
    latin = [phrase for phrase in load().kinds if phrase.isascii()]
    others = [phrase for phrase in load().kinds if not phrase.isascii()]
    cased = "|".join(_CASED.values())
    whole = (
        rf"(?<![A-Za-z0-9_])(?:(?i:{_join(latin)})(?![A-Za-z0-9_])|(?:{cased})(?![A-Za-z0-9_+#]))"
    )
    return f"{whole}|(?i:{_join(others)})"


def _join(phrases: Iterable[str]) -> str:
    """A trie as a pattern: alternation would try a thousand phrases at every character."""
    root: dict[str, dict] = {}  # type: ignore[type-arg]  # recursive
    for phrase in phrases:
        node = root
        for character in phrase:
            node = node.setdefault(character, {})
        node[""] = {}
    return _write(root)


def _write(node: dict[str, dict]) -> str:  # type: ignore[type-arg]  # recursive
    options = [_escape(char) + _write(rest) for char, rest in sorted(node.items()) if char]
    if not options:
        return ""
    text = options[0] if len(options) == 1 and "" not in node else f"(?:{'|'.join(options)})"
    return f"{text}?" if "" in node else text


def _escape(character: str) -> str:
    return r"\s+" if character == " " else re.escape(character)


def is_identifier(text: str) -> bool:
    """Whether this could name something in code."""
    return bool(IDENTIFIER.fullmatch(text))
