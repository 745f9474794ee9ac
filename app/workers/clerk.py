"""The clerk: a thread beside the engine loop that owns SQL and tokenization.

It claims jobs while the tray has room, tokenizes them, and commits what has ended in group
transactions fenced by attempt. The engine loop never waits for it, but an engine on a CPU shares
processors and the interpreter's lock with it: while that works, the clerk looks only where
something may have changed, and lines of a batch are claimed and committed in groups.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from app import log
from app.errors import AutoglmError, Unavailable
from app.models import backlog, chunks, claims, withdrawals
from app.models.changes import Changes
from app.models.database import Database
from app.models.states import JobState
from app.wire.rows import Job, Outcome, Problem
from app.workers import orders
from app.workers.looks import Looks
from app.workers.orders import Order
from app.workers.reask import Judge
from app.workers.tally import Tally
from app.workers.tray import Ended, Tray

LOOK_SECONDS = 0.05  # how often the backlog is looked at while there is room
_BUSY_SECONDS = 0.1  # the same while the engine has work and the last look found nothing
_CANCEL_SECONDS = 0.25
_STREAM_SECONDS = 0.1  # how often the text of streamed jobs is stored
_RETRY_SECONDS = 0.5

_logger = logging.getLogger(__name__)


class Clerk:
    """`prepare` turns a job into an Order or raises AutoglmError; `review` reads the answer of a code
    job and gives its outcome, or an Order to ask again; `provenance` goes into every
    result; `capacity` jobs lie ready beyond those the engine runs."""

    def __init__(
        self,
        db: Database,
        holder: claims.Holder,
        model: str,
        *,
        prepare: Callable[[Job], Order],
        provenance: dict[str, Any],
        capacity: int,
    ) -> None:
        self._db = db
        self._holder = holder
        self._model = model
        self._prepare = prepare
        self._provenance = provenance
        self.judge = Judge(prepare)
        self._wake = threading.Event()
        changes = Changes(db)
        self._claims = Looks(changes, _BUSY_SECONDS)
        self._cancels = Looks(changes, _CANCEL_SECONDS)
        self._streamed_at = 0.0
        self._claim_failed = False
        self._near = ""  # the place of the last line that was claimed
        self.tray = Tray(capacity, provenance, self._wake.set)
        self.tally = Tally()
        self.review: Callable[[Job, Outcome], Outcome | Order] | None = None
        self.on_ended_batches: Callable[[frozenset[str]], None] = lambda _ids: None

    def start(self) -> None:
        """Starts the thread; it ends with the process."""
        threading.Thread(target=self._run, name="clerk", daemon=True).start()

    def flush(self, seconds: float) -> bool:
        """Waits until all that has ended is committed; False if that took too long."""
        until = time.monotonic() + seconds
        while self.tray.ended():
            if time.monotonic() >= until:
                return False
            self._wake.set()
            time.sleep(0.002)
        return True

    def forfeit(self, holder: claims.Holder) -> None:
        """The jobs are others' now. Drops them and goes on as `holder`."""
        self._holder = holder
        self.tray.surrender()
        self.tray.drop_ended(self.tray.ended())

    def _run(self) -> None:
        while True:
            self._wake.wait(_BUSY_SECONDS if self.tray.running() else LOOK_SECONDS)
            self._wake.clear()
            try:
                self._work()
            except Unavailable as error:
                _logger.warning("database: %s", error, extra={"action": "store_unavailable"})
                time.sleep(_RETRY_SECONDS)
            except Exception:  # the thread must outlive any one fault
                _logger.exception("clerk failed", extra={"action": "clerk_failed"})
                time.sleep(_RETRY_SECONDS)

    def _work(self) -> None:
        self._stream()
        self._judge_answers()
        self._commit()
        self._check_cancelled()
        self._claim()
        self._prepare_claimed()

    def _judge_answers(self) -> None:
        for order, output in self.tray.unjudged():
            try:
                verdict = self.judge.decide(order, output, self._provenance)
            except Unavailable:
                raise  # the answer stays; the next round tries again
            except Exception as error:  # one answer's fault must not stop the others
                _logger.exception("answer cannot be judged", extra={"job_id": order.job.id})
                verdict = _refuse(order.job, error)
            self.tray.put_judged(order, verdict)

    def _stream(self) -> None:
        now = time.monotonic()
        if now - self._streamed_at < _STREAM_SECONDS:
            return
        if gained := self.tray.take_chunks():
            self._streamed_at = now
            chunks.add(self._db, gained)

    def _commit(self) -> None:
        self._review_ended()
        pending = self.tray.ended()
        if not pending:
            return
        try:
            self._settle(pending)
        except Unavailable:
            raise
        except Exception:  # one outcome that cannot be stored must not hold up the others
            _logger.exception("group not stored", extra={"action": "settle_failed"})
            for each in pending:
                self._settle_alone(each)

    def _review_ended(self) -> None:
        """Code answers are read before they are stored; some go back into the engine."""
        for ended in self.tray.ended() if self.review else ():
            if _needs_review(*ended):
                self._review_one(ended)

    def _review_one(self, ended: Ended) -> None:
        assert self.review is not None
        job, outcome = ended
        try:
            verdict = self.review(job, outcome)
        except Unavailable:
            raise  # the next round tries again
        except Exception as error:  # one answer that cannot be read must not stop the others
            _logger.exception("answer cannot be read", extra={"action": "review", "job_id": job.id})
            problem = Problem("engine_failed", values={"reason": type(error).__name__})
            verdict = Outcome(job.id, outcome.attempt, JobState.FAILED, problem=problem)
        if isinstance(verdict, Order):
            _logger.info("asked again", extra={"action": "ask_again", "job_id": job.id})
            self.tray.ask_again(ended, verdict)
        else:
            self.tray.exchange(ended, verdict)

    def _settle_alone(self, ended: Ended) -> None:
        try:
            self._settle([ended])
        except Unavailable:
            raise
        except Exception as error:
            job, _ = ended
            extra = {"action": "settle_failed", "job_id": job.id, "trace_id": job.trace_id}
            _logger.exception("outcome cannot be stored", extra=extra)
            self._settle([(job, _refuse(job, error))])
            self.tray.drop_ended([ended])

    def _settle(self, pending: Sequence[Ended]) -> None:
        settlement = claims.settle(self._db, [outcome for _, outcome in pending])
        self.tray.drop_ended(pending)
        for job, outcome in pending:
            self._report(job, outcome, is_fenced=job.id in settlement.fenced)
        if settlement.ended_batches:
            self.on_ended_batches(settlement.ended_batches)

    def _report(self, job: Job, outcome: Outcome, *, is_fenced: bool) -> None:
        extra = {"job_id": job.id, "attempt": job.attempt, "trace_id": job.trace_id}
        if is_fenced:
            _logger.warning("late outcome refused", extra={**extra, "action": "fenced"})
            return
        succeeded = outcome.state == JobState.SUCCEEDED
        self.tally.succeeded += succeeded
        self.tally.failed += not succeeded
        self.tally.tokens += outcome.result.completion_tokens if outcome.result else 0
        code = outcome.problem.code if outcome.problem else None
        _logger.info(
            "job %s", outcome.state, extra={**extra, "action": "settle", "error_code": code}
        )

    def _check_cancelled(self) -> None:
        running = self.tray.running()
        if running and self._cancels.is_due():
            asked = withdrawals.find_cancelled(self._db, list(running))
            self.tray.doom([running[job_id] for job_id in asked])

    def _claim(self) -> None:
        self._return_unknown()
        if self.tray.running() and not self._claims.is_due():
            return
        number, asked_at, may_isolate = self.tray.want()
        if number == 0:
            self._claim_urgent(asked_at)
            return
        number = backlog.fair_share(self._db, self._model, number)
        if number == 0:
            self.tray.put_claimed([], asked_at)
            return
        self._take(number, asked_at, may_isolate)

    def _claim_urgent(self, asked_at: int) -> None:
        """Full as we are: jobs that outrank what is here need not wait for its end."""
        number, floor = self.tray.want_urgent()
        if number:
            number = backlog.count_urgent(self._db, self._model, above=floor, limit=number)
        if number:
            self._take(number, asked_at, may_isolate=False)

    def _take(self, number: int, asked_at: int, may_isolate: bool) -> None:
        holder = self._holder
        self._claim_failed = True  # until the answer is here, the commit may or may not have been
        jobs = claims.claim(
            self._db,
            holder,
            self._model,
            limit=number,
            may_isolate=may_isolate,
            near=self._near,
        )
        self._claim_failed = False
        if holder != self._holder:
            return  # the lease was lost meanwhile: whoever has it now has these jobs too
        self.tally.claimed += len(jobs)
        self._near = max((job.place for job in jobs), default="") or self._near
        if jobs:
            self._claims.hasten()
        self.tray.put_claimed(jobs, asked_at)

    def _return_unknown(self) -> None:
        """After a claim without an answer: rows that are ours, but that we never heard of."""
        if self._claim_failed:
            claims.release_unknown(self._db, self._holder, self.tray.held())
            self._claim_failed = False

    def _prepare_claimed(self) -> None:
        while (job := self.tray.next_claimed()) is not None:
            with log.trace(job.trace_id):
                self._prepare_one(job)

    def _prepare_one(self, job: Job) -> None:
        extra = {"action": "claim", "job_id": job.id, "attempt": job.attempt}
        _logger.info("job claimed", extra=extra)
        try:
            order = self._prepare(job)
        except Unavailable:
            raise  # the job stays claimed; the next round tries again
        except AutoglmError as error:
            self.tray.put_ended(job, orders.refuse(job, error))
        except Exception as error:  # one job's fault must not stop the others
            _logger.exception("job cannot be prepared", extra=extra)
            self.tray.put_ended(job, _refuse(job, error))
        else:
            self.tray.put_ready(job, order)


def _needs_review(job: Job, outcome: Outcome) -> bool:
    """Whether an answer has not been read, or asking again for one has failed."""
    if outcome.result is None:
        return job.kind == "code" and outcome.state == JobState.FAILED
    return job.kind == "code" and outcome.result.coding is None


def _refuse(job: Job, error: Exception) -> Outcome:
    """The outcome of a job that our own code stumbled over."""
    problem = Problem("engine_failed", values={"reason": type(error).__name__})
    return Outcome(job.id, job.attempt, JobState.FAILED, problem=problem)
