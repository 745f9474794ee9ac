"""The sweeper: finds what was lost (workers, hints, wake-ups), what is overdue and what is old.

Every statement is conditional, so several may run. Time is measured on this process's monotonic
clock, and what expires does so by app.clock: a jump of the wall clock changes nothing.
"""

import logging
import math
import socket
import threading
import time
from collections.abc import Callable

from app import queue
from app.errors import Unavailable
from app.models import batches, beats, claims, sweeps, twins, workers
from app.models.states import BatchState, WorkerState
from app.wire.rows import Batch, Worker
from app.workers import cleaning, finalize, foresight, slot
from app.workers.context import Context
from app.workers.stillness import Patience, Stillness

_HINTED = 100  # job ids named in a hint
_EXPIRY_PIECE = 1000
_MAX_PIECES = 50
_CLEANING_SECONDS = 60.0
_BEAT_SECONDS = 5.0
_TRIMMING_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 60.0
_LEAST_LOOKS = 5  # so many looks at a silent worker, each counted no longer, make its lease end
_SHORTEST_PAUSE_SECONDS = 0.02
_logger = logging.getLogger(__name__)


class Sweeper:
    """`watch` finds dead workers, `mend` repairs other rows; both need the store alone. `wake`
    publishes and needs Redis too."""

    def __init__(
        self, context: Context, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        options = context.settings.worker
        self._period = options.sweep_seconds
        self._silence = find_silence(options.lease_seconds, options.sweep_seconds)
        self._monotonic = monotonic
        longest_step = 2 * self._period
        self._pulses = Stillness(monotonic, max(longest_step, self._silence / _LEAST_LOOKS))
        self._batches = Patience(Stillness(monotonic, longest_step), _LONGEST_WAIT_SECONDS)
        self._freed = threading.Event()  # jobs wait for a worker: hint at once
        host = context.settings.worker.host or socket.gethostname()
        self._name = f"control@{host}"
        self._cleaned_at: float | None = None
        self._beaten_at: float | None = None
        self._trimmed_at = -math.inf

    def sweep(self) -> None:
        """One pass over everything. What fails is logged and does not stop the rest."""
        self.watch()
        self.mend()
        self.wake()

    def watch(self) -> float:
        """The sign that this process lives; dead workers. Returns after how many seconds to look
        again: a period, or less when a lease ends before."""
        self._attempt(self._recover_workers)
        left = self._silence - self._pulses.longest
        return min(self._period, max(left, _SHORTEST_PAUSE_SECONDS))

    def mend(self) -> None:
        """Overdue jobs, old things, batches that will be late."""
        for step in (self._expire_jobs, self._clean, self._foresee):
            self._attempt(step)

    def wake(self) -> None:
        """Hints for idle workers, wake-ups for batches that stand still."""
        for step in (self._hint_models, self._push_batches, self._trim_queues):
            self._attempt(step)

    def run(self, stop: threading.Event) -> None:
        """Sweeps every `sweep_seconds` until `stop` is set. Mending and waking have threads of
        their own: cleaning may be long, and with Redis down each message takes seconds to fail;
        dead workers must not wait for either."""
        others = [
            threading.Thread(target=self._mend_on, args=(stop,), name="sweeper-mend"),
            threading.Thread(target=self._wake_on, args=(stop,), name="sweeper-wake"),
        ]
        for thread in others:
            thread.start()
        while not stop.is_set():
            stop.wait(self.watch())
        self._freed.set()
        for thread in others:
            thread.join()

    def _mend_on(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.mend()
            stop.wait(self._period)

    def _wake_on(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.wake()
            self._freed.wait(self._period)
            self._freed.clear()

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (*queue.BROKER_ERRORS, Unavailable) as error:
            _logger.warning("sweep: %s: %s", step.__name__, error, extra={"action": "sweep"})
        except Exception:
            _logger.exception("sweep: %s", step.__name__, extra={"action": "sweep"})

    def _recover_workers(self) -> None:
        """Declares incarnations dead whose pulse stood still until their lease ended."""
        self._prove_store()
        alive = [w for w in workers.list_all(self._context.db) if w.state in workers.ALIVE]
        self._pulses.forget_others({worker.slot for worker in alive})
        for worker in alive:
            still = self._pulses.measure(worker.slot, (worker.epoch, worker.pulse))
            if still >= self._silence:
                self._bury(worker)
                self._pulses.forget(worker.slot)

    def _prove_store(self) -> None:
        """Where nobody can write (a full disk, a lock), silence proves nothing: whoever could not
        beat gets a new lease."""
        try:
            beats.beat(self._context.db, self._name)
        except Unavailable:
            self._pulses.forget_others(set())
            raise

    def _bury(self, worker: Worker) -> None:
        recovery = workers.recover(
            self._context.db,
            claims.Holder(worker.slot, worker.epoch),
            is_crash=slot.is_crash(worker, self._context.settings.data_dir),
            max_attempts=self._context.settings.worker.max_attempts,
            state=WorkerState.LOST,
        )
        _logger.warning(
            "worker lost: %d jobs queued again, %d failed",
            recovery.requeued,
            recovery.failed,
            extra={"action": "worker_lost", "slot": worker.slot, "epoch": worker.epoch},
        )
        self._freed.set()

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
        rows = workers.list_all(self._context.db)
        idle = {w.model for w in rows if w.state == WorkerState.READY and w.in_flight == 0}
        if not idle:
            return
        for model, job_ids in sweeps.count_claimable(self._context.db, limit=_HINTED).items():
            if model in idle and not self._context.hint(model, job_ids, enough=queue.ONE):
                return  # Redis is away

    def _trim_queues(self) -> None:
        """Hints that nobody will need: Celery gives those back that were taken before Redis was
        lost, and their shift goes on."""
        now = self._monotonic()
        if self._context.app is None or now - self._trimmed_at < _TRIMMING_SECONDS:
            return
        self._trimmed_at = now
        rows = workers.list_all(self._context.db)
        models = {queue.model_queue(row.model) for row in rows}
        queue.trim(self._context.app, models | {queue.slot_queue(row.slot) for row in rows})

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


def find_silence(lease_seconds: float, sweep_seconds: float) -> float:
    """Seconds without a new pulse, as a sweeper sees it, after which a worker is dead. It sees the
    last pulse up to one sweep late; with that, the lease is not exceeded."""
    return max(lease_seconds - sweep_seconds, lease_seconds / 2)
