"""Which of several drawn answers is taken: the likeliest of those with the fewest faults."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.coding import checks
from app.coding.answers import Answer

HEAT = 0.8  # temperature of draws, unless the job sets one


@dataclass(frozen=True)
class Draw:
    """One of several answers, and the natural logarithm of its probability."""

    answer: Answer
    likelihood: float = 0.0


def pick(draws: Sequence[Draw]) -> int:
    """The number of the best draw, of equals the most frequent one. Where more than half are no code,
    a refusal for example, it is one of these."""
    times = Counter(draw.answer.text for draw in draws)
    without = [at for at, draw in enumerate(draws) if draw.answer.code is None]
    among = without if 2 * len(without) > len(draws) else range(len(draws))

    def rank(at: int) -> tuple[int, float, int]:
        draw = draws[at]
        return checks.weigh(draw.answer), -draw.likelihood, -times[draw.answer.text]

    return min(among, key=rank)
