"""Paged attention on a CPU by our own kernels: nothing is gathered, padded or masked.

Decoding tokens and prompt chunks are the same to it: rows of queries over the blocks of their
sequence. Its work is bound by reading each block once per tile of queries.
"""

import ctypes
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from app.inference import kernels
from app.inference.attention import Shape
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.sequences import Chunk


def is_fit(shape: Shape) -> bool:
    """Whether the kernels can serve a model of this shape."""
    size = shape.head_size
    is_small = size <= kernels.MAX_SIZE and shape.num_shared <= kernels.MAX_SHARED
    return is_small and size % kernels.LANES == 0 and kernels.is_served(shape.dtype, shape.device)


class _Step(ctypes.Structure):
    """`struct Step` of kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("chunks", "tokens", "heads", "shared", "size")),
        ("key_stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("rows", "counts", "starts", "widths", "tables")),
        ("slots", ctypes.c_void_p),
    )


class Cache:
    """Keys and values, each (layers, blocks, heads * BLOCK_SIZE * size), as kernels.cpp lays them."""

    def __init__(self, shape: Shape, num_blocks: int) -> None:
        self.shape = shape
        size = (shape.num_layers, num_blocks, shape.num_heads * BLOCK_SIZE * shape.head_size)
        self.keys = torch.zeros(size, dtype=shape.dtype)
        self.values = torch.zeros(size, dtype=shape.dtype)

    def arrange(self, chunks: Sequence[Chunk]) -> "Layout":
        """The layout of a step whose tokens lie in the order of `chunks`."""
        rows, starts, widths, tables, slots = (array(kind) for kind in "iiiiq")
        for chunk in chunks:
            rows.append(len(slots))
            starts.append(chunk.start)
            widths.append(len(tables))
            tables.extend(chunk.sequence.blocks[: count_blocks(chunk.end)])
            slots.extend(chunk.slots())
        counts = array("i", (chunk.length for chunk in chunks))
        return Layout(self, (rows, counts, starts, widths, tables), slots)


@dataclass(frozen=True)
class Layout:
    """Of each chunk: first row in the step, rows, position of the first, where its blocks begin in
    `tables`; of each token: its slot in the cache."""

    cache: Cache
    arrays: "tuple[array[int], ...]"
    slots: "array[int]"

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """See attention.Layout."""
        shape = self.cache.shape
        queries, keys, values = (
            x[0].transpose(0, 1).contiguous() for x in (query, key, value)
        )  # each (tokens, heads, size)
        out = torch.zeros_like(queries)  # rows beyond the tokens stay so
        step = _Step(
            *(len(self.arrays[0]), len(self.slots), shape.num_heads, shape.num_shared),
            *(shape.head_size, shape.num_heads * shape.head_size),
            *(each.buffer_info()[0] for each in (*self.arrays, self.slots)),
        )
        tensors = (queries, keys, values, self.cache.keys[layer], self.cache.values[layer], out)
        kernels.find("attend", shape.dtype)(
            ctypes.byref(step),
            *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
            ctypes.c_float(scaling),
        )
        return out[None]
