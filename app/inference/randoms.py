"""Writes checkpoints of random weights with a byte tokenizer, for tests and benchmarks."""

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers

from app.inference import spelling

EOS = 256  # the id after the 256 bytes

TINY: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "eos_token_id": EOS,
    "pad_token_id": EOS,
    "bos_token_id": None,
    "tie_word_embeddings": False,
}


def write(path: Path, architecture: str, *, seed: int = 0, **sizes: Any) -> Path:
    """Saves a model of `architecture`, a class of transformers, in `path` as float32 safetensors;
    `sizes` override TINY."""
    name = architecture.removesuffix("ForCausalLM")
    config = getattr(transformers, f"{name}Config")(**TINY | sizes)
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, architecture)(config)
    model.save_pretrained(path)
    build_tokenizer().save(str(path / "tokenizer.json"))
    return path


def build_tokenizer() -> tokenizers.Tokenizer:
    """One token per byte, whose id is the byte, and the special token EOS."""
    alphabet = spelling.list_symbols()
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocab={symbol: byte for byte, symbol in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    return tokenizer
