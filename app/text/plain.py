"""Bytes as tokens: the fake back end's tokenizer, and the reference for a Tokenizer."""

from collections.abc import Sequence

from app.text import messages as chat
from app.text.tokenizer import Messages, Options


class Bytes:
    """Implements `Tokenizer`: ids are UTF-8 bytes; there is no special token and no EOS."""

    eos_ids: tuple[int, ...] = ()
    vocabulary = 1_000_000  # as the fake engine has it

    def __init__(self, max_context: int | None = None) -> None:
        self.max_context = max_context

    def encode(self, text: str) -> list[int]:
        """The UTF-8 bytes of a text."""
        chat.check_unicode(text, "prompt")
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        """The text of UTF-8 bytes; ids above 255 are left out, a broken sequence is replaced."""
        return bytes(number for number in ids if number < 256).decode(errors="replace")

    def render(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """One `role: content` line per message, then the role that answers."""
        lines = [f"{each['role']}: {each['content']}\n" for each in chat.normalize(messages)]
        return "".join(lines) + ("assistant: " if add_generation_prompt else "")

    def prompt(self, messages: Messages, options: Options | None = None) -> list[int]:
        """The bytes of the rendered conversation; there is no template that had options."""
        return list(self.render(messages).encode())

    def count(self, messages: Messages, options: Options | None = None) -> int:
        """len(prompt(messages)), without making the list."""
        return len(self.render(messages).encode())

    def least(self, num_bytes: int) -> int:
        """A byte is a token."""
        return num_bytes
