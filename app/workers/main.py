"""The Celery app of a device worker. Importable: the spawned child imports it again.

The parent consumes hints and never touches the device; the child (app.workers.child) does.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from celery import signals

from app import log, queue, settings
from app.errors import SettingsError
from app.models import database
from app.workers import messages, slot
from app.workers.child import Child
from app.workers.context import Context
from app.workers.family import Family
from app.workers.slot import Slot

_PAUSE_SECONDS = 5.0  # the pool starts the next child at once

_logger = logging.getLogger(__name__)
options = settings.load()
app = queue.make_app(
    options.redis.url or "",
    hard_limit_seconds=options.worker.shift_seconds + options.worker.step_timeout_seconds + 60,
    worker_pool_start_method="spawn",  # a forked child cannot use CUDA
)
messages.harden(app)
_children: list[Child] = []
_family = Family()


class _Parent(app.Worker):  # type: ignore[name-defined]  # a class made by the app
    """Celery's worker. Its pool waits for its children, so they hear of every kind of end."""

    def on_start(self) -> None:
        """SIGQUIT stops as SIGTERM does: Celery's own way waits for a loading child first."""
        super().on_start()
        signal.signal(signal.SIGQUIT, signal.getsignal(signal.SIGTERM))

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        """Also called when Celery breaks off without a signal."""
        _family.stop(exitcode or 0)
        super().stop(in_sighandler, exitcode)


def serve(place: Slot, on_stop: Callable[[], None]) -> int:
    """Celery's worker in this process, until it is told to stop; then `on_stop` is called. The exit
    status."""
    worker = _Parent(
        hostname=place.node,
        pool="prefork",
        concurrency=1,
        queues=[queue.model_queue(place.model), queue.slot_queue(place.name)],
        loglevel=options.log_level,
        without_mingle=True,
        without_gossip=True,
    )
    _family.on_stop = on_stop
    _family.start()
    worker.start()
    return int(worker.exitcode or 0)


def current() -> Child:
    """This process's child; tasks run nowhere else."""
    return _children[0]


@app.task(name=queue.SHIFT_TASK)
def shift(model: str, job_ids: list[str]) -> dict[str, Any]:
    """Runs one shift. `job_ids` only tell a reader what caused it: the store knows the rest."""
    return current().run_shift()


@signals.setup_logging.connect
def _set_up_logging(**_kwargs: Any) -> None:
    log.configure(options.log_level)


@signals.worker_process_init.connect
def _start_child(**_kwargs: Any) -> None:
    place = slot.read()
    if place is None:
        raise SettingsError("slot_missing")
    log.configure(options.log_level)
    try:
        _children[:] = [Child(Context(database.connect(options), options, app), place)]
    except Exception:  # Celery would go on without a model and acknowledge what it never ran
        _logger.exception("child cannot start", extra={"action": "start_failed"})
        time.sleep(_PAUSE_SECONDS)
        os._exit(70)


@signals.worker_process_shutdown.connect
def _stop_child(**_kwargs: Any) -> None:
    for child in _children:
        child.leave()


@signals.worker_shutting_down.connect
def _dismiss(how: str, **_kwargs: Any) -> None:
    """Celery tells its child nothing on a warm shutdown; it would wait for the whole shift."""
    _logger.info("%s shutdown", how, extra={"action": "stop"})
    _family.stop()
