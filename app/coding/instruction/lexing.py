"""Cuts prose into tokens: words of the vocabulary, names, literals, signs. Every text has tokens."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from lark import Lark, Token

from app.coding.instruction import vocabulary

STARTS = (
    "signature",
    "example",
    "renaming",
    "naming",
    "labelled",
    "described",
    "taken",
    "returned",
)
_GRAMMAR = Path(__file__).with_name("grammar.lark")
_CJK = re.compile(r"[぀-ヿ㐀-鿿]")
_NEVER_CALLED = frozenset({"FUNCTION", "CLASS", "PARAMETER", "MUST", "LANGUAGE", "COMMA", "OTHER"})
_VERBS = frozenset({"CREATE", "CHANGE", "FIX", "EXPLAIN", "TEST", "CONVERT", "TAKES", "RETURNS"})
_NAMED = frozenset({"FUNCTION", "CLASS", "AKA", "CALLED", "RENAMED", "USE"})
_LATIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@cache
def load() -> Lark:
    """The grammar with the vocabulary in it; made once, in about a quarter of a second."""
    text = _GRAMMAR.read_text(encoding="utf-8")
    pattern = vocabulary.make_pattern().replace("/", r"\/")
    return Lark(
        text.replace("@PHRASES@", pattern),
        parser="lalr",
        lexer="basic",
        start=[*STARTS, "free"],
        lexer_callbacks={"PHRASE": _name_kind, "NAME": _name_kind},
    )


def _name_kind(token: Token) -> Token:
    """A phrase is a token of its own kind; "JavaScript" looks like a name, but is listed."""
    kind = vocabulary.find_kind(str(token))
    return token if kind is None else token.update(type=kind)


def cut(prose: str) -> list[Token]:
    """All tokens with their places (`start_pos`, `end_pos`); white space is left out."""
    tokens = [piece for token in load().lex(prose) for piece in _open(token)]
    is_cjk = is_east_asian(prose)
    tokens = [_correct(token, is_cjk=is_cjk) for token in tokens]
    return _settle(_free_names(tokens) if is_cjk else tokens)


def is_east_asian(prose: str) -> bool:
    """Whether Latin words stand out in this prose: then unlisted ones are names."""
    return len(_CJK.findall(prose)) * 3 > len(re.findall(r"[A-Za-z]+", prose))


def _open(token: Token) -> Iterator[Token]:
    """A quoted name is a name; other code in backticks is cut again."""
    if token.type != "QUOTED":
        yield token
        return
    inner, start = str(token)[1:-1], int(token.start_pos or 0) + 1
    if vocabulary.is_identifier(inner):
        kind = "NAME" if token[0] == "`" else "QUOTED"
        yield _make(kind, inner, start)
    elif token[0] == "`":
        for each in load().lex(inner):
            is_word = _LATIN.fullmatch(str(each)) and each.type not in ("TYPE", "RETURNS")
            kind = "NAME" if is_word else each.type
            yield _make(kind, str(each), start + int(each.start_pos or 0))
    else:
        yield token


def _make(kind: str, text: str, start: int) -> Token:
    return Token(kind, text, start_pos=start, end_pos=start + len(text))


def _correct(token: Token, *, is_cjk: bool) -> Token:
    if token.type == "ARTICLE" and is_cjk and str(token).lower() == "a":
        return token.update(type="NAME")
    if token.type != "WORD":
        return token
    if is_cjk or len(token) == 1:
        return token.update(type="NAME")
    meant = vocabulary.correct(str(token))
    return token.update(type=vocabulary.find_kind(meant)) if meant else token


def _free_names(tokens: list[Token]) -> list[Token]:
    """In Chinese and Japanese prose an English verb next to the word for a function is a name."""
    freed = []
    for place, token in enumerate(tokens):
        around = [*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2]]
        is_verb = token.type in _VERBS and vocabulary.is_identifier(str(token))
        is_name = is_verb and any(each.type in _NAMED for each in around)
        freed.append(token.update(type="NAME") if is_name else token)
    return freed


def _settle(tokens: list[Token]) -> list[Token]:
    """What stands right before a bracket is a name, and so are the words inside it."""
    settled = list(tokens)
    for place in range(len(tokens) - 1):
        if _is_called(tokens, place):
            settled[place] = settled[place].update(type="NAME")
            for inner in _inside(tokens, place + 1):
                if _is_word(tokens, inner):
                    settled[inner] = settled[inner].update(type="NAME")
        elif _is_letter(tokens, place):
            settled[place] = settled[place].update(type="NAME")
    return settled


def _is_called(tokens: Sequence[Token], place: int) -> bool:
    token, following = tokens[place], tokens[place + 1]
    touches = following.type == "LPAR" and int(token.start_pos or 0) + len(token) == following.start_pos
    is_plural = len(tokens) > place + 2 and tokens[place + 2] in ("s", "es", "n", "1")
    is_word = bool(_LATIN.fullmatch(str(token))) and token.type not in _NEVER_CALLED
    return touches and is_word and not is_plural


def _inside(tokens: Sequence[Token], opening: int) -> Iterator[int]:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += {"LPAR": 1, "RPAR": -1}.get(tokens[place].type, 0)
        if depth == 0:
            return
        yield place


def _is_word(tokens: Sequence[Token], place: int) -> bool:
    """A word in a signature, unless it stands where a type does."""
    if not _LATIN.fullmatch(str(tokens[place])) or tokens[place - 1].type in ("COLON", "LSQB"):
        return False
    is_typed = place + 1 < len(tokens) and tokens[place + 1].type in ("NAME", "WORD")
    return not (tokens[place].type == "TYPE" and is_typed)


def _is_letter(tokens: Sequence[Token], place: int) -> bool:
    """ "a" is an article, except where another letter or the end of a list is next to it."""
    if tokens[place] not in ("a", "A", "i", "I"):
        return False
    following = tokens[place + 1]
    beyond = tokens[place + 2] if place + 2 < len(tokens) else None
    joins = following.type in ("AND", "COMMA", "RPAR", "END", "EQUAL", "TAKEN")
    if following.type in ("AND", "COMMA"):
        return beyond is not None and (len(beyond) == 1 or beyond.type == "NAME")
    return joins

