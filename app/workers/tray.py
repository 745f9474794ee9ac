"""The tray between the engine loop and the clerk: bounded, under one lock, never any SQL.

A claimed job lies here from its claim to its commit: `claimed` (not yet tokenized), `ready` (can
enter the engine), in the engine, or `outbox` (ended, not yet committed).
"""

import heapq
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from app.errors import AutoglmError
from app.inference.engine import Delta, Output, Request
from app.wire.rows import Chunk, Job, Outcome
from app.workers import orders, reask
from app.workers.orders import Order
from app.workers.streams import Streams
from app.workers.unjudged import Unjudged

Ended = tuple[Job, Outcome]
_MAX_OUTBOX = 1000


class Tray:
    """`capacity` bounds what lies ready beyond what the engine runs; `wake` calls the clerk."""

    def __init__(self, capacity: int, provenance: dict[str, Any], wake: Callable[[], None]) -> None:
        self._capacity = capacity
        self._provenance = provenance
        self._wake = wake
        self._lock = threading.Lock()
        self._claimed: deque[Job] = deque()
        self._orders: dict[str, Order] = {}  # ready or in the engine, by request id
        self._ready: list[tuple[tuple[int, str, int], str]] = []  # a heap
        self._outbox: list[Ended] = []
        self._doomed: set[str] = set()
        self._pushed: set[str] = set()  # in the engine beyond its room, being urgent
        self._streams = Streams()
        self._unjudged = Unjudged()
        self._is_open = False
        self._room = 0
        self._events = 0  # advances whenever something may have become claimable
        self._quiet_at = -1  # the value of _events at which the backlog was last seen empty

    # The engine loop's side.

    def open(self, room: int) -> None:
        """A shift begins: claiming is allowed."""
        with self._lock:
            self._room = room
            self._is_open = True
            self._events += 1
        self._wake()

    def close(self) -> None:
        """The shift is over: nothing is claimed until the next one."""
        with self._lock:
            self._is_open = False

    def take(self, room: int) -> list[Request]:
        """Up to `room` ready requests, best first, and urgent ones beyond it: the engine pre-empts
        what has a lower priority. Tells the clerk how much room there is."""
        with self._lock:
            self._room = room
            requests = [self._pop_ready() for _ in range(min(room, len(self._ready)))]
            while self._is_urgent():
                requests.append(self._pop_ready())
                self._pushed.add(requests[-1].id)
            is_low = self._is_low()
        if requests and is_low:
            self._wake()
        return requests

    def _is_low(self) -> bool:
        """Whether it is worth claiming: many at once cost little more than one."""
        return len(self._ready) <= self._capacity // 2

    def _pop_ready(self) -> Request:
        return self._orders[heapq.heappop(self._ready)[1]].request

    def _is_urgent(self) -> bool:
        """Whether the best ready request outranks something else and may be pushed in."""
        if not self._ready or len(self._pushed) >= self._capacity:
            return False
        return -self._ready[0][0][0] > self._find_floor()

    def _find_floor(self) -> int:
        """The lowest priority of what is ready or in the engine."""
        return min(order.job.priority for order in self._orders.values())

    def give(self, outputs: Sequence[Output]) -> None:
        """Hands over finished outputs; those of forfeited attempts are dropped. Lines of a batch that
        nothing waits for lie here until the clerk's next round, and are committed together."""
        if not outputs:
            return
        is_awaited = False
        with self._lock:
            for output in outputs:
                order = self._pop_order(output.id)
                is_awaited |= order is not None and _is_awaited(order.job)
                if order is not None and reask.is_due(order, output):
                    self._unjudged.add(order, output)
                elif order is not None:
                    outcome = orders.conclude(order, output, self._provenance)
                    self._outbox.append((order.job, outcome))
            self._events += 1
            is_awaited |= not self._orders or len(self._outbox) >= _MAX_OUTBOX // 2
        if is_awaited:
            self._wake()

    def stream(self, deltas: Sequence[Delta]) -> None:
        """Notes what streamed requests gained; of an ended one the result tells the rest."""
        if not deltas:
            return
        with self._lock:
            for delta in deltas:
                if order := self._orders.get(delta.id):
                    self._streams.add(order.job, delta)

    def reject(self, request_id: str, error: AutoglmError) -> None:
        """Hands back a request that the engine refused."""
        with self._lock:
            order = self._pop_order(request_id)
            if order is not None:
                self._outbox.append((order.job, orders.refuse(order.job, error)))
            self._events += 1
        self._wake()

    def _pop_order(self, request_id: str) -> Order | None:
        self._doomed.discard(request_id)
        self._pushed.discard(request_id)
        return self._orders.pop(request_id, None)

    def doomed(self) -> list[str]:
        """Requests that the engine should cancel now."""
        with self._lock:
            return list(self._doomed)

    @property
    def is_dry(self) -> bool:
        """Whether the backlog was seen empty since anything last changed, and nothing lies here."""
        with self._lock:
            return self._quiet_at == self._events and self._count() == 0

    @property
    def num_held(self) -> int:
        """Jobs claimed or ended that the store does not have back yet."""
        with self._lock:
            return self._count()

    def _count(self) -> int:
        return len(self._claimed) + len(self._orders) + len(self._unjudged) + len(self._outbox)

    # The clerk's side.

    def _is_isolating(self) -> bool:
        """Whether a suspect is here: it must stay alone until its outcome is committed, or whatever
        joined it would seem to have died with it."""
        jobs = [*self._unjudged.jobs, *(order.job for order in self._orders.values())]
        jobs += [job for job, _ in self._outbox]
        return any(job.crashes for job in jobs)

    def want(self) -> tuple[int, int, bool]:
        """How many jobs to claim now (0: none), the moment this was asked, and whether a suspect
        may run: nothing else is here, also nothing uncommitted, which would seem to have died with
        it. While a suspect is here nothing is wanted."""
        with self._lock:
            is_isolating = self._is_isolating()
            is_full = not self._is_low() or len(self._outbox) >= _MAX_OUTBOX
            if not self._is_open or self._claimed or is_isolating or is_full:
                return 0, self._events, False
            number = self._room + self._capacity - len(self._ready)
            is_alone = not self._orders and not self._unjudged and not self._outbox
            return number, self._events, is_alone

    def want_urgent(self) -> tuple[int, int]:
        """While nothing is wanted because all is full: how many jobs to claim nevertheless if
        their priority is above the second number, the lowest of those held."""
        with self._lock:
            is_isolating = self._is_isolating()
            if not self._is_open or self._claimed or is_isolating or not self._orders:
                return 0, 0
            number = self._capacity - len(self._pushed)
            return max(0, min(number, 2 * self._capacity - len(self._ready))), self._find_floor()

    def put_claimed(self, jobs: Sequence[Job], asked_at: int) -> None:
        """Takes in claimed jobs; no jobs means that the backlog was empty at `asked_at`."""
        with self._lock:
            self._claimed.extend(jobs)
            if not jobs and not self._orders and not self._unjudged:
                self._quiet_at = asked_at

    def next_claimed(self) -> Job | None:
        """The job to tokenize next; it stays here until put_ready() or put_ended()."""
        with self._lock:
            return self._claimed[0] if self._claimed else None

    def put_ready(self, job: Job, order: Order) -> None:
        """The first claimed job can run now; dropped if it was forfeited meanwhile."""
        with self._lock:
            if self._pop_claimed(job):
                self._orders[order.request.id] = order
                heapq.heappush(self._ready, (order.key, order.request.id))

    def put_ended(self, job: Job, outcome: Outcome) -> None:
        """The first claimed job cannot run at all."""
        with self._lock:
            if self._pop_claimed(job):
                self._outbox.append((job, outcome))
                self._events += 1

    def _pop_claimed(self, job: Job) -> bool:
        if self._claimed and self._claimed[0] is job:
            self._claimed.popleft()
            return True
        return False

    def take_chunks(self) -> list[Chunk]:
        """What streamed jobs gained since this was asked last."""
        with self._lock:
            return self._streams.take({order.job.id for order in self._orders.values()})

    def unjudged(self) -> list[tuple[Order, Output]]:
        """Answers that the clerk has to judge; they stay here until put_judged()."""
        with self._lock:
            return self._unjudged.list_all()

    def put_judged(self, order: Order, verdict: Order | Outcome) -> None:
        """What became of an answer: an outcome, or a request to be run again."""
        with self._lock:
            if not self._unjudged.pop(order):
                return
            self._events += 1
            if isinstance(verdict, Outcome):
                self._outbox.append((order.job, verdict))
            else:
                self._orders[verdict.request.id] = verdict
                heapq.heappush(self._ready, (verdict.key, verdict.request.id))

    def ended(self) -> list[Ended]:
        """What waits to be committed."""
        with self._lock:
            return list(self._outbox)

    def drop_ended(self, committed: Sequence[Ended]) -> None:
        """These are in the store now."""
        gone = {id(each) for each in committed}
        with self._lock:
            self._outbox = [each for each in self._outbox if id(each) not in gone]
            self._events += 1

    def exchange(self, ended: Ended, outcome: Outcome) -> None:
        """Puts another outcome in the place of one that waits; nothing if it was forfeited."""
        with self._lock:
            self._outbox = [(ended[0], outcome) if e is ended else e for e in self._outbox]

    def ask_again(self, ended: Ended, order: Order) -> None:
        """Takes an outcome back and runs the same attempt once more with another request; nothing
        if it was forfeited."""
        with self._lock:
            if not any(each is ended for each in self._outbox):
                return
            self._outbox = [each for each in self._outbox if each is not ended]
            self._orders[order.request.id] = order
            heapq.heappush(self._ready, (order.key, order.request.id))
            self._events += 1

    def running(self) -> dict[str, str]:
        """Request ids of jobs that are ready or in the engine, by job id."""
        with self._lock:
            return {order.job.id: key for key, order in self._orders.items()}

    def doom(self, request_ids: Sequence[str]) -> None:
        """Marks requests for cancellation; one that is only ready is cancelled once it is taken."""
        with self._lock:
            self._doomed.update(each for each in request_ids if each in self._orders)

    def held(self) -> list[tuple[str, int]]:
        """(job id, attempt) of everything here."""
        with self._lock:
            jobs = [*self._claimed, *self._unjudged.jobs]
            jobs += [order.job for order in self._orders.values()]
            jobs += [job for job, _ in self._outbox]
        return [(job.id, job.attempt) for job in jobs]

    def list_ready(self) -> list[tuple[str, int]]:
        """(job id, attempt) of what the engine has not seen: its fault cannot be theirs."""
        with self._lock:
            jobs = [self._orders[key].job for _, key in self._ready]
        return [(job.id, job.attempt) for job in jobs]

    def surrender(self) -> list[tuple[str, int]]:
        """Drops every job that has not ended and returns their (id, attempt); what of them is in
        the engine is doomed."""
        with self._lock:
            jobs = [*self._claimed, *self._unjudged.jobs]
            jobs += [order.job for order in self._orders.values()]
            self._doomed |= set(self._orders) - {key for _, key in self._ready}
            self._claimed.clear()
            self._orders.clear()
            self._ready.clear()
            self._pushed.clear()
            self._unjudged.clear()
            self._events += 1
        return [(job.id, job.attempt) for job in jobs]


def _is_awaited(job: Job) -> bool:
    """Whether a client waits for this one answer, or the next turn of its session does."""
    return job.priority >= 0 or job.session_id is not None
