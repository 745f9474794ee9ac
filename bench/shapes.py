"""Models of random weights in the shapes of GLM and Llama, written once and signed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import weights

_FOLDER = Path("var/bench/models")

ARCHITECTURES = {"glm": "GlmForCausalLM", "llama": "LlamaForCausalLM"}

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 2048,
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 512,
    },
    "100M": {
        "vocab_size": 16384,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 4352,
    },
}

DTYPES = {"tiny": "float32", "100M": "bfloat16"}  # of every method; what our `auto` takes here


@dataclass(frozen=True)
class Shape:
    """A checkpoint on disk, the dtype in which every method runs it, and its signer's key."""

    path: Path
    dtype: str
    public_key: str


def write(size: str, shape: str, folder: Path = _FOLDER) -> Shape:
    """The checkpoint of this size and shape below `folder`; an earlier one is used again."""
    place = folder / f"{shape}-{size}"
    path, key = place / "model", place / "public.key"
    if not key.is_file():
        path.mkdir(parents=True, exist_ok=True)
        key.write_text(_make(path, size, shape))
    return Shape(path, DTYPES[size], key.read_text())


def _make(path: Path, size: str, shape: str) -> str:
    from app.inference import randoms  # torch: not needed where a checkpoint is only read

    randoms.write(path, ARCHITECTURES[shape], **SIZES[size])
    private, public = weights.keygen()
    weights.lock(path)
    weights.sign(path, private)
    return public
