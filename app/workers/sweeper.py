"""The sweeper: finds what was lost (workers, hints, wake-ups), what is overdue and what is old.

Every statement is conditional, so several may run. Time is measured on this process's monotonic
clock; a jump of the wall clock changes nothing but expiry dates.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable

from app import queue
from app.errors import Unavailable
from app.models import batches, beats, sweeps, twins, workers
from app.models.states import BatchState, WorkerState
from app.wire.rows import Batch
from app.workers import cleaning, finalize, foresight
from app.workers.context import Context
from app.workers.stillness import Patience, Stillness

_HINTED = 100  # job ids named in a hint
_EXPIRY_PIECE = 1000
_MAX_PIECES = 50
_CLEANING_SECONDS = 60.0
_BEAT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 60.0
_logger = logging.getLogger(__name__)


class Sweeper:
    """`mend` repairs the rows and needs the store alone; `wake` publishes and needs Redis too."""

    def __init__(
        self, context: Context, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._period = context.settings.worker.sweep_seconds
        self._monotonic = monotonic
        longest_step = 2 * self._period
        self._pulses = Stillness(monotonic, longest_step)
        self._batches = Patience(Stillness(monotonic, longest_step), _LONGEST_WAIT_SECONDS)
        host = context.settings.worker.host or socket.gethostname()
        self._name = f"control@{host}"
        self._cleaned_at: float | None = None
        self._beaten_at: float | None = None

    def sweep(self) -> None:
        """One pass over everything. What fails is logged and does not stop the rest."""
        self.mend()
        self.wake()

    def mend(self) -> None:
        """The sign that this process lives; dead workers, overdue jobs, old things."""
        for step in (self._recover_workers, self._expire_jobs, self._clean, self._foresee):
            self._attempt(step)

    def wake(self) -> None:
        """Hints for idle workers, wake-ups for batches that stand still."""
        for step in (self._hint_models, self._push_batches):
            self._attempt(step)

    def run(self, stop: threading.Event) -> None:
        """Sweeps every `sweep_seconds` until `stop` is set. Waking has a thread of its own: with
        Redis down each message takes seconds to fail, and dead workers must not wait for that."""
        waking = threading.Thread(target=self._loop, args=(self.wake, stop), name="sweeper-wake")
        waking.start()
        self._loop(self.mend, stop)
        waking.join()

    def _loop(self, action: Callable[[], None], stop: threading.Event) -> None:
        while not stop.is_set():
            action()
            stop.wait(self._period)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (*queue.BROKER_ERRORS, Unavailable) as error:
            _logger.warning("sweep: %s: %s", step.__name__, error, extra={"action": "sweep"})
        except Exception:
            _logger.exception("sweep: %s", step.__name__, extra={"action": "sweep"})

    def _recover_workers(self) -> None:
        """Declares incarnations dead whose pulse stood still for a whole lease."""
        options = self._context.settings.worker
        self._prove_store()
        alive = [w for w in workers.list_all(self._context.db) if w.state in workers.ALIVE]
        self._pulses.forget_others({worker.slot for worker in alive})
        for worker in alive:
            still = self._pulses.measure(worker.slot, (worker.epoch, worker.pulse))
            if still >= options.lease_seconds:
                self._bury(worker.slot, worker.epoch)

    def _prove_store(self) -> None:
        """Where nobody can write (a full disk, a lock), silence proves nothing: whoever could not
        beat gets a new lease."""
        try:
            beats.beat(self._context.db, self._name)
        except Unavailable:
            self._pulses.forget_others(set())
            raise

    def _bury(self, slot: str, epoch: int) -> None:
        recovery = workers.recover(
            self._context.db,
            slot,
            epoch,
            max_attempts=self._context.settings.worker.max_attempts,
            state=WorkerState.LOST,
        )
        _logger.warning(
            "worker lost: %d jobs queued again, %d failed",
            recovery.requeued,
            recovery.failed,
            extra={"action": "worker_lost", "slot": slot, "epoch": epoch},
        )

    def _expire_jobs(self) -> None:
        for _ in range(_MAX_PIECES):
            number = sweeps.expire_overdue(self._context.db, limit=_EXPIRY_PIECE)
            if number:
                _logger.info("%d jobs expired", number, extra={"action": "expire"})
            if number < _EXPIRY_PIECE:
                return

    def _clean(self) -> None:
        now = self._monotonic()
        if self._cleaned_at is None or now - self._cleaned_at >= _CLEANING_SECONDS:
            cleaning.run(self._context)
            self._cleaned_at = now

    def _foresee(self) -> None:
        """Tells which batches will be late."""
        now = self._monotonic()
        if self._beaten_at is None or now - self._beaten_at >= _BEAT_SECONDS:
            self._beaten_at = now
            foresight.run(self._context)
            self._mend_twins()

    def _mend_twins(self) -> None:
        if number := twins.mend(self._context.db):
            _logger.warning("lines waited for nobody: %d", number, extra={"action": "mend_twins"})

    def _hint_models(self) -> None:
        """A hint for every model with claimable jobs, an idle live worker and an empty queue."""
        app = self._context.app
        rows = workers.list_all(self._context.db)
        idle = {w.model for w in rows if w.state == WorkerState.READY and w.in_flight == 0}
        if app is None or not idle:
            return
        for model, job_ids in sweeps.count_claimable(self._context.db, limit=_HINTED).items():
            if model in idle and queue.count_waiting(app, queue.model_queue(model)) == 0:
                self._context.hint(model, job_ids)

    def _push_batches(self) -> None:
        unfinished = batches.find_unfinished(self._context.db)
        self._batches.forget_others({batch.id for batch in unfinished})
        for batch in unfinished:
            mark = (batch.status, batch.lines_ingested, finalize.is_countable(batch))
            if self._batches.is_spent(batch.id, mark, first=2 * self._period):
                self._push(batch)

    def _push(self, batch: Batch) -> None:
        task = self._choose_task(batch)
        if task is None or self._publish(task, batch):
            self._batches.extend(batch.id)

    def _choose_task(self, batch: Batch) -> str | None:
        """What would move this batch on; None while its jobs do."""
        if finalize.is_countable(batch):
            return queue.FINALIZE_TASK
        if batch.status == BatchState.VALIDATING or self._has_lines_left(batch):
            return queue.INGEST_TASK
        return None

    def _has_lines_left(self, batch: Batch) -> bool:
        return batches.count_lines(self._context.db, batch.id) < batch.total

    def _publish(self, task: str, batch: Batch) -> bool:
        return self._context.publish(
            task, queue.CONTROL, trace_id=batch.trace_id, batch_id=batch.id
        )
