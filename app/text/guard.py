"""Keeps what people write from becoming special tokens: no content can end a turn or forge a role.

A tokenizer turns the characters `<|user|>` into the token that opens a user's turn, whoever wrote
them. So an occurrence inside a message is cut after its first character, with a mark that stands
nowhere in the conversation; the template renders the marked text; the result is split at the
marks and its pieces are encoded one by one. The model reads the same characters, `<` and
`|user|>`, as ordinary text. A conversation without such text takes none of these steps.

Added tokens that are not special (`<think>` in some checkpoints) are ordinary vocabulary: models
write them and templates look for them, so they are left alone. A special token of one character
is that character, and cannot be told apart.
"""

import re
from itertools import pairwise
from typing import Any

import tokenizers

from app.text import messages as chat

_MARKS = range(0xE000, 0xF8FF)  # Unicode's private use area


class Guard:
    """Finds and cuts the special tokens of one tokenizer."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, template: str) -> None:
        added = tokenizer.get_added_tokens_decoder()
        special = {number: token for number, token in added.items() if token.special}
        names = sorted(token.content for token in special.values() if len(token.content) > 1)
        self._pattern = re.compile(f"(?={'|'.join(map(re.escape, names))})") if names else None
        self._ids = frozenset(special)
        self._folds = tokenizer.normalizer is not None and any(
            token.normalized for token in special.values()
        )
        self._tokenizer = tokenizer
        self._template = template

    def protect(self, messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        """Messages with every special token's text cut, and the mark that cuts; "" when none is."""
        texts = list(chat.list_strings(messages))
        if not any(self._spots(text) for text in texts):
            return messages, ""
        mark = _unused_mark({*self._template, *(char for text in texts for char in text)})
        return [self._cut(each, mark) for each in messages], mark

    def _cut(self, value: Any, mark: str) -> Any:
        if isinstance(value, str):
            return _insert(value, self._spots(value), mark)
        if isinstance(value, dict):
            return {self._cut(key, mark): self._cut(each, mark) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._cut(each, mark) for each in value]
        return value

    def _spots(self, text: str) -> list[int]:
        """Where to cut, ascending."""
        if self._pattern is None:
            return []
        spots = {found.start() + 1 for found in self._pattern.finditer(text)}
        return sorted(spots | self._folded_spots(text)) if self._folds else sorted(spots)

    def _folded_spots(self, text: str) -> set[int]:
        """Texts that only normalization turns into a special token: cut between all characters."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        spans = [
            span
            for number, span in zip(found.ids, found.offsets, strict=True)
            if number in self._ids
        ]
        return {spot for start, end in spans for spot in range(start + 1, end)}


def _insert(text: str, spots: list[int], mark: str) -> str:
    bounds = [0, *spots, len(text)]
    return mark.join(text[start:end] for start, end in pairwise(bounds))


def _unused_mark(used: set[str]) -> str:
    return next(chr(code) for code in _MARKS if chr(code) not in used)
