"""How near the queue is to its cap, counted once a second instead of with every submission."""

import time

from app.models import room
from app.models.database import Database

COUNT_SECONDS = 1.0
_MARGIN = 1000  # more than others can add within a second; at least a tenth of the cap


class Backlog:
    """Says when a submission must be counted exactly; far below the cap it need not be."""

    def __init__(self, db: Database, cap: int) -> None:
        self._db = db
        self._cap = cap
        self._near = cap - max(_MARGIN, cap // 10)
        self._count = 0
        self._counted_at: float | None = None

    def find_cap(self) -> int | None:
        """The cap to check this submission against; None while the queue is far below it."""
        if self._near <= 0:
            return self._cap
        now = time.monotonic()
        if self._counted_at is None or now - self._counted_at >= COUNT_SECONDS:
            self._counted_at = now
            self._count = room.count_queued(self._db, self._cap)
        self._count += 1
        return self._cap if self._count >= self._near else None
