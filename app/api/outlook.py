"""Batch objects with what OpenAI's have not: pause, lineage, and when they will be done."""

import time
from collections.abc import Sequence
from typing import Any

from app import clock
from app.models import batches as batch_store
from app.models import pace
from app.models.database import Database
from app.models.states import BatchState
from app.wire import forecast, objects
from app.wire.rows import Batch

_FRESH_SECONDS = 1.0  # of a pace, which is that of 500 lines


class Outlook:
    """Shows batches. Measuring a pace reads 500 lines, so it is done once a second for each batch
    that has ended any, however many poll or follow it; everything else is as it is now."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._paces: dict[str, tuple[float, forecast.Pace | None]] = {}

    def show(self, batch: Batch) -> dict[str, Any]:
        """The batch object with its extra fields."""
        return self.show_all([batch])[0]

    def show_all(self, page: Sequence[Batch]) -> list[dict[str, Any]]:
        """The same for a page; only batches in progress cost a query of their own."""
        retries = batch_store.find_retries(self._db, [batch.id for batch in page])
        return [
            {
                **objects.show_batch(batch),
                **self._foresee(batch).show(),
                "retries": retries.get(batch.id, []),
            }
            for batch in page
        ]

    def is_at_risk(self, batch: Batch) -> bool:
        """Whether it will probably not be done before its window closes."""
        return self._foresee(batch).at_risk

    def _foresee(self, batch: Batch) -> forecast.Forecast:
        has_ended = batch.completed + batch.failed > 0  # a line; without any there is no pace
        is_running = batch.status == BatchState.IN_PROGRESS
        measured = self._find_pace(batch.id) if is_running and has_ended else None
        return forecast.foresee(batch, measured, now=clock.earliest())

    def _find_pace(self, batch_id: str) -> forecast.Pace | None:
        now = time.monotonic()
        measured_at, known = self._paces.get(batch_id, (now - _FRESH_SECONDS, None))
        if now - measured_at < _FRESH_SECONDS:
            return known
        measured = pace.measure(self._db, batch_id)
        fresh = {
            name: it for name, it in self._paces.copy().items() if now - it[0] < _FRESH_SECONDS
        }
        self._paces = fresh | {batch_id: (now, measured)}
        return measured
