"""The parent's children: told to stop when it stops, and missed when there are none."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

import billiard

from app.workers.stillness import Stillness

CHILDLESS_SECONDS = 15.0  # the pool starts the next child at once
_LAST_SECONDS = 3.0  # for the parent's own end after its last child's
_LOOK_SECONDS = 0.2
_EXIT_CODE = 70

_logger = logging.getLogger(__name__)


class Family:
    """Looks at this process's own children from a thread.

    Celery may start a child after it was told to stop, tells no child of a warm shutdown, and
    lives on without a child when its pool has been emptied. So a stopping parent sends SIGTERM
    to each child once, also to those that come late; and a parent without children ends hard:
    soon when it is stopping, after `childless_seconds` and as a failure when it is not. `on_stop` is
    called when they are to go.
    """

    def __init__(
        self,
        childless_seconds: float = CHILDLESS_SECONDS,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._childless_seconds = childless_seconds
        self._stillness = Stillness(monotonic, longest_step=1.0)
        self._told: set[int] = set()
        self._had_children = False
        self._is_stopping = False
        self._status = 0
        self.on_stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Starts the thread; it ends with the process."""
        threading.Thread(target=self._run, name="family", daemon=True).start()

    def stop(self, status: int = 0) -> None:
        """The children are to go. For signal handlers: it takes no lock and sends no signal."""
        self._status = self._status or status
        self._is_stopping = True

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                if (status := self.look()) is not None:
                    os._exit(status)
            except Exception:  # the thread must outlive any one fault
                _logger.exception("family failed", extra={"action": "family_failed"})

    def look(self) -> int | None:
        """One look; the status to exit with at once, or None to go on."""
        pids = {process.pid for process in billiard.active_children()}
        if self._is_stopping:
            self._announce()
            self._tell(pids - self._told)
        self._had_children = self._had_children or bool(pids)
        alone = self._stillness.measure("", bool(pids))
        if pids or not self._had_children:
            return None
        return self._judge(alone)

    def _announce(self) -> None:
        """Once, in a thread of its own: it may wait for a disk or a database."""
        if self.on_stop is not None:
            threading.Thread(target=self.on_stop, name="stop", daemon=True).start()
            self.on_stop = None

    def _tell(self, pids: set[int]) -> None:
        for pid in pids:  # once: billiard's handler ends the process hard at the second signal
            self._told.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _judge(self, alone: float) -> int | None:
        if self._is_stopping:
            return self._status if alone >= _LAST_SECONDS else None
        if alone < self._childless_seconds:
            return None
        _logger.error("no child for %.0f s; ending", alone, extra={"action": "childless"})
        return _EXIT_CODE
