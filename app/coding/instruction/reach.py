"""How far an instruction reaches: a file, a module, or what was said earlier."""

from app.coding.instruction.evidence import Evidence
from app.coding.instruction.tree import Scope

_BEFORE = ("earlier", "last", "previous", "before", "刚", "之前", "前面", "上一", "さっき", "先ほど", "先程", "前回", "上記", "直前", "上の", "上面", "上述")  # fmt: skip


def choose(evidence: Evidence) -> Scope | None:
    """How far the instruction reaches, if it says so. With code in the message, "above" is that."""
    if evidence.has("FILENAME", "FILE"):
        return Scope.FILE
    if evidence.has("MODULE"):
        return Scope.MODULE
    spoken = [str(token).lower() for token in evidence.tokens if token.type == "PRONOUN"]
    before = any(word in each for each in spoken for word in _BEFORE)
    is_earlier = evidence.has("SESSION") or before
    return Scope.SESSION if is_earlier and not evidence.blocks else None
