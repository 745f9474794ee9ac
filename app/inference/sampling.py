"""Chooses the next token of each row of logits, the same whoever shares the batch.

A row's random number depends on its seed and the token's position alone; the token is found by
inverting the distribution's cumulative sum at that number.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from app.inference import scoring, shaping, transfers
from app.inference.engine import Sampling
from app.inference.trails import Trail


@dataclass(frozen=True, slots=True)
class Draw:
    """How to choose the token at `position` (tokens generated before it). The trail is there if
    trails.start gave one."""

    sampling: Sampling
    position: int
    trail: Trail | None = None


_LIKELIEST = 1024  # tokens that are looked at before a whole vocabulary is

Pick = Callable[[torch.Tensor, Sequence[Draw]], torch.Tensor]


@dataclass(frozen=True)
class Choice:
    """The tokens of a step's rows: `tokens` (rows,) on the device, -1 where the model gave NaN or
    Inf. `read` is for the host, and once."""

    tokens: torch.Tensor
    copy: transfers.Download
    scores: scoring.Scores | None
    stuck: Sequence[int]

    def read(self) -> list[int | str]:
        """A token for each row, or the code `numerical` where there is none, `grammar_failed`
        where a guide allowed none. Scores go to the trails of draws that ask for them."""
        tokens = self.copy.read()
        if self.scores:
            self.scores.record(tokens)
        answers = ["numerical" if token < 0 else token for token in tokens]
        return (
            ["grammar_failed" if row in self.stuck else each for row, each in enumerate(answers)]
            if self.stuck
            else answers
        )


def choose(logits: torch.Tensor, draws: Sequence[Draw]) -> Choice:
    """A token for each row of `logits` (rows, vocabulary), which may be changed."""
    logits = logits.float()
    is_finite = logits.sum(-1).isfinite()
    wishes = [(row, each.sampling, each.trail) for row, each in enumerate(draws) if each.trail]
    scores = scoring.measure(logits, wishes) if wishes else None
    stuck = shaping.shape(logits, wishes) if wishes else []
    tokens = logits.argmax(-1)
    for rows, pick in _split(draws):
        if rows:
            index = transfers.upload(rows, logits.device)
            tokens[index] = pick(logits[index], [draws[row] for row in rows])
    tokens = torch.where(is_finite, tokens, -1)
    return Choice(tokens, transfers.Download(tokens), scores, stuck)


def draw_uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits, a function of its arguments alone."""
    digest = hashlib.blake2b(b"%d:%d" % (seed, position), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def _split(draws: Sequence[Draw]) -> tuple[tuple[list[int], Pick], ...]:
    """Rows that sample from every token, and those that cut the unlikely ones off first."""
    warm = [row for row, draw in enumerate(draws) if draw.sampling.temperature > 0]
    cut = [row for row in warm if _cuts(draws[row].sampling)]
    plain = sorted(set(warm) - set(cut))
    return (plain, _pick_plain), (cut, _pick_cut)


def _cuts(sampling: Sampling) -> bool:
    return sampling.top_p < 1 or sampling.top_k > 0 or sampling.min_p > 0


def _pick_plain(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    return _invert(_soften(logits, draws), draws)


def _pick_cut(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """top_k first, then top_p over what is left, then min_p, as in Hugging Face's generate.

    Sorting the vocabulary costs more than all else, and the cut nearly always lies among the
    likeliest: those alone are sorted where that provably gives the same."""
    probabilities = _soften(logits, draws)
    likeliest = _sort_likeliest(probabilities)
    kept = _cut(likeliest[0], draws)
    tokens = likeliest[1].gather(-1, _invert(kept, draws)[:, None])[:, 0]
    if rows := _find_open(kept, likeliest[0], logits.shape[-1]):
        wanted = [draws[row] for row in rows]
        found, order = probabilities[rows].sort(dim=-1, descending=True, stable=True)
        number = _invert(_cut(found, wanted), wanted)
        tokens[rows] = order.gather(-1, number[:, None])[:, 0]
    return tokens


def _sort_likeliest(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens of each row in the order of a stable sort: equals by their ids."""
    ids = probabilities.topk(min(_LIKELIEST, probabilities.shape[-1]), sorted=False).indices
    ids = ids.sort(dim=-1).values
    found, order = probabilities.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    return found, ids.gather(-1, order)


def _cut(probabilities: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Rows of falling probabilities (rows, n) with 0 for what is cut off. Where top_k does not
    limit them, the mass of all tokens is 1."""
    count = probabilities.shape[-1]
    top_k = _column(probabilities, [draw.sampling.top_k or math.inf for draw in draws])
    top_p = _column(probabilities, [draw.sampling.top_p for draw in draws])
    min_p = _column(probabilities, [draw.sampling.min_p for draw in draws])
    rank = torch.arange(count, device=probabilities.device)
    kept = probabilities.masked_fill(rank >= top_k, 0.0)
    mass = kept.sum(-1, keepdim=True).masked_fill(top_k > count, 1.0)
    before = kept.cumsum(-1) - kept
    is_rare = (before >= top_p * mass) | (probabilities < min_p * probabilities[:, :1])
    return kept.masked_fill(is_rare, 0.0)


def _find_open(kept: torch.Tensor, probabilities: torch.Tensor, vocabulary: int) -> list[int]:
    """The rows that keep a token as unlikely as the last one seen: those not seen may be kept
    too, or come before it."""
    if probabilities.shape[-1] == vocabulary:
        return []
    is_open = ((kept > 0) & (probabilities <= probabilities[:, -1:])).any(-1)
    return [row for row, each in enumerate(is_open.tolist()) if each]


def _soften(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    temperature = _column(logits, [draw.sampling.temperature for draw in draws])
    shifted = (logits - logits.amax(-1, keepdim=True)).double() / temperature
    return shifted.softmax(-1)


def _invert(probabilities: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """The first index whose cumulative sum exceeds the row's uniform number."""
    sums = probabilities.cumsum(-1, dtype=torch.float64)
    uniform = _column(sums, [draw_uniform(d.sampling.seed, d.position) for d in draws])
    found = torch.searchsorted(sums, uniform * sums[:, -1:], right=True)[:, 0]
    return found.clamp(max=probabilities.shape[-1] - 1)


def _column(like: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    return transfers.upload(values, like.device, torch.float64)[:, None]
