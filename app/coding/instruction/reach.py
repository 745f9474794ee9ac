"""How far an instruction reaches: a file, a module, or what was said earlier."""

import re

from app.coding.instruction.evidence import Evidence
from app.coding.instruction.tree import Scope

_BEFORE = ("earlier", "above", "last", "previous", "before", "刚", "之前", "前面", "上一", "さっき", "先ほど", "先程", "前回", "上記", "直前", "上の", "上面", "上述")  # fmt: skip


_SPAN = re.compile(
    r"\bthe last (?:\d+|few|two|three|\w+ ?)? ?(?:second|minute|hour|day|week|month|quarter|year|row|item|element|entr|line|col)"
    r"|最前面",
    re.IGNORECASE,
)  # no earlier turn, but a stretch of time or of data


def choose(evidence: Evidence) -> Scope | None:
    """How far the instruction reaches, if it says so. With code in the message, "above" is that."""
    if evidence.has("FILENAME", "FILE"):
        return Scope.FILE
    if evidence.has("MODULE"):
        return Scope.MODULE
    spoken = [str(token).lower() for token in evidence.tokens if token.type == "PRONOUN"]
    before = any(word in each for each in spoken for word in _BEFORE)
    is_earlier = _has_session(evidence) or before
    return Scope.SESSION if is_earlier and not evidence.blocks else None


def _has_session(evidence: Evidence) -> bool:
    spans = [found.span() for found in _SPAN.finditer(evidence.prose)]
    places = [int(t.start_pos or 0) for t in evidence.tokens if t.type == "SESSION"]
    return any(not any(start <= place < end for start, end in spans) for place in places)
