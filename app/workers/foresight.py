"""Tells which running batches will not be done in time: an event, once for each."""

import logging
import time

from app.models import batches, events, pace
from app.models.states import BatchState
from app.wire import forecast
from app.workers.context import Context

_logger = logging.getLogger(__name__)


def run(context: Context) -> None:
    """One look at every batch in progress."""
    for batch in batches.find_unfinished(context.db):
        if batch.status != BatchState.IN_PROGRESS:
            continue
        seen = forecast.foresee(batch, pace.measure(context.db, batch.id), now=time.time())
        if seen.at_risk and events.record(context.db, batch.tenant_id, events.AT_RISK, batch.id):
            extra = {"action": "at_risk", "batch_id": batch.id, "eta_at": seen.eta_at}
            _logger.warning("batch may miss its window", extra=extra)
