"""The intent by rules alone: what the words of the vocabulary say where they stand."""

import itertools
import re
from collections.abc import Sequence

from lark import Token

from app.coding.instruction.evidence import Evidence, named_languages
from app.coding.instruction.tree import Intent

_KANA = re.compile(r"[\u3040-\u30ff]")
_NEAR = 6  # tokens between two languages
_TESTERS = frozenset(
    {"pytest", "unittest", "jest", "junit", "junit5", "junit 5", "vitest", "gtest", "googletest"}
    | {"xunit", "nunit", "rspec", "bats", "pgtap", "mocha", "mockito"}
)


def guess(evidence: Evidence) -> tuple[Intent, float]:
    """The intent, and how sure it is: 1 for a plain word of the vocabulary, less for a guess."""
    if is_conversion(evidence):
        return Intent.CONVERT, 1.0
    if evidence.has("FIX"):
        return Intent.FIX, 1.0
    judged = (_judge(evidence, place) for place in _order(evidence.tokens))
    said = next(filter(None, judged), None)
    return (said, 1.0) if said else _guess_intent(evidence)


def _order(tokens: Sequence[Token]) -> list[int]:
    """The places of the tokens as requests are read: sentence by sentence, and in Japanese each
    from its end, where the verb is."""
    if not any(_KANA.search(str(token)) for token in tokens):
        return list(range(len(tokens)))
    order: list[int] = []
    sentence: list[int] = []
    for place, token in enumerate(tokens):
        sentence.append(place)
        if token.type == "END":
            order += reversed(sentence)
            sentence = []
    return [*order, *reversed(sentence)]


def _guess_intent(evidence: Evidence) -> tuple[Intent, float]:
    if evidence.has("CALLED", "AKA") and not evidence.blocks:
        return Intent.CREATE, 0.8
    if evidence.has("EXPLAIN"):
        return Intent.EXPLAIN, 1.0
    if evidence.code or (evidence.has("COMPLAINT") and evidence.has_object):
        return Intent.FIX, 0.5
    return Intent.CREATE, 0.8 if evidence.has("CREATE", "ASK") else 0.6


def _judge(evidence: Evidence, place: int) -> Intent | None:
    """What one word says; None for one that decides nothing where it stands."""
    token = evidence.tokens[place]
    if token.type == "TEST" or (token.type == "HINT" and str(token).lower() in _TESTERS):
        return Intent.TEST
    if token.type == "CREATE" and not _is_for_tests(evidence, place):
        return Intent.CREATE
    if token.type == "RENAMED":
        return Intent.CHANGE
    return _judge_wish(evidence, place) if evidence.has_object else None


def _judge_wish(evidence: Evidence, place: int) -> Intent | None:
    """A word for a change or for a fault, where there is something that it can be about."""
    kind, is_asked = evidence.tokens[place].type, _is_asked(evidence.tokens[:place])
    is_old = bool(evidence.code) or evidence.has("PRONOUN", "SESSION", "FILENAME")
    if kind in ("CHANGE", "CONVERT") and (is_old or (kind == "CHANGE" and not is_asked)):
        return Intent.CHANGE
    if kind == "COMPLAINT" and not is_asked and not _is_question(evidence):
        return Intent.FIX
    return None


def _is_for_tests(evidence: Evidence, place: int) -> bool:
    """ "write unit tests": the verb belongs to the noun."""
    rest = evidence.tokens[place + 1 : place + 9]
    return any(t.type == "TEST" or str(t).lower() in _TESTERS for t in rest)


def _is_asked(tokens: Sequence[Token]) -> bool:
    """Whether something new is asked for: then an error is a thing it must deal with."""
    return any(token.type == "ASK" for token in tokens)


def _is_question(evidence: Evidence) -> bool:
    first = next((t.type for t in evidence.tokens if t.type in ("EXPLAIN", "COMPLAINT")), "")
    return first == "EXPLAIN"


def is_conversion(evidence: Evidence) -> bool:
    """Code in one language and another one named for it; or one language that leads to another."""
    named = named_languages(evidence, "LANGUAGE")
    shown = {block.language for block in evidence.code if block.language}
    if evidence.has("EXPLAIN", "TEST") and not evidence.has("CONVERT"):
        return False
    if shown and set(named) - shown:
        return True
    makes = evidence.has("FUNCTION", "CLASS", "CREATE") and not evidence.code
    if len(set(named)) > 1 and _leads(evidence.tokens) and not makes:
        return True
    return _is_near(evidence.tokens) and not makes and evidence.has_object


def _is_near(tokens: Sequence[Token]) -> bool:
    """Whether a word for conversion stands near a language."""
    kinds = [token.type for token in tokens]
    return any(
        kind == "CONVERT" and "LANGUAGE" in kinds[max(0, place - _NEAR) : place + _NEAR]
        for place, kind in enumerate(kinds)
    )


def _leads(tokens: Sequence[Token]) -> bool:
    """Whether two languages stand near each other with a word between that leads to the second."""
    places = [place for place, token in enumerate(tokens) if token.type in ("LANGUAGE", "HINT")]
    for first, second in itertools.pairwise(places):
        between = tokens[first + 1 : second]
        leads = any(
            t.type in ("INTO", "CONVERT", "ARROW") or t in ("转", "から", "を", "→")
            for t in between
        )
        if len(between) <= _NEAR and (leads or any(t.type == "CONVERT" for t in tokens)):
            return True
    return False
