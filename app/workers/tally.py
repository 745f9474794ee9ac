"""What one shift did. Flower shows it as the task's result."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """Counts of one shift; `tokens` are generated ones of committed results."""

    claimed: int = 0
    succeeded: int = 0
    failed: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    def as_dict(self) -> dict[str, Any]:
        """The task's result, with the rate over the shift's own time."""
        seconds = time.monotonic() - self.started
        return {
            "claimed": self.claimed,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "tokens": self.tokens,
            "tokens_per_second": round(self.tokens / seconds, 1) if seconds else 0.0,
            "seconds": round(seconds, 3),
        }
