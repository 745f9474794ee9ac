"""Words that are names where they stand, whatever they mean elsewhere: in a list, before a particle."""

import re
from collections.abc import Sequence

from lark import Token

from app.coding.instruction import plain, vocabulary

_LISTED = frozenset(
    ["TYPE", "DEFAULT", "AND", "ALL", "ARTICLE", "OF", "AS", "CALLED", "NUMBER", "LANGUAGE", "HINT"]
)
_VERBS = frozenset(
    [
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
    ]
)
_NAMED = frozenset(["FUNCTION", "CLASS", "AKA", "CALLED", "RENAMED", "USE", "SCRIPT"])
_LATIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_MODIFIERS = frozenset(["public", "private", "protected", "static", "final", "async", "void"])
_FIXED = frozenset(
    [
        "TYPE",
        "AND",
        "OF",
        "ARTICLE",
        "PARAMETER",
        "FUNCTION",
        "CLASS",
        "RETURNS",
        "LANGUAGE",
        "CALLED",
    ]
)
_AFTER = frozenset(
    [
        "の",
        "が",
        "は",
        "を",
        "に",
        "と",
        "も",
        "で",
        "って",
        "、",
        "的",
        "里",
        "中",
        "里的",
        "表",
        "和",
        "和",
        "与",
        "テーブル",
        "クラス",
        "から",
    ]
)
_BEFORE = frozenset(["给", "为", "把", "将", "对", "用", "调用", "从"])


def free(tokens: list[Token], *, is_cjk: bool) -> list[Token]:
    """The tokens, with the type NAME for every word that is one."""
    tokens = [_free_noun(tokens, place) for place in range(len(tokens))]
    named = _free_names(tokens) if is_cjk else plain.free(tokens)
    return _free_list(named)


def _free_noun(tokens: Sequence[Token], place: int) -> Token:
    """ "the Config class": a noun with a capital right before another noun."""
    token = tokens[place]
    after = tokens[place + 1].type if place + 1 < len(tokens) else ""
    if str(token).lower() == "name" and after == "COLON" and _begins(tokens, place):
        return token.update(type="CALLED")
    if _is_typed(tokens, place):
        return token.update(type="NAME")
    is_name = token.type in ("CONFIGURATION", "QUERY", "TYPE", "COMPLAINT", "CREATE", "TEST")
    is_name = is_name and after == "CLASS" and str(token)[0].isupper() and token.isalpha()
    return token.update(type="NAME") if is_name and token.isascii() else token


def _begins(tokens: Sequence[Token], place: int) -> bool:
    return place == 0 or tokens[place - 1].type == "END"


def _is_typed(tokens: Sequence[Token], place: int) -> bool:
    """ "limit (int)", "limit: int": whatever the word means elsewhere."""
    token = tokens[place]
    follows = [each.type for each in tokens[place + 1 : place + 3]]
    is_word = token.type not in _FIXED and bool(_LATIN.fullmatch(str(token))) and token[0].islower()
    return is_word and follows in (["LPAR", "TYPE"], ["COLON", "TYPE"])


def _free_names(tokens: list[Token]) -> list[Token]:
    """In Chinese and Japanese prose a Latin word next to the word for a function is a name."""
    freed = []
    for place, token in enumerate(tokens):
        around = [*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2]]
        is_word = token.type in _VERBS and vocabulary.is_identifier(str(token))
        is_word = is_word and str(token) not in _MODIFIERS
        is_name = is_word and any(each.type in _NAMED for each in around)
        is_name = is_name or (is_word and _belongs(tokens, place))
        is_name = is_name or (token.type == "WORD" and _is_marked(tokens, place))
        is_name = is_name or _is_parameter(tokens, place)
        is_name = is_name or (
            place > 0
            and tokens[place - 1].type == "PARAMETER"
            and bool(_LATIN.fullmatch(str(token)))
        )
        freed.append(token.update(type="NAME") if is_name else token)
    return freed


def _is_parameter(tokens: Sequence[Token], place: int) -> bool:
    """ "新增 fields 参数": an English word for parameters beside a Chinese or Japanese one."""
    if tokens[place].type != "PARAMETER" or not tokens[place].isascii():
        return False
    after = tokens[place + 1] if place + 1 < len(tokens) else None
    return after is not None and after.type == "PARAMETER" and not after.isascii()


def _is_marked(tokens: Sequence[Token], place: int) -> bool:
    """Whether a particle makes this Latin word a subject, an object or an owner."""
    word = str(tokens[place])
    if not _LATIN.fullmatch(word) or word.isupper() or word in _MODIFIERS:
        return False
    before = str(tokens[place - 1]) if place else ""
    after = str(tokens[place + 1]) if place + 1 < len(tokens) else ""
    is_made = place > 0 and tokens[place - 1].type == "CREATE" and after in "，,。："
    return after in _AFTER or before in _BEFORE or is_made


def _belongs(tokens: Sequence[Token], place: int) -> bool:
    """Whether a word is said to be something's: of a module, a file, a class."""
    before = [each.type for each in tokens[max(0, place - 3) : place]]
    if before[-2:] == ["INTO", "OF"]:  # split.go 里的
        before = [before[0], "OF"]
    return before[-2:] in (["MODULE", "OF"], ["FILENAME", "OF"], ["CLASS", "OF"])


def _free_list(tokens: list[Token]) -> list[Token]:
    """After "parameters:" every word is a name, up to the end of the sentence."""
    freed = []
    is_list = False
    for place, token in enumerate(tokens):
        before = [each.type for each in tokens[max(0, place - 2) : place]]
        is_list = is_list or before in (
            ["PARAMETER", "COLON"],
            ["TAKES", "COLON"],
            ["PARAMETER", "AS"],
        )
        is_list = is_list and token.type != "END"
        is_word = is_list and _LATIN.fullmatch(str(token)) and token.type not in _LISTED
        is_word = is_word or _is_alone(tokens, place, is_list=is_list)
        freed.append(token.update(type="NAME") if is_word or _is_letter(tokens, place) else token)
    return freed


def _is_alone(tokens: Sequence[Token], place: int, *, is_list: bool) -> bool:
    """Whether a word for a type stands where only a name can: "takes fn", "Parameters: bytes"."""
    if tokens[place].type not in ("TYPE", "FUNCTION") or not tokens[place].isascii():
        return False
    before = tokens[place - 1].type if place else ""
    after = tokens[place + 1].type if place + 1 < len(tokens) else "END"
    leads = ("COLON", "COMMA", "AND", "AS") if is_list else ("TAKES", "PARAMETER")
    return before in leads and after in ("COMMA", "AND", "END", "LPAR")


def _is_letter(tokens: Sequence[Token], place: int) -> bool:
    """ "a" is an article, except where another letter or the end of a list is next to it."""
    if tokens[place] not in ("a", "A", "i", "I") or place + 1 == len(tokens):
        return False
    following = tokens[place + 1]
    beyond = tokens[place + 2] if place + 2 < len(tokens) else None
    if following.type in ("AND", "COMMA"):
        return beyond is not None and (len(beyond) == 1 or beyond.type == "NAME")
    return following.type in ("RPAR", "END", "EQUAL", "TAKEN")
