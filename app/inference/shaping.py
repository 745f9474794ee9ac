"""Changes logits before a token is chosen: logit_bias, then the penalties. docs/sampling.md has
the formulas.

Only what is named is touched: the work grows with the distinct tokens of the rows that ask for it,
never with the vocabulary.
"""

from collections.abc import Sequence

import torch

from app.inference.engine import Sampling
from app.inference.trails import Trail

Wish = tuple[int, Sampling, Trail]
"""A row of the logits, and what is asked for it."""


def shape(logits: torch.Tensor, wishes: Sequence[Wish]) -> None:
    """Changes the rows of `logits` (rows, vocabulary), float32, that `wishes` name, in place."""
    if biased := [wish for wish in wishes if wish[1].logit_bias]:
        _bias(logits, biased)
    if penalised := [wish for wish in wishes if wish[1].has_penalties]:
        _penalise(logits, penalised)


def _bias(logits: torch.Tensor, wishes: Sequence[Wish]) -> None:
    entries = [(row, *entry) for row, sampling, _ in wishes for entry in sampling.logit_bias]
    rows, tokens, added = _columns(entries, logits.device)
    index = rows.long(), tokens.long()
    logits[index] += added.to(logits.dtype)


def _penalise(logits: torch.Tensor, wishes: Sequence[Wish]) -> None:
    """Repetition first (over prompt and answer), then frequency and presence (the answer)."""
    sizes = torch.tensor([len(trail.counts) for _, _, trail in wishes], device=logits.device)
    penalties = _columns([_read(sampling) for _, sampling, _ in wishes], logits.device)
    repetition, presence, frequency = penalties.repeat_interleave(sizes, dim=1)
    entries = [(row, *entry) for row, _, trail in wishes for entry in trail.counts.items()]
    rows, tokens, counts = _columns(entries, logits.device)
    index = rows.long(), tokens.long()
    found = logits[index].double()
    found = torch.where(found > 0, found / repetition, found * repetition)
    found -= frequency * counts + presence * (counts > 0)
    logits[index] = found.to(logits.dtype)


def _read(sampling: Sampling) -> tuple[float, float, float]:
    return sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty


def _columns(entries: Sequence[tuple[float, ...]], device: torch.device) -> torch.Tensor:
    """(columns, entries), in numbers that hold every token id exactly."""
    return torch.tensor(entries, dtype=torch.float64, device=device).T
