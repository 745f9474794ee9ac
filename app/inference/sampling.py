"""Chooses the next token of each row of logits, the same whoever shares the batch.

Tokens race: each gets an exponentially distributed time that depends on the row's seed, the
position and the token's id alone, divided by its probability; the first one home is chosen. So a
token is drawn with its probability, and a rounding error in the logits, which neighbours in the
batch cause, changes the choice only if the first two come in that close. (A cumulative sum,
inverted at one random number, adds up the errors of all tokens before.)

In logarithms this is the Gumbel-max trick: the negative logarithm of an exponential time has Gumbel's
distribution, and the largest of log-probability plus such a number wins (Gumbel 1954, Statistical
Theory of Extreme Values and Some Practical Applications, NBS Applied Mathematics Series 33;
Maddison, Tarlow and Minka 2014, A* Sampling, NIPS 27).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from app.inference import noise, scoring, shaping, transfers
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
_AT_ONCE = 1 << 18  # tokens that race at once on a CPU, so that its cache holds them

Pick = Callable[[torch.Tensor, Sequence[Draw]], torch.Tensor]


@dataclass(frozen=True)
class Choice:
    """The tokens of a step's rows: `tokens` (rows,), int64, on the device, -1 where the model gave NaN
    or Inf. `read` is for the host, and once."""

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
    """A token for each row of `logits` (rows, vocabulary), float32, bfloat16 or float16, which may be
    changed. Greedy rows and log-probabilities are judged in float32, draws in float64; the tokens
    are int64, on the device of the logits."""
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


def _split(draws: Sequence[Draw]) -> tuple[tuple[list[int], Pick], ...]:
    """Rows that sample from every token, and those that cut the unlikely ones off first."""
    warm = [row for row, draw in enumerate(draws) if draw.sampling.temperature > 0]
    cut = [row for row in warm if _cuts(draws[row].sampling)]
    plain = sorted(set(warm) - set(cut))
    return (plain, _pick_plain), (cut, _pick_cut)


def _cuts(sampling: Sampling) -> bool:
    return sampling.top_p < 1 or sampling.top_k > 0 or sampling.min_p > 0


def _pick_plain(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    return _race(_heat(logits, draws), draws)[:, 0]


def _pick_cut(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """top_k first, then top_p over what is left, then min_p, as in Hugging Face's generate.

    Sorting the vocabulary costs more than all else, and the cut nearly always lies among the
    likeliest: those alone are sorted where that provably gives the same."""
    probabilities = _heat(logits, draws).softmax(-1)
    found, ids = _sort_likeliest(probabilities)
    kept = _cut(found, draws)
    tokens = ids.gather(-1, _race(kept.log(), draws, ids))[:, 0]
    if rows := _find_open(kept, found, logits.shape[-1], draws):
        wanted = [draws[row] for row in rows]
        found, ids = probabilities[rows].sort(dim=-1, descending=True, stable=True)
        first = _race(_cut(found, wanted).log(), wanted, ids)
        tokens[rows] = ids.gather(-1, first)[:, 0]
    return tokens


def _sort_likeliest(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens of each row in the order of a stable sort: equals by their ids."""
    ids = probabilities.topk(min(_LIKELIEST, probabilities.shape[-1]), sorted=False).indices
    ids = ids.sort(dim=-1).values
    found, order = probabilities.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    return found, ids.gather(-1, order)


def _cut(probabilities: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Rows of falling probabilities (rows, n) with 0 for what is cut off. Where top_k does not
    limit them, their mass is 1, that of all tokens."""
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


def _find_open(
    kept: torch.Tensor, probabilities: torch.Tensor, vocabulary: int, draws: Sequence[Draw]
) -> list[int]:
    """The rows that keep a token as unlikely as the last one seen: those not seen may be kept
    too, or come before it. And those whose top_p is a part of more tokens than were seen."""
    count = probabilities.shape[-1]
    if count == vocabulary:
        return []
    is_open = ((kept > 0) & (probabilities <= probabilities[:, -1:])).any(-1)
    return [
        row
        for row, (each, draw) in enumerate(zip(is_open.tolist(), draws, strict=True))
        if each or (draw.sampling.top_p < 1 and count < draw.sampling.top_k < vocabulary)
    ]


def _heat(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Logits over temperature, float64; the likeliest token of each row has 0."""
    temperature = _column(logits, [draw.sampling.temperature for draw in draws])
    return (logits - logits.amax(-1, keepdim=True)).double() / temperature


def _race(
    weights: torch.Tensor, draws: Sequence[Draw], ids: torch.Tensor | None = None
) -> torch.Tensor:
    """Where the first one home stands in each row (rows, 1). `weights` (rows, n) are logarithms of
    probabilities up to a constant, -inf for those that do not run; `ids` (rows, n) their tokens, by
    default 0 to n - 1."""
    keys = [noise.make_key(draw.sampling.seed, draw.position) for draw in draws]
    key = transfers.upload(keys, weights.device)[:, None]
    if ids is None:
        ids = torch.arange(weights.shape[-1], device=weights.device)[None]
    is_cpu = weights.device.type == "cpu"
    size = max(1, _AT_ONCE // weights.shape[-1]) if is_cpu else len(weights)
    parts = zip(
        weights.split(size), key.split(size), ids.expand_as(weights).split(size), strict=True
    )
    found = [(part - noise.draw(*at).log_()).argmax(-1, keepdim=True) for part, *at in parts]
    return torch.cat(found)


def _column(like: torch.Tensor, values: Sequence[float]) -> torch.Tensor:
    return transfers.upload(values, like.device, torch.float64)[:, None]
