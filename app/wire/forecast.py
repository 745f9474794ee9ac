"""When a batch will be done and whether that is in time, from the pace of its lines so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

from app.wire.rows import Batch

_RUNNING = ("validating", "in_progress")
_BLIND_SHARE = 0.9  # of the window; a batch that has ended no line by then is at risk


@dataclass(frozen=True)
class Pace:
    """Lines that ended, the tokens computed for them (prompt tokens from the cache are not), and
    when the stretch began in which they did, in Unix seconds."""

    lines: int
    tokens: int
    began_at: float


@dataclass(frozen=True)
class Forecast:
    """Rates are per second over the latest lines; None where nothing is known yet."""

    eta_at: float | None = None
    at_risk: bool = False
    lines_per_second: float | None = None
    tokens_per_second: float | None = None
    remaining_tokens: int | None = None

    def show(self) -> dict[str, Any]:
        """Extra fields of the batch object."""
        return {
            "eta_at": None if self.eta_at is None else int(self.eta_at),
            "at_risk": self.at_risk,
            "lines_per_second": _round(self.lines_per_second),
            "tokens_per_second": _round(self.tokens_per_second),
            "remaining_tokens": self.remaining_tokens,
        }


def _round(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 3)


def foresee(batch: Batch, pace: Pace | None, *, now: float) -> Forecast:
    """What is left, in tokens at the batch's own average a line, over the pace of its latest lines:
    a stretch of long lines is slow in lines, not in tokens, and moves the end but little."""
    if batch.status not in _RUNNING:
        return Forecast()
    ended = batch.completed + batch.failed
    ran = ended - batch.unrun  # what was refused cost nothing, and says nothing of what is left
    if pace is None or ran <= 0:
        return Forecast(at_risk=_is_late(batch, now))
    seconds = max(now - pace.began_at, 0.001)
    computed = batch.output_tokens - batch.reused_tokens
    tokens = batch.input_tokens - batch.cached_tokens + computed
    left = batch.total - ended
    remaining = round(left * tokens / ran)
    rate = pace.tokens / seconds
    needed = remaining / rate if rate else left * seconds / pace.lines
    eta_at = now + needed
    return Forecast(
        eta_at=None if batch.paused_at else eta_at,
        at_risk=eta_at > batch.expires_at,
        lines_per_second=pace.lines / seconds,
        tokens_per_second=rate,
        remaining_tokens=remaining,
    )


def _is_late(batch: Batch, now: float) -> bool:
    window = batch.expires_at - batch.created_at
    return now - batch.created_at > _BLIND_SHARE * window


Span = tuple[str, float, float]
"""A slot, and from when to when a job of it ran."""


@dataclass(frozen=True)
class Throughput:
    """Tokens computed per second of a busy device, and the tokens an answer had on average."""

    tokens_per_second: float
    mean_answer: float

    @classmethod
    def over(cls, spans: Sequence[Span], tokens: int, answered: int) -> Self | None:
        """None where nothing was done, or in no time."""
        busy = measure_busy(spans)
        if not spans or busy <= 0:
            return None
        return cls(tokens / busy, answered / len(spans))


def measure_busy(spans: Sequence[Span]) -> float:
    """Seconds in which a device ran any of these jobs, summed over the devices."""
    busy = 0.0
    for _, jobs in groupby(sorted(spans), key=lambda span: span[0]):
        until = float("-inf")
        for _, began, ended in jobs:
            busy += max(0.0, ended - max(began, until))
            until = max(until, ended)
    return busy
