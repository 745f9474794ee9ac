"""What kind of job a line of a batch asks for: text, or code with the scope it shares."""

from dataclasses import dataclass
from typing import Any

from app.errors import BadRequest
from app.wire import flaws

KINDS = ("text", "code")
MAX_SCOPE = 128
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Kind:
    """`scope` is a code job's only."""

    kind: str = "text"
    scope: str | None = None


def split(body: dict[str, Any], endpoint: str) -> tuple[dict[str, Any], Kind]:
    """The body without `kind` and `scope`, and what they say. BadRequest: `invalid_value` (also
    for code elsewhere than in a conversation), `invalid_type`, `too_short`, `too_long`,
    `scope_without_code`. Null is as good as absent."""
    if "kind" not in body and "scope" not in body:
        return body, Kind()
    rest = {name: value for name, value in body.items() if name not in ("kind", "scope")}
    kind, scope = body.get("kind"), body.get("scope")
    kind = "text" if kind is None else kind
    allowed = KINDS if endpoint == _CHAT else KINDS[:1]
    if kind not in allowed:
        shown = flaws.show(kind)
        raise BadRequest("invalid_value", param="kind", value=shown, allowed=", ".join(allowed))
    if scope is not None:
        _check_scope(scope, kind)
    return rest, Kind(kind, scope)


def _check_scope(scope: Any, kind: str) -> None:
    if not isinstance(scope, str):
        values = {"expected": flaws.word("string"), "actual": flaws.word(flaws.name_type(scope))}
        raise BadRequest("invalid_type", param="scope", **values)
    if kind != "code":
        raise BadRequest("scope_without_code", param="scope")
    if not scope:
        raise BadRequest("too_short", param="scope", limit=1)
    if len(scope) > MAX_SCOPE:
        raise BadRequest("too_long", param="scope", limit=MAX_SCOPE)
    check_scope(scope)


def check_scope(scope: str) -> None:
    """BadRequest("invalid_value") for a scope that no route could name."""
    parts = scope.split("/")
    if not scope.isprintable() or "" in parts or "symbols" in parts or not scope.strip():
        allowed = "NAME, TEAM/NAME"
        raise BadRequest("invalid_value", param="scope", value=flaws.show(scope), allowed=allowed)
