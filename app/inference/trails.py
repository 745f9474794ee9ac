"""What sampling must remember of a sequence beyond its tokens; most sequences need no trail."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.inference.engine import Sampling
from app.inference.guided import Matcher
from app.inference.spelling import Score


@dataclass(slots=True, eq=False)
class Trail:
    """`counts` says how often each token was generated; those of the prompt are in it with 0."""

    counts: dict[int, int] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    matcher: Matcher | None = None  # of a guided sequence

    def add(self, token: int) -> bool:
        """Notes a generated token; whether the text is complete with it."""
        self.counts[token] = self.counts.get(token, 0) + 1
        return self.matcher is not None and self.matcher.accept(token)


def start(sampling: Sampling, prompt: Sequence[int]) -> Trail | None:
    """The trail of a new sequence, if its parameters need one."""
    if sampling.has_penalties:
        return Trail(dict.fromkeys(prompt, 0))
    needs_one = sampling.logit_bias or sampling.logprobs is not None or sampling.guided
    return Trail() if needs_one else None
