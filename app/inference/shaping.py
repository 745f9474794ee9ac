"""Changes logits before a token is chosen: logit_bias, the penalties, the mask of a guide, in this
order. docs/sampling.md has the formulas.

Bias and penalties touch only the tokens that they name: their work grows with the distinct tokens of
the rows that ask for it, never with the vocabulary. A mask costs one pass over its row.
"""

from collections.abc import Mapping, Sequence

import torch

from app.inference.engine import Sampling
from app.inference.guided import Matcher, count_words
from app.inference.trails import Trail

Wish = tuple[int, Sampling, Trail]
"""A row of the logits, and what is asked for it."""


def shape(logits: torch.Tensor, wishes: Sequence[Wish]) -> list[int]:
    """Changes the rows of `logits` (rows, vocabulary), float32, that `wishes` name, in place.
    Returns the rows whose grammar allows no token."""
    if biased := [wish for wish in wishes if wish[1].logit_bias]:
        _bias(logits, biased)
    if penalised := [wish for wish in wishes if wish[1].has_penalties]:
        _penalise(logits, penalised)
    matchers = {row: trail.matcher for row, _, trail in wishes if trail.matcher}
    return _mask(logits, matchers) if matchers else []


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


def _mask(logits: torch.Tensor, matchers: Mapping[int, Matcher]) -> list[int]:
    """A bit for each token: the grammars write them on the CPU, and they are spread on the device."""
    size = len(matchers), count_words(logits.shape[-1])
    bits = torch.zeros(size, dtype=torch.int32)
    fine = [
        matcher.fill(part.data_ptr(), part.nbytes)
        for matcher, part in zip(matchers.values(), bits, strict=True)
    ]
    ones = 1 << torch.arange(8, dtype=torch.uint8, device=logits.device)
    spread = bits.view(torch.uint8).to(logits.device)[..., None] & ones
    allowed = spread.flatten(1)[:, : logits.shape[-1]] != 0
    rows = torch.tensor(list(matchers), device=logits.device)
    logits[rows] = logits[rows].masked_fill(~allowed, -torch.inf)
    usable = allowed.any(-1).tolist()
    return [row for row, *good in zip(matchers, fine, usable, strict=True) if not all(good)]


def _read(sampling: Sampling) -> tuple[float, float, float]:
    return sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty


def _columns(entries: Sequence[tuple[float, ...]], device: torch.device) -> torch.Tensor:
    """(columns, entries), in numbers that hold every token id exactly."""
    return torch.tensor(entries, dtype=torch.float64, device=device).T
