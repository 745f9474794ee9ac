"""The nouns that say what an instruction is about, without those that only describe another noun:
in "a config class", 读取配置的函数 and 設定を読む関数 a class and two functions are meant."""

import re
from collections.abc import Iterable, Iterator, Sequence

from lark import Token

NOUNS = frozenset(["FUNCTION", "CLASS", "SCRIPT", "QUERY", "CONFIGURATION"])
_NAMING = frozenset(["NAME", "LANGUAGE", "QUOTED"])
_LEADS = re.compile(r"[的のるうくすつぬぶむぐただいな]$")  # 的, の, or a verb's last sign
_VAGUE = frozenset(
    ["join", "view", "statement", "ビュー", "视图", "索引", "触发器", "トリガー"]
)  # of databases, and of much else
_DATABASE = re.compile(
    r"(?i)\b(?:sql|tables?|rows?|columns?|select|left|inner|outer|db|database|monthly|materialized)\b"
    r"|\w+表|表|数据库|テーブル|データベース|DB|列"
)


def find(tokens: Sequence[Token], prose: str) -> list[Token]:
    """The head nouns in the order of the text."""
    heads: list[Token] = []
    for clause in _split(tokens):
        last = -2  # the place of the clause's noun before
        for place, token in enumerate(clause):
            if token.type not in NOUNS or (token.lower() in _VAGUE and not _DATABASE.search(prose)):
                continue
            if last >= 0 and _describes(clause[last : place + 1], prose):
                heads.pop()
            heads.append(token)
            last = place
    return heads


def _split(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    clause: list[Token] = []
    for token in tokens:
        clause.append(token)
        if token.type in ("COMMA", "END", "COLON"):
            yield clause
            clause = []
    yield clause


def _describes(span: Sequence[Token], prose: str) -> bool:
    """Whether the first noun of this span only describes the last one."""
    between = list(span[1:-1])
    if span[-1].isascii():
        return span[0].isascii() and len(between) < 2 and all(t.type == "WORD" for t in between)
    end = int(span[-1].start_pos or 0)
    while between and between[-1].type in _NAMING:  # 読む Python 関数
        end = int(between.pop().start_pos or 0)
    start = int(span[0].start_pos or 0) + len(span[0])
    return bool(_LEADS.search(prose[start:end].rstrip()))
