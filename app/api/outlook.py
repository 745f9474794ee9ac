"""Batch objects with what OpenAI's have not: pause, lineage, and when they will be done."""

import time
from collections.abc import Sequence
from typing import Any

from app.models import batches as batch_store
from app.models import pace
from app.models.database import Database
from app.models.states import BatchState
from app.wire import forecast, objects
from app.wire.rows import Batch


def show(db: Database, batch: Batch) -> dict[str, Any]:
    """The batch object with its extra fields."""
    return show_all(db, [batch])[0]


def show_all(db: Database, page: Sequence[Batch]) -> list[dict[str, Any]]:
    """The same for a page; only batches in progress cost a query of their own."""
    retries = batch_store.find_retries(db, [batch.id for batch in page])
    return [
        {
            **objects.show_batch(batch),
            **_foresee(db, batch).show(),
            "retries": retries.get(batch.id, []),
        }
        for batch in page
    ]


def _foresee(db: Database, batch: Batch) -> forecast.Forecast:
    is_running = batch.status == BatchState.IN_PROGRESS
    measured = pace.measure(db, batch.id) if is_running else None
    return forecast.foresee(batch, measured, now=time.time())
