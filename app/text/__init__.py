"""Text to token ids and back: tokenizers and sandboxed chat templates, without torch."""

from app.text.bounds import refuse_huge
from app.text.checkpoint import Checkpoint, load
from app.text.plain import Bytes
from app.text.tokenizer import Tokenizer

__all__ = ["Bytes", "Checkpoint", "Tokenizer", "load", "refuse_huge"]
