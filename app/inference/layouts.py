"""Lays the chunks of a step out for attention: once per step, used by every layer."""

from collections.abc import Iterator, Sequence

import torch

from app.inference import attention
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.sequences import Chunk

MAX_WASTE = 0.25  # the part of a decoding group's keys that may be padding


def arrange(chunks: Sequence[Chunk], cache: attention.Cache) -> attention.Layout:
    """The layout of chunks that `order` has put in order. Clears what they newly begin."""
    cache.clear([block for chunk in chunks for block in _begun_blocks(chunk)])
    single = [chunk for chunk in chunks if chunk.length == 1]
    slots = [slot for chunk in chunks for slot in _find_slots(chunk)]
    return attention.Layout(
        cache=cache,
        slots=torch.tensor(slots, device=cache.device),
        groups=tuple(_group(single, cache)),
        spans=tuple(_span(chunks[len(single) :], len(single), cache)),
    )


def order(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks of one token first, the shorter contexts before the longer."""
    return sorted(chunks, key=lambda chunk: (chunk.length > 1, chunk.end))


def _begun_blocks(chunk: Chunk) -> list[int]:
    """The block that this chunk is first to enter and leaves partly empty, if any."""
    last = (chunk.end - 1) // BLOCK_SIZE
    is_begun = last * BLOCK_SIZE >= chunk.start and chunk.end % BLOCK_SIZE != 0
    return [chunk.sequence.blocks[last]] if is_begun else []


def _find_slots(chunk: Chunk) -> list[int]:
    table = chunk.sequence.blocks
    return [
        table[at // BLOCK_SIZE] * BLOCK_SIZE + at % BLOCK_SIZE
        for at in range(chunk.start, chunk.end)
    ]


def _group(chunks: Sequence[Chunk], cache: attention.Cache) -> Iterator[attention.Group]:
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


def _build_group(chunks: Sequence[Chunk], first: int, cache: attention.Cache) -> attention.Group:
    width = count_blocks(chunks[-1].end)
    table = [_pad(chunk, width, cache.padding) for chunk in chunks]
    lengths = torch.tensor([chunk.end for chunk in chunks], device=cache.device)
    keys = torch.arange(width * BLOCK_SIZE, device=cache.device)
    return attention.Group(
        first=first,
        last=first + len(chunks),
        table=torch.tensor(table, device=cache.device),
        mask=(keys < lengths[:, None])[:, None, None, :],
    )


def _pad(chunk: Chunk, width: int, padding: int) -> list[int]:
    used = chunk.sequence.blocks[: count_blocks(chunk.end)]
    return used + [padding] * (width - len(used))


def _span(chunks: Sequence[Chunk], first: int, cache: attention.Cache) -> Iterator[attention.Span]:
    for chunk in chunks:
        last = first + chunk.length
        if chunk.start == 0:
            yield attention.Span(first, last)
        else:
            table = torch.tensor([_pad(chunk, 0, cache.padding)], device=cache.device)
            keys = torch.arange(table.numel() * BLOCK_SIZE, device=cache.device)
            queries = torch.arange(chunk.start, chunk.end, device=cache.device)
            yield attention.Span(first, last, table, keys <= queries[:, None])
        first = last
