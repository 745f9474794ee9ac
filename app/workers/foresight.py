"""Tells which running batches will not be done in time: an event, once for each."""

import logging
from collections.abc import Sequence

from app import clock
from app.models import batches, events, pace
from app.models.states import BatchState
from app.wire import forecast
from app.wire.rows import Batch
from app.workers.context import Context

_logger = logging.getLogger(__name__)


def run(context: Context) -> None:
    """One look at every batch in progress."""
    hooks = context.settings.webhooks
    endpoints = hooks.endpoints if hooks.signing_secret is not None else None
    for batch in batches.find_unfinished(context.db):
        if batch.status != BatchState.IN_PROGRESS:
            continue
        seen = forecast.foresee(batch, pace.measure(context.db, batch.id), now=clock.earliest())
        if seen.at_risk and _record(context, batch, endpoints):
            extra = {"action": "at_risk", "batch_id": batch.id, "eta_at": seen.eta_at}
            _logger.warning("batch may miss its window", extra=extra)


def _record(context: Context, batch: Batch, endpoints: Sequence[str] | None) -> bool:
    kind = events.AT_RISK
    return events.record(context.db, batch.tenant_id, kind, batch.id, endpoints=endpoints)
