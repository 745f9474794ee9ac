"""What of an instruction is weighed for its intent: words, kinds of word, and the code beside them.

Every feature is a readable string: `how do i` (words in a row), `kind CHANGE`, `code`, ...
"""

import itertools
import re
from collections.abc import Iterator, Sequence

from lark import Token

from app.coding.instruction import spoken, vocabulary, wishes
from app.coding.instruction.evidence import Evidence, named_languages

_UNIT = re.compile(r"[A-Za-z_][\w']*|[0-9.]+|[^\s\w]|[^\W_a-zA-Z0-9]", re.ASCII)
_MASKED = {
    "NAME": "<name>",
    "FILENAME": "<file>",
    "QUOTED": "<quoted>",
    "OPTION": "<option>",
    "PLACEHOLDER": "<option>",
    "NUMBER": "<number>",
    "LANGUAGE": "<language>",
    "OTHER": "",
}
_DECIDING = frozenset({"CREATE", "CHANGE", "FIX", "EXPLAIN", "TEST", "CONVERT", "ASK", "COMPLAINT"})
_ERROR = re.compile(
    r"Traceback|[A-Za-z]{3,}(?:Error|Exception|Warning)\b|\berror(?:\[\w+\])?:|panic:"
)
_FEW = 4
_MOST_UNITS = 250  # what a long text asks for stands at its start or its end


def collect(evidence: Evidence, prose: str) -> list[str]:
    """The features of an instruction, each once, in a fixed order."""
    units = _cut(evidence.tokens, prose)
    found = [*_say_words(units), *_say_kinds(evidence), *_say_surroundings(evidence, prose, units)]
    return list(dict.fromkeys(found))


def _cut(tokens: Sequence[Token], prose: str) -> list[str]:
    """The prose as words and single characters of Chinese and Japanese; names are all the same."""
    units = ["^"]
    end = 0
    for token in tokens:
        start = int(token.start_pos or 0)
        units += _UNIT.findall(prose[end:start])
        units += _name_unit(token)
        end = start + len(token)
    kept = [unit.lower() for unit in units if unit]
    half = _MOST_UNITS // 2
    return [*(kept if len(kept) <= _MOST_UNITS else [*kept[:half], *kept[-half:]]), "$"]


def _name_unit(token: Token) -> list[str]:
    if token.type in _MASKED:
        masked = _MASKED[token.type]
        return [masked] if masked else _UNIT.findall(str(token))
    text = str(token)
    if token.type == "WORD":
        return [vocabulary.correct(text) or text]
    return _UNIT.findall(text)


def _say_words(units: Sequence[str]) -> Iterator[str]:
    for length in (1, 2, 3):
        for place in range(len(units) - length + 1):
            yield " ".join(units[place : place + length])


def _say_kinds(evidence: Evidence) -> Iterator[str]:
    deciding = [token.type for token in evidence.tokens if token.type in _DECIDING]
    yield from (f"kind {token.type}" for token in evidence.tokens)
    yield f"first kind {next(iter(deciding), None)}"
    yield f"last kind {next(reversed(deciding), None)}"
    yield from (f"kinds {one} {two}" for one, two in itertools.pairwise(deciding))
    yield from _say_lead(evidence.tokens)
    intent, _ = wishes.guess(evidence)
    yield f"rules {intent}"


def _say_lead(tokens: Sequence[Token]) -> Iterator[str]:
    """The first sentence mostly asks, the others say how."""
    begun = itertools.dropwhile(lambda token: token.type == "END", tokens)
    kinds = [token.type for token in itertools.takewhile(lambda t: t.type != "END", begun)]
    deciding = [kind for kind in kinds if kind in _DECIDING]
    yield from (f"lead kind {kind}" for kind in kinds)
    yield f"lead first {next(iter(deciding), None)}"
    yield f"lead last {next(reversed(deciding), None)}"
    yield f"lead all {' '.join(sorted(set(deciding)))}"


def _say_surroundings(evidence: Evidence, prose: str, units: Sequence[str]) -> Iterator[str]:
    """What stands around the words: code, an error's text, languages, a question mark."""
    shown = {block.language for block in evidence.blocks if block.language}
    named = set(named_languages(evidence, "LANGUAGE"))
    code = "code" if evidence.code else "stub" if evidence.blocks else "no code"
    facts = {
        "code is faulty": any(block.fault for block in evidence.blocks),
        "code is configuration": bool(shown & spoken.CONFIGURED),
        "another language": bool(shown and named - shown),
        "the same language": bool(shown & named),
        "two languages": len(named) > 1,
        "a language": bool(named),
        "signature": any(each.parameters for each in evidence.signatures),
        "call": any(each.is_call for each in evidence.signatures),
        "error text": bool(_ERROR.search(prose)),
        "question": "?" in prose or "？" in prose,
        "few words": len(units) < _FEW,
        "conversion": wishes.is_conversion(evidence),
    }
    told = [code, *(name for name, holds in facts.items() if holds)]
    yield from told
    yield from (f"{one} + {two}" for one in told for two in told if one < two)
    yield from (f"{code} + kind {kind}" for kind in _DECIDING if evidence.has(kind))
