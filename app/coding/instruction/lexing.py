"""Cuts prose into tokens: words of the vocabulary, names, literals, signs. Every text has tokens."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from lark import Lark, Token

from app.coding.instruction import freeing, vocabulary

STARTS = (
    "renaming",
    "naming",
    "labelled",
    "described",
    "taken",
    "optioned",
    "placed",
    "worded",
    "orphan",
    "reset",
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
_ACRONYM = re.compile(r"[A-Z0-9]{2,}")


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
    tokens = freeing.free(tokens, is_cjk=is_cjk)
    return [_settle_pronoun(tokens, place) for place in range(len(tokens))]


_QUOTED = re.compile(
    r"'[^'\n]*'|\"[^\"\n]*\"|“[^”\n]*”|‘[^’\n]*’|`[^`\n]*`|「[^」\n]*」|『[^』\n]*』"
)


def unquote(prose: str) -> str:
    """The prose without what it quotes; whole where it says nothing else."""
    bare = _QUOTED.sub(" ", prose)
    return bare if re.search(r"[^\W\d_]{2}", bare) else prose


def is_east_asian(prose: str) -> bool:
    """Whether Latin words stand out in this prose: then unlisted ones are names."""
    prose = unquote(prose)
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


def _settle_pronoun(tokens: Sequence[Token], place: int) -> Token:
    """ "that" points to something at the start and the end of a clause; elsewhere it joins two."""
    token = tokens[place]
    if str(token).lower() != "that":
        return token
    following = tokens[place + 1].type if place + 1 < len(tokens) else "END"
    begins = place == 0 or tokens[place - 1].type == "END"
    points = following in ("END", "COMMA", "CONVERT") or begins
    return token.update(type="PRONOUN" if points else "FILLER")
