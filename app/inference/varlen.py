"""Paged attention on CUDA by torch's own variable-length flash attention: no gather, no mask.

Decoding tokens and prompt chunks are rows of one call; keys and values are read from their pages.
`is_fit` tries it on random numbers at load against sdpa.py, since kernels differ by torch, driver
and card in the page sizes and heads that they take: where it fails, sdpa.py serves.
"""

import inspect
import logging
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from app.inference import sdpa
from app.inference.attention import Shape
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.sequences import Chunk
from app.inference.transfers import upload

logger = logging.getLogger(__name__)

_PAGED = {"block_table", "seqused_k", "enable_gqa"}  # arguments that older versions lack
_TRIAL_TOKENS = 2 * BLOCK_SIZE + 3
_TOLERANCE = 2e-2


def is_fit(shape: Shape) -> bool:
    """Whether torch's kernel gives here what plain attention gives."""
    if shape.device.type != "cuda" or shape.dtype not in (torch.float16, torch.bfloat16):
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn

        if not set(inspect.signature(varlen_attn).parameters) >= _PAGED:
            return False
        return _try(replace(shape, num_layers=1))
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        logger.info("paged flash attention does not serve here", exc_info=error)
        return False


@torch.inference_mode()
def _try(shape: Shape) -> bool:
    size = (1, shape.num_heads, _TRIAL_TOKENS, shape.head_size)
    keys, values = torch.randn(2, *size, device=shape.device).to(shape.dtype)
    query = keys.repeat_interleave(shape.num_shared, dim=1)
    chunk = Chunk(_Trial([2, 0, 1]), 0, _TRIAL_TOKENS)  # type: ignore[arg-type]
    found, expected = (
        kind(shape, 3).arrange([chunk]).attend(0, query, keys, values, shape.head_size**-0.5)
        for kind in (Cache, sdpa.Cache)
    )
    return bool(((found - expected).abs() <= _TOLERANCE).all())


@dataclass(frozen=True)
class _Trial:
    """All that a chunk asks of its sequence."""

    blocks: list[int]


class Cache(sdpa.Cache):
    """The pages of sdpa.Cache, (layers, blocks, BLOCK_SIZE, heads, size), as the kernel reads them."""

    def arrange(self, chunks: Sequence[Chunk]) -> "Layout":  # type: ignore[override]
        """The layout of a step whose tokens lie in the order of `chunks`; two copies to the device."""
        rows = len(chunks)
        width = max(count_blocks(chunk.end) for chunk in chunks)
        longest = max(chunk.length for chunk in chunks), max(chunk.end for chunk in chunks)
        return Layout.cut(self, *self.upload(chunks, rows, width), rows, longest)

    def reserve(self, rows: int, width: int) -> "Layout":
        """A layout for `rows` sequences of one token each and at most `width` blocks, whose tensors
        stay where they are: `fill` writes into them."""
        numbers = torch.zeros(2 * rows + 1 + rows * width, dtype=torch.int32, device=self.device)
        slots = torch.zeros(rows, dtype=torch.int64, device=self.device)
        return Layout.cut(self, numbers, slots, rows, (1, width * BLOCK_SIZE))

    def fill(self, layout: "Layout", chunks: Sequence[Chunk]) -> None:
        """Makes a reserved layout that of a step; rows without a chunk read and write padding."""
        numbers, slots = self.upload(chunks, len(layout.ends), layout.table.shape[1])
        layout.numbers.copy_(numbers, non_blocking=True)
        layout.slots.copy_(slots, non_blocking=True)

    def upload(
        self, chunks: Sequence[Chunk], rows: int, width: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What Layout.cut takes, for `chunks` and, up to `rows`, rows of one padding token."""
        self.clear([block for chunk in chunks for block in sdpa.list_begun(chunk)])
        missing = rows - len(chunks)
        counts = [*(chunk.length for chunk in chunks), *[1] * missing]
        ends = [*(chunk.end for chunk in chunks), *[1] * missing]
        table = array("i")
        for chunk in chunks:
            table.extend(sdpa.pad_table(chunk, width, self.padding))
        table.extend([self.padding] * (missing * width))
        slots = [slot for chunk in chunks for slot in chunk.slots()]
        slots += [self.padding * BLOCK_SIZE] * missing
        numbers = array("i", [*accumulate(counts, initial=0), *ends]) + table
        return upload(numbers, self.device, torch.int32), upload(slots, self.device)


@dataclass(frozen=True)
class Layout:
    """starts (chunks + 1,): first row of each chunk and the end; ends (chunks,): keys that count;
    table (chunks, blocks); all three are parts of `numbers`. longest: rows of a chunk and keys of
    a sequence, at most."""

    cache: Cache
    numbers: torch.Tensor
    slots: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    table: torch.Tensor
    longest: tuple[int, int]

    @classmethod
    def cut(
        cls,
        cache: Cache,
        numbers: torch.Tensor,
        slots: torch.Tensor,
        chunks: int,
        longest: tuple[int, int],
    ) -> "Layout":
        """Finds the parts of `numbers`, int32."""
        starts, ends, table = numbers.tensor_split([chunks + 1, 2 * chunks + 1])
        return cls(cache, numbers, slots, starts, ends, table.view(chunks, -1), longest)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """See attention.Layout."""
        from torch.nn.attention.varlen import varlen_attn

        self.cache.write(layer, self.slots, key, value)
        pages = self.cache.pages(layer)
        found = varlen_attn(
            query[0, :, : len(self.slots)].transpose(0, 1),
            *pages,
            self.starts,
            None,
            *self.longest,
            scale=scaling,
            window_size=(-1, 0),
            enable_gqa=True,
            seqused_k=self.ends,
            block_table=self.table,
        )
        return sdpa.fill_up(found, query)
