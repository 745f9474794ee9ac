"""Stored log-probabilities as the endpoints write them."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

Entries = Sequence[dict[str, Any]]
"""As in rows.Choice.logprobs."""


def chat(entries: Entries | None) -> dict[str, Any] | None:
    """The `logprobs` object of a choice of /v1/chat/completions."""
    return None if entries is None else {"content": list(entries), "refusal": None}


def text(entries: Entries | None, *, offset: int = 0) -> dict[str, Any] | None:
    """The `logprobs` object of a choice of /v1/completions: four lists, an item for each token.
    `text_offset` counts the characters that the tokens before it show; `offset` of them belong to
    tokens that were told before."""
    if entries is None:
        return None
    tops = [{top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries]
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": tops,
        "text_offset": list(accumulate(_count_starts(entries), initial=offset))[:-1],
    }


def count_characters(entries: Entries) -> int:
    """How many characters begin in these tokens."""
    return sum(_count_starts(entries))


def _count_starts(entries: Entries) -> list[int]:
    """A character counts where its first byte is."""
    return [sum(byte & 0xC0 != 0x80 for byte in entry["bytes"]) for entry in entries]
