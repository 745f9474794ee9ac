"""The parent's watch over its child: a step that does not end is cut short, with its stacks kept."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from app.errors import Unavailable
from app.models import workers
from app.models.database import Database
from app.workers import slot
from app.workers.slot import Slot
from app.workers.stillness import Stillness

_LOOK_SECONDS = 1.0
_STACKS_SECONDS = 1.0
STACKS_SIGNAL = signal.SIGUSR1

_logger = logging.getLogger(__name__)


class Watch:
    """Kills the child when its step count stands still for `step_timeout` seconds in a shift with
    sequences in flight. Judged on this process's monotonic clock; time in which this process
    could not look is not held against the child."""

    def __init__(
        self,
        db: Database,
        place: Slot,
        step_timeout: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._slot = place
        self._step_timeout = step_timeout
        self._steps = Stillness(monotonic, longest_step=2 * _LOOK_SECONDS)
        self._killed: int | None = None  # its row stands until the next child takes the slot

    def start(self) -> None:
        """Starts the thread; it ends with the process."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                self.look()
            except Unavailable as error:
                _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
            except Exception:  # the thread must outlive any one fault
                _logger.exception("watch failed", extra={"action": "watch_failed"})

    def look(self) -> bool:
        """One look; True if the child was killed."""
        row = workers.get(self._db, self._slot.name)
        is_ours = row is not None and row.parent_pid == os.getpid() and row.epoch != self._killed
        if row is None or not is_ours or not row.in_shift or row.in_flight == 0:
            self._steps.forget_others(set())
            return False
        if self._steps.measure(row.slot, (row.epoch, row.step)) < self._step_timeout:
            return False
        self._killed = row.epoch
        if not slot.is_running(row.pid):
            return False  # it died by itself; the next child will say so
        self._kill(row.pid)
        return True

    def _kill(self, pid: int) -> None:
        _logger.error(
            "step took over %.0f s; killing the child", self._step_timeout, extra={"action": "hang"}
        )
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STACKS_SIGNAL)
            time.sleep(_STACKS_SECONDS)
            os.kill(pid, signal.SIGKILL)
