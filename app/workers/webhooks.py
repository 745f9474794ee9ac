"""Tells the world what has ended: a loop in the control process over rows of the store.

Several may run, and each may die at any point: a delivery is tried again until somebody took it
(at least once), or until its attempts are spent.
"""

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import standardwebhooks

from app import clock, locales
from app.errors import AutoglmError, Unavailable
from app.models import deliveries
from app.models.keys import DEFAULT_TENANT
from app.settings.schema import Webhooks
from app.wire import callbacks
from app.wire.rows import Delivery
from app.workers.context import Context
from app.workers.outlet import Outlet

_LOOK_SECONDS = 1.0
_AT_ONCE = 8
_GROWTH = 4.0
_LONGEST_PAUSE_SECONDS = 3600.0
_FORGET_SECONDS = 600.0
_DAY_SECONDS = 86_400
_logger = logging.getLogger(__name__)


class Messenger:
    """`outlet` sends; everything it needs to know is in the rows."""

    def __init__(self, context: Context, outlet: Outlet | None = None) -> None:
        self._context = context
        self._options: Webhooks = context.settings.webhooks
        self._outlet = outlet or Outlet(self._options)
        self._forgot_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set."""
        with ThreadPoolExecutor(_AT_ONCE, "webhook") as pool:
            while not stop.is_set():
                self._attempt(lambda: self.work(pool))
                stop.wait(_LOOK_SECONDS)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Unavailable as error:
            _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
        except Exception:  # the loop must outlive any one fault
            _logger.exception("webhooks", extra={"action": "webhooks_failed"})

    def work(self, pool: ThreadPoolExecutor) -> int:
        """Announces what has ended and delivers what is due; returns how many were tried."""
        db, is_on = self._context.db, self._options.signing_secret is not None
        deliveries.announce(db, self._options.endpoints, is_on=is_on)
        self._forget()
        if not is_on:
            return 0
        busy = 3 * self._options.timeout_seconds + 30
        due = deliveries.take_due(db, limit=_AT_ONCE, busy_seconds=busy)
        list(pool.map(self._deliver, due))
        return len(due)

    def _forget(self) -> None:
        now = time.monotonic()
        if now - self._forgot_at >= _FORGET_SECONDS:
            self._forgot_at = now
            before = clock.earliest() - self._context.settings.retention.days * _DAY_SECONDS
            deliveries.forget(self._context.db, before=before)

    def _deliver(self, delivery: Delivery) -> None:
        status_code, reason = self._send(delivery)
        is_taken = status_code is not None and 200 <= status_code < 300
        extra = {"action": "webhook", "object_id": delivery.object_id, "type": delivery.type}
        _logger.info("webhook %s", status_code or reason, extra=extra)
        is_spent = delivery.attempts >= self._options.max_attempts
        open_state = deliveries.FAILED if is_spent else deliveries.PENDING
        deliveries.record(
            self._context.db,
            delivery,
            state=deliveries.DELIVERED if is_taken else open_state,
            status_code=status_code,
            reason=reason,
            next_at=None if is_taken or is_spent else time.time() + self._pause(delivery),
        )

    def _pause(self, delivery: Delivery) -> float:
        """Seconds until the next attempt: four times as long each time."""
        first = self._options.first_pause_seconds
        return float(min(first * _GROWTH ** (delivery.attempts - 1), _LONGEST_PAUSE_SECONDS))

    def _send(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """The status code, or why there is none; never more of the answer."""
        content = make_body(delivery)
        try:
            headers = self._sign(delivery, content)
            return self._outlet.post(delivery.url, content.encode(), headers), None
        except AutoglmError as error:
            return None, locales.explain(error, "en-US")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return None, _describe(error)

    def _sign(self, delivery: Delivery, content: str) -> dict[str, str]:
        """Standard Webhooks' headers. https://www.standardwebhooks.com"""
        now = datetime.now(UTC)
        tenant_id = DEFAULT_TENANT if delivery.is_general else delivery.tenant_id
        secret = callbacks.derive_secret(
            self._options.signing_secret or "", tenant_id, DEFAULT_TENANT
        )
        return {
            "content-type": "application/json",
            "user-agent": "autoglm-webhooks",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": standardwebhooks.Webhook(secret).sign(delivery.id, now, content),
        }


def _describe(error: Exception) -> str:
    """The kind of error and what the system says of it: no path and no address, tenants read it."""
    said = getattr(error, "strerror", None)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def make_body(delivery: Delivery) -> str:
    """OpenAI's event; the same bytes at each attempt."""
    event = {
        "id": delivery.id,
        "object": "event",
        "created_at": int(delivery.created_at),
        "type": delivery.type,
        "data": {"id": callbacks.name_object(delivery.type, delivery.object_id)},
    }
    return json.dumps(event)
