"""Runs the model over the chunks of a step and chooses the next tokens."""

import logging
from collections.abc import Sequence

import torch

from app.inference import attention, sampling
from app.inference.sequences import Chunk

logger = logging.getLogger(__name__)

_FEW = 64  # tokens; the waste must stay small below it

Outcome = int | str | None
"""Of a chunk: the chosen token, the code of its failure, or None while more chunks follow."""


class Runner:
    """A model with its cache, on one device."""

    def __init__(self, model: torch.nn.Module, cache: attention.Cache) -> None:
        self._model = model
        self._cache = cache
        self._device = model.device

    def run(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, Outcome]]:
        """The outcome of each chunk. When a forward pass fails, its chunks are run again by
        halves, so that only one which fails alone is lost; a broken device is raised."""
        try:
            return self._forward(sorted(chunks, key=_rank))
        except torch.AcceleratorError:
            raise
        except (RuntimeError, MemoryError, ValueError, IndexError) as error:
            logger.warning("forward failed", extra={"chunks": len(chunks)}, exc_info=error)
            code = "out_of_memory" if _is_out_of_memory(error) else "engine_failed"
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(chunks) == 1:
            return [(chunks[0], code)]
        middle = len(chunks) // 2
        return self.run(chunks[:middle]) + self.run(chunks[middle:])

    @torch.inference_mode()
    def _forward(self, chunks: Sequence[Chunk]) -> list[tuple[Chunk, Outcome]]:
        hidden = self._model.model(
            input_ids=self._row([_ids(chunk) for chunk in chunks]),
            position_ids=self._row([range(chunk.start, chunk.end) for chunk in chunks]),
            use_cache=False,
            layout=self._cache.arrange(chunks),
        ).last_hidden_state[0]
        return list(zip(chunks, self._choose(chunks, hidden), strict=True))

    def _row(self, parts: Sequence[Sequence[int]]) -> torch.Tensor:
        numbers = [x for part in parts for x in part]
        numbers += [0] * (round_up(len(numbers)) - len(numbers))
        return torch.tensor([numbers], device=self._device)

    def _choose(self, chunks: Sequence[Chunk], hidden: torch.Tensor) -> list[Outcome]:
        """Logits are made for the last row of each sequence's last chunk only."""
        outcomes: list[Outcome] = [None] * len(chunks)
        last = [number for number, chunk in enumerate(chunks) if chunk.is_last]
        if last:
            rows = torch.tensor([chunk.length for chunk in chunks]).cumsum(0) - 1
            logits = self._model.lm_head(hidden[rows[last].to(hidden.device)])
            tokens = sampling.choose(logits, [_draw(chunks[number]) for number in last])
            for number, token in zip(last, tokens, strict=True):
                outcomes[number] = token
        return outcomes


def round_up(tokens: int) -> int:
    """The rows of a step: a few sizes, since oneDNN keeps code for each that it has met, some
    100 KiB and milliseconds of making. Rows beyond the tokens belong to nobody."""
    unit = 4 if tokens <= _FEW else 16
    return -(-tokens // unit) * unit


def _rank(chunk: Chunk) -> tuple[bool, int]:
    """Chunks of one token first, the shorter contexts before the longer."""
    return chunk.length > 1, chunk.end


def _ids(chunk: Chunk) -> list[int]:
    return chunk.sequence.tokens[chunk.start : chunk.end]


def _draw(chunk: Chunk) -> sampling.Draw:
    sequence = chunk.sequence
    return sampling.Draw(sequence.request.sampling, sequence.num_generated, sequence.trail)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "allocate memory" in str(error)
    )
