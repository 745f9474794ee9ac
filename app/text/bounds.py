"""Refusing what is far too long before it is tokenized: tokenizing takes seconds per megabyte."""

from collections.abc import Mapping
from typing import Any

from app.errors import BadRequest
from app.text.tokenizer import Tokenizer


def refuse_huge(tokenizer: Tokenizer, request: Mapping[str, Any], limit: int | None) -> None:
    """BadRequest("context_length_exceeded") for a request (`messages` or `prompt`) whose text alone
    cannot fit into `limit` tokens."""
    field = "messages" if "messages" in request else "prompt"
    tokens = tokenizer.least(_count_bytes(request[field]))
    if limit is not None and tokens > limit:
        raise BadRequest("context_length_exceeded", param=field, tokens=tokens, limit=limit)


def _count_bytes(content: Any) -> int:
    """UTF-8 bytes of the texts in a prompt, a message, or lists of them."""
    if isinstance(content, str):
        return len(content.encode("utf-8", "replace"))
    if isinstance(content, Mapping):
        return _count_bytes(content.get("content") or content.get("text") or "")
    return sum(map(_count_bytes, content))
