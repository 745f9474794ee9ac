"""Plain English words that are names where they stand: beside a noun for code, after a test."""

import re
from collections.abc import Sequence

from lark import Token

from app.coding.instruction import vocabulary

_PARTS = frozenset(
    [
        "body",
        "signature",
        "call",
        "calls",
        "hierarchy",
        "definition",
        "declaration",
        "component",
        "pointer",
        "based",
        "name",
        "names",
        "design",
        "itself",
        "instead",
        "again",
        "above",
        "below",
    ]
)  # "the function body": words that follow a noun without being its name
_KINDS = frozenset(
    [
        "main",
        "inner",
        "outer",
        "base",
        "parent",
        "child",
        "whole",
        "entire",
        "wrapper",
        "anonymous",
        "abstract",
        "generic",
        "following",
        "given",
        "original",
        "old",
        "existing",
        "current",
        "async",
        "public",
        "private",
        "static",
        "utility",
        "factory",
        "second",
        "first",
        "third",
        "next",
        "right",
    ]
)  # "the inner function": words that say which one without naming it
_DERIVED = re.compile(r"(?:ing|ion|al|ive|ed|able|ic|ous|ary)$")
_DAYS = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June"
)
_ENDS = frozenset(
    ["END", "COMMA", "LPAR", "RPAR", "TAKES", "WITH", "COLON", "INTO", "AND", "RETURNS", "MUST"]
)
_LEADS = frozenset(
    ["INTO", "FOR", "OF", "CHANGE", "FIX", "EXPLAIN", "TEST", "USE", "FILLER", "CREATE"]
)
_NOUNS = frozenset(["FUNCTION", "CLASS", "SCRIPT"])


def free(tokens: list[Token]) -> list[Token]:
    """The tokens, with the type NAME for every word that is one."""
    is_query = any(_is_sql(token) for token in tokens)
    freed = []
    for place, token in enumerate(tokens):
        is_name = (
            token.type == "WORD" and len(token) > 1 and _names(tokens, place, is_query=is_query)
        ) or (place > 0 and token.type in ("CHANGE", "CREATE") and _is_placed(tokens, place))
        freed.append(token.update(type="NAME") if is_name else token)
    return freed


def _names(tokens: Sequence[Token], place: int, *, is_query: bool) -> bool:
    """Whether this word of an English sentence names something."""
    word = str(tokens[place])
    before = tokens[place - 1] if place else None
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    if _is_placed(tokens, place) or (before is None and _is_subject(word, after)):
        return True
    if before is None or word.lower() in _PARTS:
        return False
    if after is not None and after.type in _NOUNS:
        return _is_described(word, before)
    return _follows(tokens, place) or (is_query and _is_table(word, str(before), str(after)))


def _is_subject(word: str, after: Token | None) -> bool:
    """ "parse should ..." at the start; "users should ..." is about people."""
    follows = after is not None and after.type in ("MUST", "COLON", "LPAR")
    return follows and word[0].islower() and not word.endswith("s")


def _is_placed(tokens: Sequence[Token], place: int) -> bool:
    """ "Fetch in package client": a capital before the place where it is."""
    following = [each.type for each in tokens[place + 1 : place + 3]]
    return tokens[place][0].isupper() and following in (["INTO", "MODULE"], ["INTO", "FILENAME"])


def _follows(tokens: Sequence[Token], place: int) -> bool:
    """Whether the word before leads to a name: "function log", "js debounce, takes ..."."""
    word, before = str(tokens[place]), tokens[place - 1]
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    closes = after is None or after.type in _ENDS or str(after).lower() in ("that", "which")
    if before.type in _NOUNS or str(before).lower() in ("hook", "procedure", "decorator"):
        return word[0].isupper() or closes
    if before.type == "LANGUAGE" and after is not None:
        return after.type == "COMMA" and _takes(tokens, place + 2)
    return _is_tested(tokens, place, closes=closes) or _is_capital(tokens, place)


def _is_table(word: str, before: str, after: str) -> bool:
    is_beside = "table" in (before.lower(), after.lower()) or before.lower() in ("from", "join")
    return is_beside and word.lower() != "table"


def _is_described(word: str, before: Token) -> bool:
    """ "the parse method", "my Counter class"."""
    if word[0].isupper():
        return not _DAYS.fullmatch(word)
    definite = str(before).lower() in ("the", "my", "our", "your", "this", "that")
    return definite and word not in _KINDS and not _DERIVED.search(word)


def _takes(tokens: Sequence[Token], place: int) -> bool:
    return place < len(tokens) and tokens[place].type in ("TAKES", "PARAMETER")


def _is_tested(tokens: Sequence[Token], place: int, *, closes: bool) -> bool:
    """ "tests for slugify, ..."."""
    return closes and any(
        each.type == "TEST"
        and all(between.type in ("FOR", "OF") for between in tokens[place - back + 1 : place])
        for back, each in ((1, tokens[place - 1]), (2, tokens[place - 2] if place > 1 else None))
        if each is not None
    )


def _is_capital(tokens: Sequence[Token], place: int) -> bool:
    """ "a leak in Process": a capital within a sentence, after a word that leads to a thing."""
    word = str(tokens[place])
    is_capital = word[0].isupper() and word[1:].islower() and not _DAYS.fullmatch(word)
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    alone = after is None or after.type != "WORD"
    return is_capital and alone and tokens[place - 1].type in _LEADS


def _is_sql(token: Token) -> bool:
    return token.type in ("LANGUAGE", "HINT", "QUERY") and (
        token.type == "QUERY" or vocabulary.find_value(str(token)) == "sql"
    )
