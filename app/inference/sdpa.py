"""Paged attention by torch's scaled_dot_product_attention: on any device, with any type of number.

Blocks are gathered; decoding sequences of similar length are padded to groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from app.inference.attention import Shape
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.sequences import Chunk

MAX_WASTE = 0.25  # the part of a decoding group's keys that may be padding


class Cache:
    """Keys and values, each (layers, blocks, BLOCK_SIZE, heads, size); the last block pads."""

    def __init__(self, shape: Shape, num_blocks: int) -> None:
        self.padding = num_blocks
        self.device = shape.device
        size = (shape.num_layers, num_blocks + 1, BLOCK_SIZE, shape.num_heads, shape.head_size)
        self._keys = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._values = torch.zeros_like(self._keys)

    def arrange(self, chunks: Sequence[Chunk]) -> "Layout":
        """The layout of chunks, those of one token first. Clears what they newly begin."""
        self.clear([block for chunk in chunks for block in list_begun(chunk)])
        single = [chunk for chunk in chunks if chunk.length == 1]
        assert single == list(chunks[: len(single)]), "chunks of one token come first"
        slots = [slot for chunk in chunks for slot in chunk.slots()]
        return Layout(
            cache=self,
            slots=torch.tensor(slots, device=self.device),
            groups=tuple(_group(single, self)),
            spans=tuple(_span(chunks[len(single) :], len(single), self)),
        )

    def write(
        self, layer: int, slots: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> None:
        """Stores the first rows of (1, heads, rows, size) each at token slots (tokens,)."""
        for pages, rows in ((self._keys, key), (self._values, value)):
            found = rows[0, :, : len(slots)].transpose(0, 1)
            pages[layer].flatten(0, 1).index_copy_(0, slots, found)

    def read(self, layer: int, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of blocks (sequences, blocks): (sequences, heads, tokens, size)."""
        return _gather(self._keys[layer], table), _gather(self._values[layer], table)

    def pages(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a layer, each (blocks, BLOCK_SIZE, heads, size)."""
        return self._keys[layer], self._values[layer]

    def clear(self, blocks: Sequence[int]) -> None:
        """Zeroes blocks, so that no NaN of an earlier holder is multiplied by a zero weight."""
        if blocks:
            index = torch.tensor(blocks, device=self.device)
            self._keys.index_fill_(1, index, 0)
            self._values.index_fill_(1, index, 0)


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

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """See attention.Layout."""
        self.cache.write(layer, self.slots, key, value)
        parts = [_attend_group(each, layer, self.cache, query, scaling) for each in self.groups]
        for span in self.spans:
            keys, values = key[:, :, span.first : span.last], value[:, :, span.first : span.last]
            if span.table is not None:
                keys, values = self.cache.read(layer, span.table)
            parts.append(_attend_span(span, query, keys, values, scaling))
        return fill_up(torch.cat(parts), query)


def fill_up(found: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """(tokens, heads, size) with zero rows up to the rows of the query, as a batch of one."""
    missing = query.shape[2] - len(found)
    return torch.nn.functional.pad(found, (0, 0, 0, 0, 0, missing))[None]


def _gather(pages: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    found = pages.index_select(0, table.flatten())
    return found.view(len(table), -1, *found.shape[2:]).transpose(1, 2)


def list_begun(chunk: Chunk) -> list[int]:
    """The block that this chunk is first to enter and leaves partly empty, if any."""
    last = (chunk.end - 1) // BLOCK_SIZE
    is_begun = last * BLOCK_SIZE >= chunk.start and chunk.end % BLOCK_SIZE != 0
    return [chunk.sequence.blocks[last]] if is_begun else []


def _group(chunks: Sequence[Chunk], cache: Cache) -> Iterator[Group]:
    """Cuts chunks, the shorter first, where padding to the longest would waste too much."""
    first, filled = 0, 0
    for last, chunk in enumerate(chunks):
        size = count_blocks(chunk.end)
        if filled + size < (1 - MAX_WASTE) * size * (last - first + 1):
            yield _build_group(chunks[first:last], first, cache)
            first, filled = last, 0
        filled += size
    if chunks:
        yield _build_group(chunks[first:], first, cache)


def _build_group(chunks: Sequence[Chunk], first: int, cache: Cache) -> Group:
    width = count_blocks(chunks[-1].end)
    table = [pad_table(chunk, width, cache.padding) for chunk in chunks]
    lengths = torch.tensor([chunk.end for chunk in chunks], device=cache.device)
    keys = torch.arange(width * BLOCK_SIZE, device=cache.device)
    return Group(
        first=first,
        last=first + len(chunks),
        table=torch.tensor(table, device=cache.device),
        mask=(keys < lengths[:, None])[:, None, None, :],
    )


def pad_table(chunk: Chunk, width: int, padding: int) -> list[int]:
    """The blocks that a chunk reads, and the padding block up to `width`."""
    used = chunk.sequence.blocks[: count_blocks(chunk.end)]
    return used + [padding] * (width - len(used))


def _span(chunks: Sequence[Chunk], first: int, cache: Cache) -> Iterator[Span]:
    for chunk in chunks:
        last = first + chunk.length
        if chunk.start == 0:
            yield Span(first, last)
        else:
            table = torch.tensor([pad_table(chunk, 0, cache.padding)], device=cache.device)
            keys = torch.arange(table.numel() * BLOCK_SIZE, device=cache.device)
            queries = torch.arange(chunk.start, chunk.end, device=cache.device)
            yield Span(first, last, table, keys <= queries[:, None])
        first = last


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
