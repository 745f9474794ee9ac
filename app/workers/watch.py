"""The parent's watch over its child: a step that does not end is cut short, with its stacks kept."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from app import settings
from app.errors import Unavailable
from app.models import claims, evidence, workers
from app.models.database import Database
from app.models.states import WorkerState
from app.wire.rows import Worker
from app.workers import slot
from app.workers.remains import Remains
from app.workers.slot import Slot
from app.workers.stillness import Stillness

_LOOK_SECONDS = 1.0
_STACKS_SECONDS = 0.5
GRACE_SECONDS = 1.0  # in which the child may end the step by itself
STACKS_SIGNAL = signal.SIGUSR1

_logger = logging.getLogger(__name__)


class Watch:
    """Kills the child when its step count stands still in a shift with sequences in flight, a little
    longer than `worker.step_timeout_seconds`: the child's own pulse tells it to stop first. The jobs
    of a dead child are free at once, however it died, and what it left is kept. Judged on this
    process's monotonic clock; time in which it could not look is not held against the child."""

    def __init__(
        self,
        db: Database,
        place: Slot,
        options: settings.Worker,
        remains: Remains,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._slot = place
        self._options = options
        self._remains = remains
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
        if row is None or row.parent_pid != os.getpid() or row.epoch == self._killed:
            self._steps.forget_others(set())
            return False
        if row.state in workers.ALIVE and not slot.is_running(row.pid):
            self._bury(row.epoch)
            return False
        return self._judge(row)

    def note_stop(self) -> None:
        """The worker was told to stop: if the child is killed from now on, no job is to blame. Kept
        in its files, which need no database, and in its row, which other machines see."""
        try:
            self._remains.mark_stopping()
        except OSError as error:
            _logger.warning("no mark of the stop: %s", error, extra={"action": "stop"})
        while not self._note_in_row():
            time.sleep(_LOOK_SECONDS)

    def _note_in_row(self) -> bool:
        try:
            workers.begin_stop(self._db, self._slot.name, os.getpid())
        except Unavailable as error:
            _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
            return False
        return True

    def _bury(self, epoch: int) -> None:
        """It died by itself. The next child would say so, too, once it has started."""
        self._killed = epoch
        self._recover(epoch, is_crash=self._remains.is_crash(epoch))

    def _judge(self, row: Worker) -> bool:
        if not row.in_shift or row.in_flight == 0:
            self._steps.forget_others(set())
            return False
        limit = self._options.step_timeout_seconds + GRACE_SECONDS
        if self._steps.measure(row.slot, (row.epoch, row.step)) < limit:
            return False
        self._killed = row.epoch
        self._kill(row.pid)
        self._recover(row.epoch, is_crash=True)
        return True

    def _kill(self, pid: int) -> None:
        limit = self._options.step_timeout_seconds
        _logger.error("step took over %.0f s; killing the child", limit, extra={"action": "hang"})
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STACKS_SIGNAL)
            time.sleep(_STACKS_SECONDS)
            self._remains.mark_hung()
            os.kill(pid, signal.SIGKILL)

    def _recover(self, epoch: int, *, is_crash: bool | None) -> None:
        """Frees the jobs of a dead child and keeps what it left."""
        limit = self._options.max_attempts
        place, lost = self._slot.name, WorkerState.LOST
        holder = claims.Holder(place, epoch)
        workers.recover(self._db, holder, max_attempts=limit, state=lost, is_crash=is_crash)
        left = self._remains.read()
        if left is not None and left[0] == epoch:
            evidence.store(self._db, place, *left)
