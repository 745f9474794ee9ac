"""Log-probabilities: of the chosen token, and of the likeliest in its place.

They are those of the model itself: log_softmax of its logits, before bias, penalties, grammar and
temperature, as vLLM gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from app.inference.shaping import Wish


@dataclass(frozen=True)
class Scores:
    """The log-probabilities of the rows that `wishes` name: (wishes, vocabulary), float32."""

    wishes: Sequence[Wish]
    values: torch.Tensor

    def record(self, tokens: Sequence[int]) -> None:
        """Adds a score to each trail; `tokens` are those of all rows, negative where a row has
        none."""
        widest = max(sampling.logprobs or 0 for _, sampling, _ in self.wishes)
        chosen = [tokens[row] for row, _, _ in self.wishes]
        index = torch.tensor(chosen, device=self.values.device).clamp(min=0)
        own = self.values.gather(-1, index[:, None])[:, 0].tolist()
        top = self.values.topk(min(widest, self.values.shape[-1]), dim=-1)
        likeliest, ids = top.values.tolist(), top.indices.tolist()
        for number, (_, sampling, trail) in enumerate(self.wishes):
            if chosen[number] >= 0:
                best = tuple(zip(ids[number], likeliest[number], strict=True))[: sampling.logprobs]
                trail.scores.append((chosen[number], own[number], best))


def measure(logits: torch.Tensor, wishes: Sequence[Wish]) -> Scores | None:
    """What `logits` (rows, vocabulary), float32, say of the rows that ask for it."""
    asked = [wish for wish in wishes if wish[1].logprobs is not None]
    if not asked:
        return None
    rows = torch.tensor([row for row, _, _ in asked], device=logits.device)
    return Scores(asked, logits[rows].log_softmax(-1))
