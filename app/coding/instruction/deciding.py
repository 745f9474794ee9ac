"""What an instruction wants, decided from its words: intent, target, language, scope."""

from collections.abc import Sequence

from lark import Token

from app.coding.instruction import vocabulary
from app.coding.instruction.tree import Block, Intent, Scope, Target

_TARGETS = {
    "FUNCTION": Target.FUNCTION,
    "CLASS": Target.CLASS,
    "SCRIPT": Target.SCRIPT,
    "QUERY": Target.QUERY,
    "CONFIGURATION": Target.CONFIGURATION,
}
_CONFIGURED = frozenset({"yaml", "json", "toml", "ini", "dockerfile", "nginx", "makefile"})
_CUES = ("CREATE", "CHANGE", "RENAMED", "FIX", "EXPLAIN", "TEST", "CONVERT")
_NEAR = 6  # tokens between a conversion and its language


def choose_intent(tokens: Sequence[Token], blocks: Sequence[Block]) -> tuple[Intent, float]:
    """The intent, and how sure it is: 1 for a plain word of the vocabulary, less for a guess."""
    cues = [place for place, token in enumerate(tokens) if token.type in _CUES]
    has_object = bool(blocks) or _mentions(tokens)
    for place in cues:
        intent = _judge(tokens, place, has_object=has_object)
        if intent is not None:
            return intent, 1.0
    if any(tokens[place].type == "CREATE" for place in cues):
        return Intent.CREATE, 1.0
    if blocks and not cues:
        return Intent.EXPLAIN, 0.4
    return Intent.CREATE, 0.6


def _judge(tokens: Sequence[Token], place: int, *, has_object: bool) -> Intent | None:
    """What one cue says; None for a word that means something else where it stands."""
    kind = tokens[place].type
    if kind == "CREATE":
        return None if _is_test_ahead(tokens, place) else Intent.CREATE
    if kind == "CONVERT":
        return Intent.CONVERT if _names_language(tokens, place) else None
    if kind == "TEST":
        return Intent.TEST
    if kind == "EXPLAIN":
        return Intent.EXPLAIN
    if kind == "RENAMED":
        return Intent.CHANGE
    return Intent(kind.lower()) if has_object else None


def _is_test_ahead(tokens: Sequence[Token], place: int) -> bool:
    """ "write unit tests": the verb belongs to the noun."""
    return any(token.type == "TEST" for token in tokens[place + 1 : place + 4])


def _names_language(tokens: Sequence[Token], place: int) -> bool:
    nearby = tokens[max(0, place - _NEAR) : place + _NEAR + 1]
    return any(token.type == "LANGUAGE" for token in nearby)


def _mentions(tokens: Sequence[Token]) -> bool:
    return any(token.type in ("PRONOUN", "SESSION", "NAME", "FILE") for token in tokens)


def choose_target(
    tokens: Sequence[Token], language: str | None, blocks: Sequence[Block]
) -> tuple[Target, float]:
    """The target, and how sure it is."""
    named = [_TARGETS[token.type] for token in tokens if token.type in _TARGETS]
    if named:
        return named[0], 1.0
    pronouns = [str(token).lower() for token in tokens if token.type == "PRONOUN"]
    for kind in _TARGETS:
        if any(_ends_with(pronoun, kind) for pronoun in pronouns):
            return _TARGETS[kind], 1.0
    if language == "sql":
        return Target.QUERY, 0.9
    if language in _CONFIGURED:
        return Target.CONFIGURATION, 0.9
    if language == "bash":
        return Target.SCRIPT, 0.9
    if any(block.code.text.lstrip().startswith("class ") for block in blocks):
        return Target.CLASS, 0.8
    return Target.FUNCTION, 0.6


def _ends_with(pronoun: str, kind: str) -> bool:
    """Whether "the class above" has the word for this kind in it."""
    return any(vocabulary.find_kind(word) == kind for word in pronoun.split()) or any(
        pronoun.endswith(word)
        for word, known in vocabulary.load().kinds.items()
        if known == kind and not word.isascii()
    )


def choose_language(
    tokens: Sequence[Token], blocks: Sequence[Block], intent: Intent
) -> str | None:
    """The programming language of the answer: what a conversion ends in, what is named first, or
    the language of the code that is shown."""
    named = [vocabulary.read_language(str(token)) for token in tokens if token.type == "LANGUAGE"]
    if named:
        return named[-1] if intent == Intent.CONVERT else named[0]
    shown = [block.language for block in blocks if block.language]
    return shown[0] if shown and intent != Intent.CONVERT else None


def choose_scope(tokens: Sequence[Token]) -> Scope | None:
    """How far the instruction reaches, if it says so."""
    kinds = {token.type for token in tokens}
    if "FILE" in kinds:
        return Scope.FILE
    if "MODULE" in kinds:
        return Scope.MODULE
    return Scope.SESSION if "SESSION" in kinds or "PRONOUN" in kinds else None
