"""The pulse: a thread that keeps the worker's lease alive and notices what went wrong with it."""

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from app.errors import Unavailable
from app.models import workers
from app.models.states import WorkerState
from app.workers.context import Context
from app.workers.stillness import Stillness

if TYPE_CHECKING:
    from app.workers.child import Child

_CONTINUE_AFTER = 3  # pulses without a shift, though there is work, before one is asked for again

_logger = logging.getLogger(__name__)


class Pulse:
    """Beats every worker.pulse_seconds. Ends the process when its parent is gone or its slot has
    a newer owner; asks for a shift again when one is missing."""

    def __init__(self, context: Context, child: "Child") -> None:
        self._context = context
        self._child = child
        self._parent = os.getppid()
        self._count = 0
        self._missing = 0
        self._cut: int | None = None  # the step that was told to end
        self._is_ready = False
        self._stopped = threading.Event()
        worker = context.settings.worker
        self._steps = Stillness(time.monotonic, longest_step=2 * worker.pulse_seconds)

    def start(self) -> None:
        """Starts the thread."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """No beat after this."""
        self._stopped.set()

    def mark_ready(self, provenance: dict[str, Any]) -> None:
        """The model is loaded; from now on the row says READY."""
        self._is_ready = True
        self._write(state=WorkerState.READY.value, reason=None, provenance=provenance)

    def _run(self) -> None:
        while not self._stopped.wait(self._context.settings.worker.pulse_seconds):
            try:
                self.beat()
            except Exception:  # the thread must outlive any one fault
                _logger.exception("pulse failed", extra={"action": "pulse_failed"})

    def beat(self) -> None:
        """One beat."""
        if os.getppid() != self._parent:
            _logger.error("parent is gone", extra={"action": "orphaned"})
            os._exit(1)
        self._count += 1
        progress = self._child.progress if self._is_ready else {}
        state = self._write(pulse=self._count, **progress)
        if state == WorkerState.LOST and self._is_ready:
            self._child.replace_lease()
        if self._is_ready:
            self._check_shift()
            self._check_step()

    def _write(self, **values: Any) -> WorkerState | None:
        try:
            state = workers.update(self._context.db, self._child.holder, **values)
        except Unavailable as error:
            _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
            return WorkerState.READY
        if state is None:
            _logger.error("slot has a newer owner", extra={"action": "deposed"})
            os._exit(1)
        return state

    def _check_step(self) -> None:
        """The cooperative limit: a step that takes too long is told to end. The parent's watch
        follows a little later, for what does not listen."""
        now = self._child.progress
        if not now["in_shift"] or not now["in_flight"]:
            self._steps.forget_others(set())
        elif self._steps.measure("step", now["step"]) >= self._step_timeout:
            if now["step"] == self._cut:
                return  # it does not listen
            self._cut = now["step"]
            _logger.error("step took too long", extra={"action": "step_cut"})
            self._child.cut_step()

    @property
    def _step_timeout(self) -> float:
        return self._context.settings.worker.step_timeout_seconds

    def _check_shift(self) -> None:
        """Work without a shift means that its message was lost, or that Redis is away."""
        is_missing = self._child.has_work and not self._child.in_shift
        self._missing = self._missing + 1 if is_missing else 0
        if self._missing >= _CONTINUE_AFTER:
            self._missing = 0
            self._child.continue_shift()
