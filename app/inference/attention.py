"""Paged attention over packed sequences, for unmodified transformers models.

A step's tokens lie one after another in one row: first those of decoding sequences, one each,
then the prompt chunks. The function is registered under NAME without a mask function, so that
transformers builds no mask at all; which token sees what is in the Layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from app.inference.blocks import BLOCK_SIZE

NAME = "autoglm_paged"


@dataclass(frozen=True)
class Shape:
    """What the cache must know of a model."""

    num_layers: int
    num_heads: int  # of keys and values
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, model: Any) -> "Shape":
        """The shape of a transformers model."""
        config = model.config
        size = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        heads = config.num_key_value_heads
        return cls(config.num_hidden_layers, heads, size, model.dtype, model.device)

    @property
    def token_bytes(self) -> int:
        """Cache memory of one token."""
        return 2 * self.num_layers * self.num_heads * self.head_size * self.dtype.itemsize


class Cache:
    """Keys and values, each (layers, blocks, BLOCK_SIZE, heads, head size); the last block pads."""

    def __init__(self, shape: Shape, num_blocks: int) -> None:
        self.padding = num_blocks
        size = (shape.num_layers, num_blocks + 1, BLOCK_SIZE, shape.num_heads, shape.head_size)
        self._keys = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._values = torch.zeros_like(self._keys)

    @property
    def device(self) -> torch.device:
        """Where the cache is."""
        return self._keys.device

    def write(
        self, layer: int, slots: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> None:
        """Stores (1, heads, tokens, head size) each at token slots (tokens,)."""
        self._keys[layer].flatten(0, 1).index_copy_(0, slots, key[0].transpose(0, 1))
        self._values[layer].flatten(0, 1).index_copy_(0, slots, value[0].transpose(0, 1))

    def read(self, layer: int, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of blocks (sequences, blocks): (sequences, heads, tokens, head size)."""
        return _gather(self._keys[layer], table), _gather(self._values[layer], table)

    def clear(self, blocks: Sequence[int]) -> None:
        """Zeroes blocks, so that no NaN of an earlier holder is multiplied by a zero weight."""
        if blocks:
            index = torch.tensor(blocks, device=self.device)
            self._keys.index_fill_(1, index, 0)
            self._values.index_fill_(1, index, 0)


def _gather(pages: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    found = pages.index_select(0, table.flatten())
    return found.view(len(table), -1, *found.shape[2:]).transpose(1, 2)


@dataclass(frozen=True)
class Group:
    """Decoding sequences of similar length: rows first to last - 1 of the step."""

    first: int
    last: int
    table: torch.Tensor  # (sequences, blocks), padded with the padding block
    mask: torch.Tensor  # (sequences, 1, 1, tokens): True where a key counts


@dataclass(frozen=True)
class Span:
    """A prompt chunk: rows first to last - 1 of the step. Without a table nothing precedes it."""

    first: int
    last: int
    table: torch.Tensor | None = None  # (1, blocks)
    mask: torch.Tensor | None = None  # (rows, tokens)


@dataclass(frozen=True)
class Layout:
    """Where each token of a step goes in the cache, and what it attends to."""

    cache: Cache
    slots: torch.Tensor  # (tokens,): block * BLOCK_SIZE + offset
    groups: tuple[Group, ...]
    spans: tuple[Span, ...]


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
    """Attention in transformers' form: query (1, heads, tokens, size) -> (1, tokens, heads, size)."""
    layer: int = module.layer_idx
    layout.cache.write(layer, layout.slots, key, value)
    parts = [_attend_group(group, layer, layout.cache, query, scaling) for group in layout.groups]
    for span in layout.spans:
        keys, values = key[:, :, span.first : span.last], value[:, :, span.first : span.last]
        if span.table is not None:
            keys, values = layout.cache.read(layer, span.table)
        parts.append(_attend_span(span, query, keys, values, scaling))
    return torch.cat(parts)[None], None


def _attend_group(
    group: Group, layer: int, cache: Cache, query: torch.Tensor, scaling: float
) -> torch.Tensor:
    """One query per sequence: the heads that share keys become rows of one small product."""
    keys, values = cache.read(layer, group.table)
    rows = query[0, :, group.first : group.last].transpose(0, 1)
    folded = rows.reshape(len(rows), keys.shape[1], -1, rows.shape[-1])
    found = scaled_dot_product_attention(folded, keys, values, attn_mask=group.mask, scale=scaling)
    return found.flatten(1, 2)


def _attend_span(
    span: Span, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Keys are repeated for the heads that share them, so that every fast kernel accepts them."""
    shared = query.shape[1] // keys.shape[1]
    found = scaled_dot_product_attention(
        query[:, :, span.first : span.last],
        keys.repeat_interleave(shared, dim=1),
        values.repeat_interleave(shared, dim=1),
        attn_mask=span.mask,
        is_causal=span.mask is None,
        scale=scaling,
    )
    return found[0].transpose(0, 1)


def register() -> None:
    """Makes NAME known to transformers as an attention implementation."""
    AttentionInterface.register(NAME, attend)
