"""CUDA graphs for steps in which every sequence decodes one token.

Such a step is hundreds of short kernels whose launches take the host longer than they take the
device. A graph is recorded once for a number of rows and of blocks per sequence, over tensors that
stay where they are, and is replayed with a single launch. **Has not run on a GPU yet.**
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from app.inference import attention, varlen
from app.inference.blocks import count_blocks
from app.inference.sequences import Chunk

logger = logging.getLogger(__name__)

MAX_ROWS = 256  # more rows keep the device busy without
_WIDTHS = 4  # the number of blocks per sequence is rounded up to a power of this
_TOLERANCE = 1e-2  # of the hidden states' norm: other kernels for other sizes round otherwise
_FEW = 8  # rows: 1, 2, 4, 8, then in eights

Pass = Callable[[], torch.Tensor]
"""A forward pass over tensors that stay where they are; gives the same tensor each time."""

Record = Callable[[Pass], Pass]


@dataclass(frozen=True)
class Graph:
    """The tensors that a recorded pass reads, ids and positions each (1, rows), and its replay."""

    ids: torch.Tensor
    positions: torch.Tensor
    layout: varlen.Layout
    replay: Pass


class Graphs:
    """The recorded passes of one model; recorded when first needed, by `record`."""

    def __init__(self, model: torch.nn.Module, cache: varlen.Cache, record: Record) -> None:
        self._model = model
        self._cache = cache
        self._record = record
        self._known: dict[tuple[int, int], Graph | None] = {}

    def run(
        self, ids: torch.Tensor, positions: torch.Tensor, chunks: Sequence[Chunk]
    ) -> torch.Tensor | None:
        """The last hidden states (1, rows, width) of a step, or None where no graph serves it.
        The next run of as many rows overwrites them; rows beyond the chunks mean nothing."""
        if len(chunks) > MAX_ROWS or any(chunk.length > 1 for chunk in chunks):
            return None
        widest = max(count_blocks(chunk.end) for chunk in chunks)
        size = round_rows(len(chunks)), round_width(widest)
        if size not in self._known:
            return self._begin(size, ids, positions, chunks)
        graph = self._known[size]
        return self._replay(graph, ids, positions, chunks) if graph else None

    def _begin(
        self,
        size: tuple[int, int],
        ids: torch.Tensor,
        positions: torch.Tensor,
        chunks: Sequence[Chunk],
    ) -> torch.Tensor | None:
        """Records a graph, and keeps it only if it answers its first step as a plain pass does."""
        self._known[size] = graph = self._try(*size)
        if graph is None:
            return None
        expected = self._run(ids, positions, self._cache.arrange(chunks))
        found = self._replay(graph, ids, positions, chunks)
        if not _is_near(found[:, : len(chunks)], expected[:, : len(chunks)]):
            logger.warning("the graph differs", extra={"rows": size[0], "width": size[1]})
            self._known[size] = None
        return expected

    def _replay(
        self, graph: Graph, ids: torch.Tensor, positions: torch.Tensor, chunks: Sequence[Chunk]
    ) -> torch.Tensor:
        self._cache.fill(graph.layout, chunks)
        for kept, new in ((graph.ids, ids), (graph.positions, positions)):
            kept[:, : len(chunks)].copy_(new[:, : len(chunks)])
        return graph.replay()

    def _try(self, rows: int, width: int) -> Graph | None:
        """A graph, or None where the device cannot record one, for lack of memory or otherwise."""
        try:
            return self._make(rows, width)
        except torch.AcceleratorError:
            raise
        except RuntimeError as error:
            logger.warning("no graph", extra={"rows": rows, "width": width}, exc_info=error)
            return None

    def _make(self, rows: int, width: int) -> Graph:
        ids, positions = torch.zeros(2, 1, rows, dtype=torch.int64, device=self._cache.device)
        layout = self._cache.reserve(rows, width)
        self._cache.fill(layout, [])

        replay = self._record(lambda: self._run(ids, positions, layout))
        return Graph(ids, positions, layout, replay)

    def _run(
        self, ids: torch.Tensor, positions: torch.Tensor, layout: varlen.Layout
    ) -> torch.Tensor:
        made = self._model.model(
            input_ids=ids, position_ids=positions, use_cache=False, layout=layout
        )
        hidden: torch.Tensor = made.last_hidden_state
        return hidden


def build(model: torch.nn.Module, cache: attention.Cache) -> Graphs | None:
    """Graphs for a model on CUDA whose attention can be recorded: without gathering or masks."""
    if isinstance(cache, varlen.Cache) and cache.device.type == "cuda":
        return Graphs(model, cache, record)
    return None


def record(run: Pass) -> Pass:
    """Records a pass on the current device. The first run, outside of the graph, lets kernels and
    libraries make what they keep; CUDA wants it on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_share_pool()):
        out = run()

    def replay() -> torch.Tensor:
        graph.replay()
        return out

    return replay


_pools: list[tuple[int, int]] = []  # of this process: graphs never run at once and may share memory


def _share_pool() -> tuple[int, int]:
    if not _pools:
        _pools.append(torch.cuda.graph_pool_handle())
    return _pools[0]


def _is_near(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two passes differ by no more than rounding; waits for the device."""
    return bool((found - expected).norm() <= _TOLERANCE * expected.norm())


def round_rows(rows: int) -> int:
    """1, 2, 4, 8, 16, 24, ...: few graphs, little wasted."""
    if rows <= _FEW:
        return 1 << (rows - 1).bit_length()
    return -(-rows // _FEW) * _FEW


def round_width(blocks: int) -> int:
    """16, 64, 256, 1024, ... blocks: the table is copied whole, and the kernel is told the most."""
    width = _WIDTHS**2
    while width < blocks:
        width *= _WIDTHS
    return width
