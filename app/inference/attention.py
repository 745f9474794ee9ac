"""Paged attention over packed sequences, for unmodified transformers models.

A step's tokens lie one after another in one row: first those of decoding sequences, one each,
then the prompt chunks. The function is registered under NAME without a mask function, so that
transformers builds no mask at all; which token sees what is in the step's Layout, which each
implementation (native, sdpa, varlen) makes for itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from app.inference.sequences import Chunk

NAME = "autoglm_paged"


@dataclass(frozen=True)
class Shape:
    """What the cache must know of a model."""

    num_layers: int
    num_heads: int  # of keys and values
    num_shared: int  # query heads that share one of them
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, model: Any) -> "Shape":
        """The shape of a transformers model."""
        config = model.config
        queries = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // queries
        heads = getattr(config, "num_key_value_heads", None) or queries
        layers = config.num_hidden_layers
        return cls(layers, heads, queries // heads, size, model.dtype, model.device)

    @property
    def token_bytes(self) -> int:
        """Cache memory of one token."""
        return 2 * self.num_layers * self.num_heads * self.head_size * self.dtype.itemsize


class Layout(Protocol):
    """Where each token of one step goes in the cache, and what it attends to."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """Stores keys and values (1, heads, rows, size) in their slots of layer `layer` and returns
        the attention of queries (1, query heads, rows, size) to all that came before in their
        sequence and to themselves: (1, rows, query heads, size). All are of the cache's dtype
        (float32, bfloat16 or float16) and on its device; query heads are a multiple of heads, `size`
        is that of a head. Rows beyond the step's tokens are neither stored nor attended to: their
        answer is zero. Scores are multiplied by `scaling` before the softmax."""


class Cache(Protocol):
    """The keys and values of all blocks, as one implementation lays them out."""

    def arrange(self, chunks: Sequence[Chunk]) -> Layout:
        """The layout of a step whose tokens lie in the order of `chunks`."""


def build_cache(shape: Shape, num_blocks: int) -> Cache:
    """The fastest implementation that serves `shape` here."""
    from app.inference import native, sdpa, varlen

    if native.is_fit(shape):
        return native.Cache(shape, num_blocks)
    return (varlen if varlen.is_fit(shape) else sdpa).Cache(shape, num_blocks)


def attend(  # noqa: PLR0913 - the signature is transformers'
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    layout: Layout,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in transformers' form (AttentionInterface): query (1, query heads, rows, size), key and
    value (1, heads, rows, size), positions already turned in, all of the model's dtype -> (1, rows,
    query heads, size) of that dtype, and no weights. There is no mask: `layout`, which the runner
    passes through the model, knows what each row sees."""
    layer: int = module.layer_idx
    return layout.attend(layer, query, key, value, scaling), None


def register(name: str = NAME, function: Callable[..., Any] = attend) -> None:
    """Makes `function` known to transformers as the attention implementation `name`."""
    AttentionInterface.register(name, function)
