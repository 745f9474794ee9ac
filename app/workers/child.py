"""The child process of a worker: owns the device, loads the model once, runs the shifts.

Celery swallows what its start signal raises, and a child without a model would then acknowledge
tasks it never ran. So loading happens here, inside that signal, and is tried again with a growing
pause until it succeeds: until then the parent keeps its message and acknowledges nothing.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from dataclasses import replace
from types import FrameType
from typing import Any

from app import locales, queue
from app.errors import AutoglmError, StepTimeout, Unavailable
from app.models import claims, evidence, workers
from app.models.states import WorkerState
from app.wire.rows import Evidence, Job
from app.workers import flower_events, loading, orders, slot, solo
from app.workers.clerk import Clerk
from app.workers.coder import Bench, Coder
from app.workers.context import Context
from app.workers.loading import Loaded
from app.workers.orders import Order
from app.workers.pulse import Pulse
from app.workers.shift import Shift
from app.workers.slot import Slot
from app.workers.tally import Tally
from app.workers.watch import STACKS_SIGNAL

CUT_SIGNAL = signal.SIGUSR2
_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 60.0
_EXIT_AFTER_SECONDS = 1.0  # leaves the pool time to hand over the last result

_logger = logging.getLogger(__name__)


class Child:
    """What lives as long as the process: the lease, the engine, the clerk, the pulse."""

    def __init__(self, context: Context, place: Slot) -> None:
        self._context = context
        self._slot = place
        self._stopping = threading.Event()
        self._shift_lock = threading.Lock()
        self._shifts = 0
        self._shift: Shift | None = None
        self._remains = slot.remains(place, context.settings.data_dir)
        left = self._remains.read()
        self.holder = self._enroll()
        self._keep(left)
        self._remains.begin(self.holder.epoch)
        self.pulse = Pulse(context, self)
        self.pulse.start()
        self._loaded = self._load()
        self.clerk = self._hire(self._loaded)
        self._announce_ready()

    # Start.

    def _enroll(self) -> claims.Holder:
        """Takes the slot under a new epoch, and over what earlier epochs left running."""
        options = self._context.settings.worker
        identity = workers.Identity(
            self._slot.name, self._slot.model, slot.machine(), os.getpid(), os.getppid()
        )
        while True:
            try:
                holder, recovery = workers.enroll(
                    self._context.db,
                    identity,
                    max_attempts=options.max_attempts,
                    is_crash=self._judge_last(),
                )
            except Unavailable as error:
                _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
                time.sleep(options.load_backoff_seconds)
                continue
            _logger.info(
                "enrolled",
                extra={"action": "enroll", "slot": holder.slot, "epoch": holder.epoch}
                | vars(recovery),
            )
            return holder

    def _judge_last(self) -> bool | None:
        last = workers.get(self._context.db, self._slot.name)
        return None if last is None else self._remains.is_crash(last.epoch)

    def _keep(self, left: tuple[int, Evidence] | None) -> None:
        """Stores what the one before left, if jobs died with it."""
        if left is None:
            return
        try:
            evidence.store(self._context.db, self._slot.name, *left)
        except Unavailable as error:
            _logger.warning("evidence is lost: %s", error, extra={"action": "store_unavailable"})

    def _load(self) -> Loaded:
        """The model, however many tries it takes; every failure is in the worker row."""
        model = loading.find(self._context.settings, self._slot.model)
        pause = max(_MIN_BACKOFF_SECONDS, self._context.settings.worker.load_backoff_seconds)
        while True:
            started = time.monotonic()
            try:
                loaded = loading.load(model, slot.inner_device(self._slot))
            except Exception as error:  # noqa: BLE001  shown in the row, and tried again
                self._report_failure(error)
                time.sleep(pause)
                pause = min(2 * pause, _MAX_BACKOFF_SECONDS)
                self._write(state=WorkerState.LOADING.value)
                continue
            self._report_load(loaded, time.monotonic() - started)
            return loaded

    def _report_failure(self, error: Exception) -> None:
        known = isinstance(error, AutoglmError)
        reason = locales.explain(error, "en-US") if isinstance(error, AutoglmError) else repr(error)
        _logger.error(
            "model not loaded: %s", reason, exc_info=not known, extra={"action": "load_failed"}
        )
        self._write(state=WorkerState.FAILED.value, reason=reason)
        flower_events.report_load(self._context.app, self._slot.node, self._slot.model, error)

    def _report_load(self, loaded: Loaded, seconds: float) -> None:
        _logger.info(
            "model loaded in %.1f s", seconds, extra={"action": "load", "model": self._slot.model}
        )
        flower_events.report_load(self._context.app, self._slot.node, self._slot.model, seconds)
        while True:
            try:
                workers.count_load(self._context.db, self.holder)
                break
            except Unavailable:
                time.sleep(self._context.settings.worker.load_backoff_seconds)

    def _write(self, **values: Any) -> None:
        try:
            workers.update(self._context.db, self.holder, **values)
        except Unavailable as error:
            _logger.warning("database: %s", error, extra={"action": "store_unavailable"})

    def _hire(self, loaded: Loaded) -> Clerk:
        engine = loaded.engine
        coder = self._make_coder(loaded)
        clerk = Clerk(
            self._context.db,
            self.holder,
            self._slot.model,
            prepare=lambda job: self._prepare(loaded, coder, job),
            provenance=dict(engine.provenance) | {"device": self._slot.device},
            capacity=max(4, engine.room // 4),
        )
        clerk.review = coder.review
        clerk.judge = replace(clerk.judge, max_reasks=self._context.settings.worker.max_reasks)
        clerk.on_ended_batches = self._finalize
        clerk.start()
        return clerk

    def _make_coder(self, loaded: Loaded) -> Coder:
        model = loading.find(self._context.settings, self._slot.model)
        options = self._context.settings.memory
        bench = Bench(
            self._context.db, loaded.tokenizer, loaded.max_context, solo.read_form(model), options
        )
        return Coder(bench)

    def _prepare(self, loaded: Loaded, coder: Coder, job: Job) -> Order:
        if job.kind == "code":
            return coder.prepare(job)
        return orders.prepare(self._context.db, loaded.tokenizer, job, loaded.max_context)

    def _finalize(self, batch_ids: frozenset[str]) -> None:
        for batch_id in batch_ids:
            self._context.publish(queue.FINALIZE_TASK, queue.CONTROL, batch_id=batch_id)

    def _announce_ready(self) -> None:
        self.pulse.mark_ready(dict(self._loaded.engine.provenance))
        self.continue_shift()

    # Work.

    def run_shift(self) -> dict[str, Any]:
        """One shift; publishes its continuation if work is left. Raises what breaks the engine:
        the task then shows as FAILURE and the process ends, so that a new one takes over."""
        self._install_handler()
        with self._shift_lock:
            if self._stopping.is_set():
                return Tally().as_dict()
            self._shifts += 1
            try:
                tally = self._make_shift().run()
            except Exception as error:
                self._stopping.set()  # no other shift may enter what is broken
                self._give_up(error)
                raise
        if self.has_work and not self._stopping.is_set():
            self.continue_shift()
        return tally.as_dict()

    def _make_shift(self) -> Shift:
        self._shift = Shift(
            self._loaded.engine,
            self.clerk,
            seconds=self._context.settings.worker.shift_seconds,
            is_stopping=self._stopping.is_set,
        )
        return self._shift

    def cut_step(self) -> None:
        """From another thread: ends the step that the main thread is in, unless that is in native
        code; then the parent's watch will kill this process."""
        signal.pthread_kill(threading.main_thread().ident or 0, CUT_SIGNAL)

    def _on_cut(self, _signal: int, _frame: FrameType | None) -> None:
        if self._shift is not None and self._shift.is_stepping:
            raise StepTimeout("step_timeout")

    def _give_up(self, error: Exception) -> None:
        """The engine is broken: keeps why, lets others have its jobs at once, and ends."""
        _logger.error("engine failed", exc_info=error, extra={"action": "engine_failed"})
        self.pulse.stop()
        self._remains.note(error)
        self._exit_later(70)
        try:
            self._write(in_shift=False)  # or the parent's watch would take the end for a hang
            self.clerk.flush(_EXIT_AFTER_SECONDS / 2)
            claims.release(self._context.db, self.clerk.tray.list_ready())
            workers.recover(
                self._context.db,
                self.holder,
                max_attempts=self._context.settings.worker.max_attempts,
                state=WorkerState.LOST,
                is_crash=True,
            )
            self._keep(self._remains.read())
        except Unavailable as unavailable:
            _logger.warning("jobs are left to the lease: %s", unavailable)

    def continue_shift(self) -> None:
        """Asks for another shift on this very worker, which alone reads this queue."""
        target, model = queue.slot_queue(self._slot.name), self._slot.model
        self._context.publish(queue.SHIFT_TASK, target, enough=queue.ONE, model=model, job_ids=[])

    @property
    def has_work(self) -> bool:
        """Whether jobs are in the engine or on the tray."""
        return bool(self._loaded.engine.num_unfinished or self.clerk.tray.num_held)

    @property
    def in_shift(self) -> bool:
        """Whether a shift runs at this moment."""
        return self._shift_lock.locked()

    @property
    def progress(self) -> dict[str, Any]:
        """What the pulse writes into the worker row."""
        stats = self._loaded.engine.stats
        return {
            "step": stats.steps,
            "in_flight": stats.running + stats.waiting,
            "in_shift": self.in_shift,
            "shifts": self._shifts,
        }

    # Losing the lease, and the end.

    def replace_lease(self) -> None:
        """The sweeper declared this process dead: its jobs are others' now. It starts afresh under
        a new epoch with the model it has."""
        _logger.warning("lease was lost; enrolling again", extra={"action": "lease_lost"})
        self.holder = self._enroll()
        with contextlib.suppress(OSError):  # without the file its end counts as any
            self._remains.renew(self.holder.epoch)
        self.clerk.forfeit(self.holder)
        self.pulse.mark_ready(dict(self._loaded.engine.provenance))
        self._write(model_loads_total=1)

    def _install_handler(self) -> None:
        """Celery's pool resets handlers after its start signal, so each shift sets it (again)."""
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(CUT_SIGNAL, self._on_cut)
        self._remains.install(STACKS_SIGNAL)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            threading.Thread(target=self._retire, name="retire").start()

    def _retire(self) -> None:
        with self._shift_lock:  # the shift ends after its current step
            self.leave()
        self._exit_later(0)

    def leave(self) -> None:
        """Gives the jobs back, uncounted, and says that this worker ended in order."""
        self._stopping.set()
        self.pulse.stop()
        try:
            number = workers.retire(self._context.db, self.holder)
        except Unavailable as error:
            _logger.warning("jobs are left to the next: %s", error, extra={"action": "release"})
            with contextlib.suppress(OSError):
                self._remains.mark_stopping()
            return
        self.clerk.forfeit(self.holder)
        _logger.info("gave %d jobs back", number, extra={"action": "release"})

    def _exit_later(self, code: int) -> None:
        threading.Timer(_EXIT_AFTER_SECONDS, os._exit, (code,)).start()
