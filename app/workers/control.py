"""The control process: a Celery app whose tasks ingest and finalize batches, beside the sweeper.

Importable, as Celery wants it. `serve` is what `autoglm control` runs.
"""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from celery import signals

from app import log, queue, settings
from app.errors import Stopped
from app.models import database, disks, migrate
from app.weights import stamps
from app.workers import finalize, ingest, messages, sweeper, webhooks
from app.workers.context import Context

_THREADS = 2
_STOP_SECONDS = 30.0  # for the sweeper and the webhooks together
_logger = logging.getLogger(__name__)
_running: set[tuple[str, str]] = set()
_lock = threading.Lock()

options = settings.load()
app = queue.make_app(
    options.redis.url or "",
    hard_limit_seconds=options.worker.shift_seconds + options.worker.step_timeout_seconds + 60,
)
messages.harden(app)


class _Worker(app.Worker):  # type: ignore[name-defined]  # a class made by the app
    def on_start(self) -> None:
        """SIGQUIT stops as SIGTERM does: Celery's own way wants to kill tasks, which threads cannot."""
        super().on_start()
        signal.signal(signal.SIGQUIT, signal.getsignal(signal.SIGTERM))


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
        outcome = _act(action, batch_id) if is_first else {"status": "already running"}
        extra = {"action": task.name, "batch_id": batch_id}
        _logger.info("%s", outcome, extra=extra)
    return outcome


def _act(action: Callable[[Context, str], dict[str, Any]], batch_id: str) -> dict[str, Any]:
    """What is left at a stop is resumed by the next control process, which finds the rows."""
    try:
        return action(get_context(), batch_id)
    except Stopped:
        return {"status": "stopped"}


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


@signals.worker_shutting_down.connect
def _stop(**_kwargs: Any) -> None:
    """At the signal itself: Celery then waits for its tasks, and they end only if they are told."""
    get_context().stopping.set()


@signals.setup_logging.connect
def _set_up_logging(**_kwargs: Any) -> None:
    log.configure(options.log_level)


def serve() -> int:
    """Runs until SIGTERM, SIGQUIT or Ctrl-C. The sweeper starts first: it works while Redis is away."""
    log.configure(options.log_level)
    logging.captureWarnings(True)
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, _leave)
    stamps.require_key(options.manifests.private_key_file)
    disks.make_folder(options.data_dir)
    migrate.require_current(get_context().db)
    helpers = [
        threading.Thread(target=each.run, args=(get_context().stopping,), name=name, daemon=True)
        for name, each in (
            ("sweeper", sweeper.Sweeper(get_context())),
            ("webhooks", webhooks.Messenger(get_context())),
        )
    ]
    for helper in helpers:
        helper.start()
    try:
        return _consume()
    finally:
        _end(helpers)


def _end(helpers: Sequence[threading.Thread]) -> None:
    """Waits for the threads; whichever takes longer than all of them may dies with the process."""
    get_context().stopping.set()
    deadline = time.monotonic() + _STOP_SECONDS
    for helper in helpers:
        helper.join(max(0.0, deadline - time.monotonic()))
    _logger.info("control stopped", extra={"action": "stop"})


def _leave(*_: object) -> None:
    """SIGTERM and SIGQUIT until Celery puts its own handler in place."""
    raise SystemExit(0)


def _consume() -> int:
    """Celery in this thread: it installs its own signal handlers."""
    host = options.worker.host or socket.gethostname()
    worker = _Worker(
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
