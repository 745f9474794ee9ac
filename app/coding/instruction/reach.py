"""How far an instruction reaches: a file, a module, or what was said earlier."""

import re

from lark import Token

from app.coding.instruction.evidence import Evidence
from app.coding.instruction.tree import Scope

_BEFORE = ("earlier", "above", "last", "previous", "before", "刚", "之前", "前面", "上一", "さっき", "先ほど", "先程", "前回", "上記", "直前", "上の", "上面", "上述")  # fmt: skip


_SPAN = re.compile(
    r"\b(?:the|its|each|an?) (?:last|previous) (?:\d+|few|two|three|\w+ ?)? ?(?:second|minute|hour|day|weekday|week|month|quarter|year"
    r"|row|item|element|entr|line|col|char|letter|word|digit|index|node|value|number|price|state)"
    r"|最前面",
    re.IGNORECASE,
)  # no earlier turn, but a stretch of time or of data


_DATA = re.compile(r"(?:[年以目地]|[中里内]的|[のに]中の)$")


_ITEM = re.compile(
    r" ?(?:元素|字符|项|数字|节点|值|行|索引|单词|字母|要素|文字|項|値|単語|数値|ノード)"
)


def choose(evidence: Evidence) -> Scope | None:
    """How far the instruction reaches, if it says so. With code in the message, "above" is that."""
    if evidence.has("FILENAME", "FILE"):
        return Scope.FILE
    if evidence.has("MODULE"):
        return Scope.MODULE
    points = [token for token in evidence.tokens if token.type == "PRONOUN"]
    spoken = [str(token).lower() for token in points if not _is_of_data(token, evidence.prose)]
    before = any(word in each for each in spoken for word in _BEFORE)
    is_earlier = _has_session(evidence) or before
    return Scope.SESSION if is_earlier and not evidence.blocks else None


def _is_of_data(token: Token, prose: str) -> bool:
    """年上の, 以上の, 数组中的上一个: older people, larger numbers, the item before, no earlier turn."""
    before, after = prose[: token.start_pos], prose[token.end_pos or 0 :]
    return bool(_DATA.search(before) or _ITEM.match(after))


def _has_session(evidence: Evidence) -> bool:
    spans = [found.span() for found in _SPAN.finditer(evidence.prose)]
    said = [token for token in evidence.tokens if token.type == "SESSION"]
    places = [int(t.start_pos or 0) for t in said if not _is_of_data(t, evidence.prose)]
    return any(not any(start <= place < end for start, end in spans) for place in places)
