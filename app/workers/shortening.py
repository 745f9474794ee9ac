"""Conversations that may lose their beginning to fit into the context (`truncation: auto`)."""

from collections.abc import Callable
from typing import Any

Messages = list[dict[str, Any]]


def shorten(said: Messages, fits: Callable[[Messages], bool]) -> Messages:
    """As much of the conversation's end as fits. It begins with a message of the user; of what was
    said last nothing is dropped, whether or not it fits."""
    starts = [0, *(at for at, each in enumerate(said) if at and each["role"] == "user")]
    low, high = 0, len(starts) - 1
    while low < high:  # the first start from which it fits
        middle = (low + high) // 2
        if fits(said[starts[middle] :]):
            high = middle
        else:
            low = middle + 1
    return said[starts[low] :]
