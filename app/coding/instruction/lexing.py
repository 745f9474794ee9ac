"""Cuts prose into tokens: words of the vocabulary, names, literals, signs. Every text has tokens."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from lark import Lark, Token

from app.coding.instruction import vocabulary

STARTS = (
    "renaming",
    "naming",
    "labelled",
    "described",
    "taken",
    "optioned",
    "placed",
    "typed",
    "defaulted",
    "returned",
)
ENDINGS = (
    "py|ipynb|jsx|js|mjs|tsx|ts|java|go|rs|cpp|cc|cxx|hpp|cs|c|h|rb|php|kt|swift|scala|pl|lua|bash|sh|zsh|ps1|bat"
    "|sql|html|css|vue|yaml|yml|toml|ini|cfg|conf|json|xml|gradle|properties|tf|mk"
)
_FILE = re.compile(rf"[\w./~-]*[\w-]\.(?:{ENDINGS})|[\w./-]*(?:Dockerfile|Makefile)")
_GRAMMAR = Path(__file__).with_name("grammar.lark")
_CJK = re.compile(r"[぀-ヿ㐀-鿿]")
_LISTED = frozenset({"TYPE", "DEFAULT", "AND", "ALL", "ARTICLE", "OF", "AS", "CALLED", "NUMBER"})
_ACRONYM = re.compile(r"[A-Z0-9]{2,}")
_VERBS = frozenset(
    {
        "WORD",
        "CREATE",
        "CHANGE",
        "FIX",
        "EXPLAIN",
        "TEST",
        "CONVERT",
        "TAKES",
        "RETURNS",
        "FILLER",
        "COMPLAINT",
        "MUST",
    }
)
_NAMED = frozenset({"FUNCTION", "CLASS", "AKA", "CALLED", "RENAMED", "USE", "SCRIPT"})
_LATIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@cache
def load() -> Lark:
    """The grammar with the vocabulary in it; made once, in about a quarter of a second."""
    text = _GRAMMAR.read_text(encoding="utf-8")
    pattern = vocabulary.make_pattern().replace("/", r"\/")
    return Lark(
        text.replace("@PHRASES@", pattern).replace("@ENDINGS@", ENDINGS),
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
    tokens = _free_list(_free_names(tokens) if is_cjk else tokens)
    return [_settle_pronoun(tokens, place) for place in range(len(tokens))]


def is_east_asian(prose: str) -> bool:
    """Whether Latin words stand out in this prose: then unlisted ones are names."""
    return len(_CJK.findall(prose)) * 3 > len(re.findall(r"[A-Za-z]+", prose))


def _open(token: Token) -> Iterator[Token]:
    """A quoted name or file is that; other quoted text says nothing."""
    if token.type != "QUOTED":
        yield token
        return
    inner = str(token)[1:-1].strip(" ")
    start = int(token.start_pos or 0) + str(token).index(inner, 1) if inner else 0
    if vocabulary.is_identifier(inner) and not _FILE.fullmatch(inner):
        yield _make("NAME" if token[0] == "`" else "QUOTED", inner, start)
    elif _FILE.fullmatch(inner):
        yield _make("FILENAME", inner, start)
    else:
        yield token.update(type="OTHER") if token[0] == "`" else token


def _make(kind: str, text: str, start: int) -> Token:
    return Token(kind, text, start_pos=start, end_pos=start + len(text))


def _correct(token: Token, *, is_cjk: bool) -> Token:
    if token.type == "ARTICLE" and is_cjk and str(token).lower() == "a":
        return token.update(type="NAME")
    if token.type == "TEST" and is_cjk and token.isascii():
        return token.update(type="WORD")
    if token.type != "WORD" or (is_cjk and _ACRONYM.fullmatch(str(token))):
        return token
    if len(token) == 1:
        return token.update(type="NAME")
    meant = vocabulary.correct(str(token))
    return token.update(type=vocabulary.find_kind(meant)) if meant else token


def _free_names(tokens: list[Token]) -> list[Token]:
    """In Chinese and Japanese prose a Latin word next to the word for a function is a name."""
    freed = []
    for place, token in enumerate(tokens):
        around = [*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2]]
        is_word = token.type in _VERBS and vocabulary.is_identifier(str(token))
        is_name = is_word and any(each.type in _NAMED for each in around)
        is_name = is_name or (is_word and _belongs(tokens, place))
        is_name = is_name or (
            place > 0
            and tokens[place - 1].type == "PARAMETER"
            and bool(_LATIN.fullmatch(str(token)))
        )
        freed.append(token.update(type="NAME") if is_name else token)
    return freed


def _belongs(tokens: Sequence[Token], place: int) -> bool:
    """Whether a word is said to be something's: of a module, a file, a class."""
    before = [each.type for each in tokens[max(0, place - 2) : place]]
    return len(before) == 2 and before[0] in ("MODULE", "FILENAME", "CLASS") and before[1] == "OF"


def _free_list(tokens: list[Token]) -> list[Token]:
    """After "parameters:" every word is a name, up to the end of the sentence."""
    freed = []
    is_list = False
    for place, token in enumerate(tokens):
        before = [each.type for each in tokens[max(0, place - 2) : place]]
        is_list = is_list or before in (["PARAMETER", "COLON"], ["TAKES", "COLON"])
        is_list = is_list and token.type != "END"
        is_word = is_list and _LATIN.fullmatch(str(token)) and token.type not in _LISTED
        freed.append(token.update(type="NAME") if is_word or _is_letter(tokens, place) else token)
    return freed


def _settle_pronoun(tokens: Sequence[Token], place: int) -> Token:
    """ "that" points to something at the start and the end of a clause; elsewhere it joins two."""
    token = tokens[place]
    if str(token).lower() != "that":
        return token
    following = tokens[place + 1].type if place + 1 < len(tokens) else "END"
    begins = place == 0 or tokens[place - 1].type == "END"
    points = following in ("END", "COMMA", "CONVERT") or begins
    return token.update(type="PRONOUN" if points else "FILLER")


def _is_letter(tokens: Sequence[Token], place: int) -> bool:
    """ "a" is an article, except where another letter or the end of a list is next to it."""
    if tokens[place] not in ("a", "A", "i", "I") or place + 1 == len(tokens):
        return False
    following = tokens[place + 1]
    beyond = tokens[place + 2] if place + 2 < len(tokens) else None
    if following.type in ("AND", "COMMA"):
        return beyond is not None and (len(beyond) == 1 or beyond.type == "NAME")
    return following.type in ("RPAR", "END", "EQUAL", "TAKEN")
