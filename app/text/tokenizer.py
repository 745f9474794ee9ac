"""The Protocol that a checkpoint's tokenizer and the fake back end's share."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Messages = Sequence[Mapping[str, Any]]
Options = Mapping[str, Any]


class Tokenizer(Protocol):
    """Thread-safe; every method may be called from any thread at once."""

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The token ids that end a generation."""

    @property
    def max_context(self) -> int | None:
        """How many positions the model has, if it says so."""

    @property
    def vocabulary(self) -> int | None:
        """How many token ids the model has, if it says so."""

    def encode(self, text: str) -> list[int]:
        """Raw text to ids, with the special tokens the tokenizer itself puts around it.

        The text of a special token becomes that token: not for chat, see `prompt`.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; special tokens are left out."""

    def render(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """The conversation as the chat template writes it, to be read by people.

        Raises BadRequest (chat_template_failed, unsupported_content, ...).
        """

    def prompt(self, messages: Messages, options: Options | None = None) -> list[int]:
        """The ids a model is given for a conversation; contents never become special tokens.
        `options` are variables of the chat template, such as enable_thinking."""

    def count(self, messages: Messages, options: Options | None = None) -> int:
        """len(prompt(messages, options))."""

    def least(self, num_bytes: int) -> int:
        """How many tokens a text of this many UTF-8 bytes has at the very least: refuses what is
        far too long without reading it."""
