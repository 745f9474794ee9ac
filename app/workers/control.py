"""The control process: a Celery app whose tasks ingest and finalize batches, beside the sweeper.

Importable, as Celery wants it. `serve` is what `autoglm control` runs.
"""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from celery import signals

from app import log, queue, settings
from app.models import database, migrate
from app.workers import finalize, ingest, sweeper, webhooks
from app.workers.context import Context

_THREADS = 2
_STOP_SECONDS = 30.0
_logger = logging.getLogger(__name__)
_running: set[tuple[str, str]] = set()
_lock = threading.Lock()

options = settings.load()
app = queue.make_app(
    options.redis.url or "",
    hard_limit_seconds=options.worker.shift_seconds + options.worker.step_timeout_seconds + 60,
)


@cache
def get_context() -> Context:
    """The one context of this process."""
    return Context(database.connect(options), options, app)


@app.task(name=queue.INGEST_TASK, bind=True)
def ingest_batch(self: Any, batch_id: str) -> dict[str, Any]:
    """Stores the lines of a batch as jobs."""
    return _run(self, ingest.run, batch_id)


@app.task(name=queue.FINALIZE_TASK, bind=True)
def finalize_batch(self: Any, batch_id: str) -> dict[str, Any]:
    """Writes the files of a batch whose jobs have ended."""
    return _run(self, finalize.run, batch_id)


def _run(task: Any, action: Callable[[Context, str], dict[str, Any]], batch_id: str) -> Any:
    headers = getattr(task.request, "headers", None) or {}
    with log.trace(headers.get("trace_id")), _claim(task.name, batch_id) as is_first:
        outcome = action(get_context(), batch_id) if is_first else {"status": "already running"}
        extra = {"action": task.name, "batch_id": batch_id}
        _logger.info("%s", outcome, extra=extra)
    return outcome


@contextmanager
def _claim(name: str, batch_id: str) -> Iterator[bool]:
    """Whether this task runs here for the first time now: a doubled message is harmless, but a
    second reading of a large file beside the first helps nobody."""
    key = (name, batch_id)
    with _lock:
        is_first = key not in _running
        _running.add(key)
    try:
        yield is_first
    finally:
        if is_first:
            with _lock:
                _running.discard(key)


@signals.setup_logging.connect
def _set_up_logging(**_kwargs: Any) -> None:
    log.configure(options.log_level)


def serve() -> int:
    """Runs until SIGTERM or Ctrl-C. The sweeper starts first: it works while Redis is away."""
    log.configure(options.log_level)
    logging.captureWarnings(True)
    signal.signal(signal.SIGTERM, _leave)
    migrate.require_current(get_context().db)
    stop = threading.Event()
    sweeping = sweeper.Sweeper(get_context())
    thread = threading.Thread(target=sweeping.run, args=(stop,), name="sweeper")
    thread.start()
    telling = threading.Thread(
        target=webhooks.Messenger(get_context()).run, args=(stop,), name="webhooks"
    )
    telling.start()
    try:
        return _consume()
    finally:
        stop.set()
        thread.join(_STOP_SECONDS)
        telling.join(_STOP_SECONDS)
        _logger.info("control stopped", extra={"action": "stop"})


def _leave(*_: object) -> None:
    """SIGTERM until Celery puts its own handler in place."""
    raise SystemExit(0)


def _consume() -> int:
    """Celery in this thread: it installs its own signal handlers."""
    host = options.worker.host or socket.gethostname()
    worker = app.Worker(
        hostname=f"control@{host}",
        pool="threads",
        concurrency=_THREADS,
        queues=[queue.CONTROL],
        loglevel=options.log_level,
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
