"""Runs the model over the chunks of a step and chooses the next tokens."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch

from app.errors import StepTimeout
from app.inference import attention, graphs, sampling
from app.inference.sequences import UNKNOWN, Chunk
from app.inference.sequences import Sequence as Sequence_
from app.inference.transfers import upload

logger = logging.getLogger(__name__)

_FEW = 64  # tokens; the waste must stay small below it


@dataclass(frozen=True)
class Part:
    """One forward pass: the chunks after which a token is chosen, and the choice."""

    chunks: Sequence[Chunk]
    choice: sampling.Choice | None = None  # if there are any


@dataclass(frozen=True)
class Flight:
    """A step that the device was given: its chunks, and what will come of them. `failed` are chunks
    that were not computed, with the code of the failure."""

    parts: list[Part] = field(default_factory=list)
    failed: list[tuple[Chunk, str]] = field(default_factory=list)

    @property
    def chosen(self) -> list[Chunk]:
        """The chunks after which a token is chosen."""
        return [chunk for part in self.parts for chunk in part.chunks]

    def read(self) -> Iterator[tuple[Chunk, int | str]]:
        """The token after each of `chosen`, or the code of its failure. Waits for the device."""
        for part in self.parts:
            yield from zip(part.chunks, part.choice.read() if part.choice else (), strict=True)

    def find(self, sequences: Sequence[Sequence_]) -> torch.Tensor:
        """The tokens chosen for `sequences`, still on the device."""
        rows = {chunk.sequence: row for row, chunk in enumerate(self.chosen)}
        tokens = torch.cat([part.choice.tokens for part in self.parts if part.choice])
        wanted = upload([rows[sequence] for sequence in sequences], tokens.device)
        return tokens[wanted].clamp(min=0)  # of a failed one any id will do: nobody reads on


class Runner:
    """A model with its cache, on one device."""

    def __init__(
        self, model: torch.nn.Module, cache: attention.Cache, *, records: bool = True
    ) -> None:
        self._model = model
        self._cache = cache
        self._device = model.device
        self._graphs = graphs.build(model, cache) if records else None

    def launch(self, chunks: Sequence[Chunk], before: Flight | None = None) -> Flight:
        """Gives the device a step. The UNKNOWN tokens of `chunks` are those that `before` chooses.
        When a forward pass fails, its chunks are run again by halves, so that only one which fails
        alone is lost; a broken device is raised."""
        flight = Flight()
        self._launch(sorted(chunks, key=_rank), before, flight)
        return flight

    def _launch(self, chunks: Sequence[Chunk], before: Flight | None, flight: Flight) -> None:
        try:
            flight.parts.append(self._forward(chunks, before))
        except (torch.AcceleratorError, StepTimeout):
            raise
        except Exception as error:
            logger.warning("forward failed", extra={"chunks": len(chunks)}, exc_info=error)
            code = "out_of_memory" if _is_out_of_memory(error) else "engine_failed"
        else:
            return
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if len(chunks) == 1:
            flight.failed.append((chunks[0], code))
            return
        middle = len(chunks) // 2
        self._launch(chunks[:middle], before, flight)
        self._launch(chunks[middle:], before, flight)

    @torch.inference_mode()
    def _forward(self, chunks: Sequence[Chunk], before: Flight | None) -> Part:
        ids = self._row([_ids(chunk) for chunk in chunks])
        self._fill_unknown(ids, chunks, before)
        positions = self._row([range(chunk.start, chunk.end) for chunk in chunks])
        hidden = self._graphs.run(ids, positions, chunks) if self._graphs else None
        if hidden is None:
            hidden = self._model.model(
                input_ids=ids,
                position_ids=positions,
                use_cache=False,
                layout=self._cache.arrange(chunks),
            ).last_hidden_state
        return self._choose(chunks, hidden[0])

    def _row(self, parts: Sequence[Sequence[int]]) -> torch.Tensor:
        numbers = [x for part in parts for x in part]
        numbers += [0] * (round_up(len(numbers)) - len(numbers))
        return upload(numbers, self._device)[None]

    def _fill_unknown(
        self, ids: torch.Tensor, chunks: Sequence[Chunk], before: Flight | None
    ) -> None:
        """Puts the tokens of the step before in their places without looking at them."""
        unknown = [
            (row, chunk.sequence)
            for row, chunk in zip(_list_last(chunks), chunks, strict=True)
            if chunk.sequence.tokens[chunk.end - 1] == UNKNOWN
        ]
        if unknown and before:
            rows, sequences = zip(*unknown, strict=True)
            ids[0, upload(rows, self._device)] = before.find(sequences)

    def _choose(self, chunks: Sequence[Chunk], hidden: torch.Tensor) -> Part:
        """Logits are made for the last row of each sequence's last chunk only."""
        ends = zip(_list_last(chunks), chunks, strict=True)
        if not (last := [(row, chunk) for row, chunk in ends if chunk.is_last]):
            return Part([])
        rows, chosen = zip(*last, strict=True)
        logits = self._model.lm_head(hidden[upload(rows, self._device)])
        return Part(chosen, sampling.choose(logits, [_draw(chunk) for chunk in chosen]))


def round_up(tokens: int) -> int:
    """The rows of a step: a few sizes, since oneDNN keeps code for each that it has met, some
    100 KiB and milliseconds of making. Rows beyond the tokens belong to nobody."""
    unit = 4 if tokens <= _FEW else 16
    return -(-tokens // unit) * unit


def _rank(chunk: Chunk) -> tuple[bool, int]:
    """Chunks of one token first, the shorter contexts before the longer."""
    return chunk.length > 1, chunk.end


def _ids(chunk: Chunk) -> list[int]:
    return [max(token, 0) for token in chunk.sequence.tokens[chunk.start : chunk.end]]


def _list_last(chunks: Sequence[Chunk]) -> list[int]:
    """The row of each chunk's last token."""
    return [end - 1 for end in accumulate(chunk.length for chunk in chunks)]


def _draw(chunk: Chunk) -> sampling.Draw:
    sequence = chunk.sequence
    return sampling.Draw(sequence.request.sampling, sequence.num_generated, sequence.trail)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "allocate memory" in str(error)
    )
