"""A checkpoint's tokenizer and chat template, loaded from its directory."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
import tokenizers

from app.errors import BadRequest, WeightsError
from app.text import files
from app.text import messages as chat
from app.text.guard import Guard
from app.text.template import Template
from app.text.tokenizer import Messages, Options


class Checkpoint:
    """Implements `Tokenizer`. Immutable after construction, and so safe in any thread."""

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        *,
        template: Template | None,
        guard: Guard,
        eos_ids: tuple[int, ...],
        found: files.Files,
    ) -> None:
        self._tokenizer = tokenizer
        self._longest = _find_longest(tokenizer)
        self._template = template
        self._guard = guard
        self._bos = found.tokens.get("bos_token")
        self.eos_ids = eos_ids
        self.max_context = found.max_context
        self.vocabulary = found.vocabulary

    def encode(self, text: str) -> list[int]:
        """Raw text to ids; a BOS that the text already begins with is not added again."""
        chat.check_unicode(text, "prompt")
        adds = not (self._bos and text.startswith(self._bos))
        (encoded,) = self._tokenizer.encode_batch([text], add_special_tokens=adds)
        return list(encoded.ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; special tokens are left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def render(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """The conversation as the chat template writes it."""
        rendered, mark = self._render(messages, add_generation_prompt, None)
        return rendered.replace(mark, "") if mark else rendered

    def prompt(self, messages: Messages, options: Options | None = None) -> list[int]:
        """The ids of a conversation. The template writes BOS and its kind, so none is added."""
        return [number for piece in self._encode(messages, options) for number in piece.ids]

    def count(self, messages: Messages, options: Options | None = None) -> int:
        """len(prompt(messages, options)), without making the list."""
        return sum(len(piece) for piece in self._encode(messages, options))

    def least(self, num_bytes: int) -> int:
        """No token is longer than the longest in the vocabulary."""
        return num_bytes // self._longest if self._longest else 0

    def _encode(self, messages: Messages, options: Options | None) -> list[tokenizers.Encoding]:
        rendered, mark = self._render(messages, True, options)
        pieces = rendered.split(mark) if mark else [rendered]
        return self._tokenizer.encode_batch(pieces, add_special_tokens=False)  # lets the GIL go

    def _render(
        self, conversation: Messages, add_generation_prompt: bool, options: Options | None
    ) -> tuple[str, str]:
        if self._template is None:
            raise BadRequest("no_chat_template", param="messages")
        protected, mark = self._guard.protect(chat.normalize(conversation))
        return self._template.render(protected, add_generation_prompt, options), mark


def load(path: str | Path) -> Checkpoint:
    """Reads tokenizer.json, the configurations and the chat template of a model directory.

    Raises WeightsError naming the file that cannot be used. Nothing is executed but the template,
    in its sandbox.
    """
    found = files.read(path)
    tokenizer = files.read_tokenizer(Path(path))
    source = found.template
    return Checkpoint(
        tokenizer,
        template=_compile(source, found.tokens) if source is not None else None,
        guard=Guard(tokenizer, source or ""),
        eos_ids=found.eos_ids or _named_eos(tokenizer, found.tokens),
        found=found,
    )


def _compile(source: str, tokens: dict[str, str]) -> Template:
    try:
        return Template(source, tokens)
    except jinja2.TemplateError as error:
        raise WeightsError(
            "weights_template_broken", file=files.TEMPLATE, detail=str(error)
        ) from error


def _find_longest(tokenizer: tokenizers.Tokenizer) -> int:
    """Bytes of the longest token; 0 where a token may stand for text of any length: a normalizer
    that shortens, or an unknown word."""
    if tokenizer.normalizer is not None or getattr(tokenizer.model, "unk_token", None):
        return 0
    return max((len(token.encode()) for token in tokenizer.get_vocab()), default=0)


def _named_eos(tokenizer: tokenizers.Tokenizer, tokens: dict[str, str]) -> tuple[int, ...]:
    number = tokenizer.token_to_id(tokens.get("eos_token", ""))
    return () if number is None else (number,)
