"""What sampling must remember of a sequence beyond its tokens; most sequences need no trail."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.inference.engine import Sampling

Score = tuple[int, float, tuple[tuple[int, float], ...]]
"""A chosen token, its log-probability, and the likeliest (token, log-probability), best first."""


@dataclass(slots=True, eq=False)
class Trail:
    """`counts` says how often each token was generated; those of the prompt are in it with 0."""

    counts: dict[int, int] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)

    def add(self, token: int) -> None:
        """Notes a generated token."""
        self.counts[token] = self.counts.get(token, 0) + 1


def start(sampling: Sampling, prompt: Sequence[int]) -> Trail | None:
    """The trail of a new sequence, if its parameters need one."""
    if sampling.has_penalties:
        return Trail(dict.fromkeys(prompt, 0))
    return Trail() if sampling.logit_bias or sampling.logprobs is not None else None
