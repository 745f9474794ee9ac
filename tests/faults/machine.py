"""A model of the whole service over a real database: clients, workers, Redis, sweepers, and time.

Hypothesis chooses what happens next; after every step the rows are held against the invariants, and
at the end everything is repaired and drained. Workers may be dead without knowing it, answers may
get lost, hints may get lost or come twice, and the wall clock may jump.
"""

import contextlib
import time
import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import orjson
import pytest
import sqlalchemy as sa
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app import clock, queue, settings
from app.errors import Conflict, NotFound
from app.models import batches, claims, jobs, keys, sessions, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import TERMINAL, JobState, WorkerState
from app.wire.rows import Job, Line, Outcome, Problem
from app.workers import finalize
from app.workers.context import Context
from app.workers.sweeper import Sweeper
from tests.faults import invariants
from tests.faults.broker import Broker
from tests.integration import makers

SLOTS = ("h/cpu:0", "h/cpu:1")
TENANTS = (DEFAULT_TENANT, "other")
KEYS = st.sampled_from(["k1", "k2"])
INDEX = st.integers(0, 1000)
MAX_ATTEMPTS = 3
LEASE_SECONDS = 4.0
_HOUR_SECONDS = 3600.0
_MOST_ROUNDS = 400
_FREED = (JobState.QUEUED, JobState.CANCELLED, JobState.EXPIRED)
_JUMPS = {"slow": -_HOUR_SECONDS, "right": 0.0, "fast": _HOUR_SECONDS}
_DISTURBANCES = ("lost", "down", "up", "restarted", "swept twice", "control")


@dataclass
class Clock:
    """The wall's and the monotonic one, moved by hand."""

    monotonic: float = 1000.0
    offset: float = 0.0

    def tell(self) -> float:
        """The wall's."""
        return 1_800_000_000.0 + self.monotonic + self.offset

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds


@dataclass
class Agent:
    """A worker as it sees itself. It may be wrong: others may have declared it dead."""

    holder: Holder
    pulse: int = 0
    is_dead: bool = False
    is_stopping: bool = False
    held: dict[str, Job] = field(default_factory=dict)

    @property
    def is_isolating(self) -> bool:
        return any(job.crashes for job in self.held.values())


class Service(RuleBasedStateMachine):
    """Subclasses say where a fresh database comes from (`make_url`) and where files go."""

    make_url: ClassVar[Callable[[], str]]
    folder: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.patch = contextlib.ExitStack()
        self.patch.enter_context(unittest.mock.patch.object(time, "time", self.clock.tell))
        trusted = clock.Clock(lambda: self.clock.monotonic)
        self.patch.enter_context(unittest.mock.patch.object(clock, "process", trusted))
        self.url = type(self).make_url()
        self.db = Database(self.url)
        self.broker = Broker()
        self.sweepers = [self._make_sweeper() for _ in range(2)]
        self.expected = invariants.Expected()
        self.agents: list[Agent] = []
        self.ever: list[Job] = []  # every claim there ever was: late attempts are offered too
        self.by_key: dict[tuple[str, str], tuple[str, str]] = {}
        self.batch_ids: list[str] = []
        self.alike: set[str] = set()  # batches of one request
        self.overdue: set[str] = set()
        self.before: invariants.Snapshot | None = None
        self.lines_before: dict[str, bytes] = {}
        self.is_single_move = True

    def _make_sweeper(self) -> Sweeper:
        options = settings.Settings(
            models=(settings.Model(makers.MODEL, backend="fake"),),
            worker=settings.Worker(
                lease_seconds=LEASE_SECONDS, pulse_seconds=1.0, max_attempts=MAX_ATTEMPTS
            ),
            data_dir=self.folder,
        )
        self.context = Context(self.db, options, self.broker)
        return Sweeper(self.context, monotonic=lambda: self.clock.monotonic)

    @initialize()
    def begin(self) -> None:
        keys.create(self.db, "n", "other")
        self.session_ids = [sessions.create(self.db, DEFAULT_TENANT, None).id for _ in range(2)]
        for slot in SLOTS:
            self.start_worker(slot)

    def teardown(self) -> None:
        try:
            if self.before is not None:
                self._drain()
                for job_id in sorted(invariants.read(self.db).results)[:1]:
                    self._forge_result(job_id)
        finally:
            self.db.close()
            self.patch.close()

    # Clients.

    @rule(
        made=st.lists(
            st.tuples(st.integers(-1, 1), st.integers(0, 4), st.sampled_from(TENANTS)),
            min_size=1,
            max_size=4,
        ),
        is_hinted=st.booleans(),
        is_late=st.integers(0, 7),
    )
    def submit(self, made: list[tuple[int, int, str]], is_hinted: bool, is_late: int) -> None:
        if is_late == 0:
            self.overdue.add(self._submit(window=-3 * _HOUR_SECONDS).id)
        for priority, session, tenant in made:
            session_id = self.session_ids[session] if session < 2 else None
            owner = DEFAULT_TENANT if session_id else tenant
            self._submit(priority=priority, session_id=session_id, tenant_id=owner)
            if is_hinted:
                self.context.hint(makers.MODEL, [])

    def _submit(self, window: float = _HOUR_SECONDS / 2, **changes: Any) -> Job:
        job = makers.add_job(self.db, expires_at=clock.latest() + window, **changes)
        self.expected.accepted.add(job.id)
        return job

    @rule(key=KEYS, body=st.sampled_from(["a", "b"]), tenant=st.sampled_from(TENANTS))
    def submit_same_key(self, key: str, body: str, tenant: str) -> None:
        new = makers.new_job(tenant_id=tenant, idempotency_key=key, request_hash=body)
        first_id, first_body = self.by_key.get((tenant, key), ("", body))
        try:
            job, is_new = jobs.create(self.db, new)
        except Conflict:
            assert body != first_body, "I10: the same key and body were refused"
            return
        assert body == first_body, "I10: the same key with another body was accepted"
        assert is_new == (not first_id), "I10: the same key made a second job"
        assert first_id in ("", job.id), "I10: the same key gave another job"
        self.by_key[tenant, key] = (job.id, body)
        self.expected.accepted.add(job.id)

    @precondition(lambda self: self.expected.accepted)
    @rule(index=INDEX, as_other=st.booleans())
    def cancel(self, index: int, as_other: bool) -> None:
        job_id = _pick(self._list_open() or sorted(self.expected.accepted), index)
        owner = self._row(job_id)["tenant_id"]
        asker = next(t for t in TENANTS if (t != owner) == as_other)
        was_open = self._row(job_id)["state"] not in TERMINAL
        try:
            jobs.cancel(self.db, asker, job_id)
        except NotFound:
            assert as_other, f"I1: {job_id} is gone"
            return
        assert not as_other, f"I8: {asker} cancelled a job of {owner}"
        if was_open:
            self.expected.cancelled.add(job_id)

    def _list_open(self) -> list[str]:
        """Running jobs first."""
        every = invariants.read(self.db).jobs.values()
        rows = [job for job in every if job["state"] not in TERMINAL]
        return [job["id"] for job in sorted(rows, key=lambda job: job["state"], reverse=True)]

    @rule(
        num_lines=st.integers(1, 4),
        num_stored=st.integers(0, 4),
        is_bad=st.booleans(),
        are_alike=st.booleans(),
    )
    def submit_batch(self, num_lines: int, num_stored: int, is_bad: bool, are_alike: bool) -> None:
        """With `are_alike` its lines are one request, which is run once."""
        batch = makers.add_batch(self.db)
        batches.accept(self.db, batch.id, model=makers.MODEL, total=num_lines)
        stored = min(num_lines, num_stored)
        problem = Problem("out_of_range") if is_bad else None
        piece = [Line(n, f"c{n}", makers.MODEL, {}, problem) for n in range(1, stored + 1)]
        if are_alike:
            self.alike.add(batch.id)
            piece = [replace(line, twin_no=None if is_bad else 1) for line in piece]
        batches.add_lines(self.db, batch, piece, last_line=stored)
        self.batch_ids.append(batch.id)

    @precondition(lambda self: self.batch_ids)
    @rule(index=INDEX, action=st.sampled_from(["ingest", "cancel", "finalize"]))
    def advance_batch(self, index: int, action: str) -> None:
        batch_id = _pick(self.batch_ids, index)
        if action == "ingest":
            self._ingest(batch_id)
        elif action == "cancel":
            self._cancel_batch(batch_id)
        else:
            finalize.run(self.context, batch_id)
        self._check_files()

    def _ingest(self, batch_id: str) -> None:
        """The control process starts over with a file that it may have read in part."""
        batch = batches.find(self.db, batch_id)
        assert batch is not None
        piece = makers.make_lines(range(1, batch.total + 1))
        if batch_id in self.alike:
            piece = [replace(line, twin_no=1) for line in piece]
        batches.add_lines(self.db, batch, piece, last_line=batch.total)

    def _cancel_batch(self, batch_id: str) -> None:
        """Lines that run may still finish."""
        every = invariants.read(self.db).jobs.values()
        waiting = {job["id"] for job in every if job["state"] == JobState.QUEUED}
        lines = {job["id"] for job in every if job["batch_id"] == batch_id} & waiting
        try:
            batches.cancel(self.db, DEFAULT_TENANT, batch_id)
        except Conflict:
            return
        self.expected.cancelled.update(lines)

    def _check_files(self) -> None:
        now = invariants.read(self.db)
        for batch in now.batches:
            lines = [job for job in now.jobs.values() if job["batch_id"] == batch["id"]]
            done = {job["custom_id"] for job in lines if job["state"] == JobState.SUCCEEDED}
            for name, wanted in (
                ("output_file_id", done),
                ("error_file_id", {job["custom_id"] for job in lines} - done),
            ):
                if batch[name] is not None:
                    self._check_file(batch[name], sorted(wanted))

    def _check_file(self, file_id: str, wanted: list[str]) -> None:
        content = (self.context.files / file_id.removeprefix("file-")).read_bytes()
        found = [orjson.loads(line)["custom_id"] for line in content.splitlines()]
        assert sorted(found) == wanted, f"I7: {file_id} has lines {found}, not {wanted}"
        before = self.lines_before.setdefault(file_id, content)
        assert content == before, f"I7: {file_id} changed"

    # Workers.

    @rule(slot=st.sampled_from(SLOTS))
    def start_worker(self, slot: str) -> None:
        """Takes the slot over; the one that had it dies, or does not know it yet."""
        self.agents.append(Agent(makers.add_worker(self.db, slot, max_attempts=MAX_ATTEMPTS)))

    @precondition(lambda self: self.living)
    @rule(index=INDEX, is_noticed=st.booleans(), is_followed=st.booleans())
    def crash(self, index: int, is_noticed: bool, is_followed: bool) -> None:
        """With everything it holds. Sweepers may notice; another may take its slot at once."""
        victim = _pick([agent for agent in self.living if agent.held] or self.living, index)
        victim.is_dead = True
        if is_noticed:
            self._pass_lease()
        if is_followed:
            self.start_worker(victim.holder.slot)
            self._claim(self.agents[-1], 4)
            self.is_single_move = False

    def _pass_lease(self) -> None:
        """A lease goes by; only who lives beats meanwhile. Two sweepers look."""
        for _ in range(2):
            self.clock.advance(LEASE_SECONDS)
            for agent in self.living:
                self._beat(agent)
            for sweeper in self.sweepers:
                sweeper.sweep()

    @property
    def living(self) -> list[Agent]:
        return [agent for agent in self.agents if not agent.is_dead]

    def _beat(self, agent: Agent) -> None:
        agent.pulse += 1
        state = workers.update(self.db, agent.holder, pulse=agent.pulse)
        if state is None:
            agent.is_dead = True  # deposed: the real one exits
        elif state == WorkerState.LOST:
            agent.holder = makers.add_worker(self.db, agent.holder.slot, max_attempts=MAX_ATTEMPTS)
            agent.held.clear()
            agent.is_stopping = False

    @precondition(lambda self: self._list_owners())
    @rule(index=INDEX, ending=st.sampled_from(["in time", "killed and missed", "followed"]))
    def stop(self, index: int, ending: str) -> None:
        """Told to end. Killed before it could, it still gives its jobs back uncounted."""
        agent = _pick(self._list_owners(), index)
        workers.begin_stop(self.db, agent.holder.slot, 1)
        agent.is_stopping = True
        if ending == "in time":
            return
        agent.is_dead = True
        before = invariants.read(self.db).jobs
        held = [job for job in agent.held.values() if not _is_over(job, before[job.id])]
        if ending == "followed":
            self.start_worker(agent.holder.slot)
        else:
            self._pass_lease()
        now = invariants.read(self.db).jobs
        for job in held:
            is_free = now[job.id]["state"] in _FREED  # expired if it was overdue
            assert is_free, f"I2: {job.id} is held by one that was stopped"
            assert now[job.id]["crashes"] == job.crashes, f"I4: a stop of {job.id} counts"

    def _list_owners(self) -> list[Agent]:
        """Those who live and still have their slot."""
        rows = {row.slot: row for row in workers.list_all(self.db)}
        living = [each for each in self.living if rows[each.holder.slot].state in workers.ALIVE]
        return [each for each in living if rows[each.holder.slot].epoch == each.holder.epoch]

    @precondition(lambda self: self.living)
    @rule(index=INDEX, limit=st.integers(1, 4), is_answer_lost=st.integers(0, 7))
    def claim(self, index: int, limit: int, is_answer_lost: int) -> None:
        """Every worker looks at the backlog, one of them first; an answer may get lost."""
        first = index % len(self.living)
        for number, agent in enumerate(self.living[first:] + self.living[:first]):
            self._claim(agent, limit, is_answer_lost == number)

    def _claim(self, agent: Agent, limit: int, is_answer_lost: bool = False) -> None:
        if agent.is_isolating:
            return
        found = makers.take(self.db, agent.holder, limit=limit, may_isolate=not agent.held)
        assert not (found and agent.is_stopping), "I12: one that is to end got a job"
        self.ever += found
        if is_answer_lost:
            known = [(job.id, job.attempt) for job in agent.held.values()]
            claims.release_unknown(self.db, agent.holder, known)
            self.is_single_move = False
        else:
            agent.held |= {job.id: job for job in found}

    @precondition(lambda self: self.living)
    @rule(index=INDEX, is_twice=st.booleans())
    def deliver(self, index: int, is_twice: bool) -> None:
        name = queue.model_queue(makers.MODEL)
        message = self.broker.pop(name)
        if message is not None:
            self._claim(_pick(self.living, index), 4)
            if is_twice:
                self.broker.queues[name].append(message)
            self.is_single_move = True

    @precondition(lambda self: any(agent.held for agent in self.living))
    @rule(
        index=INDEX,
        state=st.sampled_from(sorted(TERMINAL)),
        number=st.integers(1, 3),
        is_answer_lost=st.booleans(),
    )
    def commit(self, index: int, state: JobState, number: int, is_answer_lost: bool) -> None:
        """What a worker that may be thought dead has finished; after a lost answer, once more."""
        agent = _pick([agent for agent in self.living if agent.held], index)
        done = list(agent.held.values())[:number]
        outcomes = [_conclude(job, state) for job in done]
        first = claims.settle(self.db, outcomes)
        if is_answer_lost:
            again = claims.settle(self.db, outcomes)
            assert not again.accepted, "I5: the same outcome was accepted twice"
            assert first.accepted | again.fenced >= {job.id for job in done}
        for job in done:
            del agent.held[job.id]

    @precondition(lambda self: any(agent.held for agent in self.living))
    @rule(index=INDEX)
    def cancel_held(self, index: int) -> None:
        """A job is cancelled just before its worker commits it."""
        agent = _pick([agent for agent in self.living if agent.held], index)
        job = next(iter(agent.held.values()))
        if self._row(job.id)["state"] not in TERMINAL:
            jobs.cancel(self.db, job.tenant_id, job.id)
            self.expected.cancelled.add(job.id)
        claims.settle(self.db, [_conclude(job, JobState.SUCCEEDED)])
        del agent.held[job.id]

    @precondition(lambda self: self.living)
    @rule(index=INDEX)
    def fail_first_alike(self, index: int) -> None:
        """Three lines that are alike arrive, and the one that is run for all fails."""
        self.submit_batch(num_lines=3, num_stored=3, is_bad=False, are_alike=True)
        self.claim(index, 4, len(self.living))
        if self._list_alike():
            self.end_alike(index, JobState.FAILED)

    @precondition(lambda self: self._list_alike())
    @rule(index=INDEX, state=st.sampled_from(sorted(TERMINAL)))
    def end_alike(self, index: int, state: JobState) -> None:
        """A line ends that others wait for."""
        agent, job = _pick(self._list_alike(), index)
        claims.settle(self.db, [_conclude(job, state)])
        del agent.held[job.id]

    def _list_alike(self) -> list[tuple[Agent, Job]]:
        held = ((agent, job) for agent in self.living for job in agent.held.values())
        return [(agent, job) for agent, job in held if job.batch_id in self.alike]

    @precondition(lambda self: self.ever)
    @rule(
        picks=st.lists(st.tuples(INDEX, st.sampled_from(sorted(TERMINAL))), min_size=1, max_size=3)
    )
    def commit_late(self, picks: list[tuple[int, JobState]]) -> None:
        """Any attempt there ever was, by a worker that is not asked whether it lives."""
        rows = invariants.read(self.db).jobs
        late = [job for job in self.ever if _is_overtaken(job, rows[job.id])]
        outcomes = [_conclude(_pick(late or self.ever, index), state) for index, state in picks]
        settled = claims.settle(self.db, [replace(o, result=_mark(o)) for o in outcomes])
        wrong = settled.accepted & {job.id for job in late}
        assert not wrong, f"I3: {wrong} took the outcome of an attempt that was over"
        self._forget_ended()

    def _forget_ended(self) -> None:
        """A holder whose job a twin of it has ended will only be fenced; it stops here."""
        now = invariants.read(self.db)
        for agent in self.agents:
            agent.held = {
                job_id: job
                for job_id, job in agent.held.items()
                if now.jobs[job_id]["state"] == JobState.RUNNING
                and now.jobs[job_id]["attempt"] == job.attempt
            }

    @precondition(lambda self: self.living)
    @rule(index=INDEX, is_last=st.booleans())
    def give_back(self, index: int, is_last: bool) -> None:
        """One job; or all, by a worker that ends in order."""
        agent = _pick(self.living, index)
        if is_last:
            workers.retire(self.db, agent.holder)
            agent.is_dead = True
            agent.held.clear()
        elif agent.held:
            job_id, job = agent.held.popitem()
            claims.release(self.db, [(job_id, job.attempt)])

    # Repair, Redis and time.

    @rule(
        which=st.integers(0, 1),
        seconds=st.sampled_from([0.0, 2.0, LEASE_SECONDS]),
        are_beating=st.booleans(),
    )
    def sweep(self, which: int, seconds: float, are_beating: bool) -> None:
        self.clock.advance(seconds)
        for agent in self.living if are_beating else []:
            self._beat(agent)
        self.sweepers[which].sweep()

    @rule(kind=st.sampled_from(_DISTURBANCES))
    def disturb(self, kind: str) -> None:
        """Redis and the control process."""
        if kind == "lost":
            self.broker.pop(queue.model_queue(makers.MODEL))
        elif kind in ("down", "up"):
            self.broker.is_down = kind == "down"
        elif kind == "restarted":
            self.broker.restart()
        elif kind == "swept twice":
            self._pass_lease()
        else:
            self.sweepers[0] = self._make_sweeper()

    @rule(kind=st.sampled_from(sorted(_JUMPS)))
    def jump(self, kind: str) -> None:
        """The wall clock does, and a sweeper looks."""
        self.clock.offset = _JUMPS[kind]
        self.sweepers[0].sweep()

    @precondition(lambda self: self.expected.accepted)
    @rule(index=INDEX)
    def intrude(self, index: int) -> None:
        """Another tenant asks."""
        self._read_as_other(_pick(sorted(self.expected.accepted), index))

    def _read_as_other(self, job_id: str) -> None:
        stranger = next(t for t in TENANTS if t != self._row(job_id)["tenant_id"])
        with pytest.raises(NotFound):
            jobs.get(self.db, stranger, job_id)
        listed = {job.id for job in jobs.list_page(self.db, stranger, limit=10_000)[0]}
        assert job_id not in listed, f"I8: {stranger} sees {job_id}"

    def _forge_result(self, job_id: str) -> None:
        """The table itself refuses it, whatever a program does."""
        names = "job_id, attempt, text, finish_reason, provenance, created_at"
        numbers = "prompt_tokens, completion_tokens, cached_tokens"
        copied = f"SELECT {names}, {numbers} FROM results WHERE job_id = :id"
        try:
            with self.db.write() as tx:
                copying = sa.text(f"INSERT INTO results ({names}, {numbers}) {copied}")
                tx.execute(copying, {"id": job_id})
        except sa.exc.IntegrityError:
            return
        raise AssertionError("I3: the store took a second result of one job")

    # What is checked.

    @invariant()
    def check(self) -> None:
        now = invariants.read(self.db)
        self.expected.accepted |= now.jobs.keys()  # lines of batches have no client of their own
        invariants.check(now, self.expected, max_attempts=MAX_ATTEMPTS)
        if self.before is not None:
            compare = invariants.check_move if self.is_single_move else invariants.check_step
            compare(self.before, now)
        expired = {job_id for job_id, job in now.jobs.items() if job["state"] == "expired"}
        early = expired - self.overdue - {job.id for job in self.ever}
        assert not early, f"I14: {early} expired before their time"
        self.before, self.is_single_move = now, True

    def _row(self, job_id: str) -> invariants.Row:
        return invariants.read(self.db).jobs[job_id]

    def _drain(self) -> None:
        """Faults stop; what was lost must be found by the sweeper alone, within two of its rounds
        and a lease; then one worker has time for everything."""
        self.broker.is_down = False
        for agent in self.agents:
            agent.is_dead = True
        for _ in range(3):
            self._pass_lease()
        self.start_worker(SLOTS[0])
        agent = self.agents[-1]
        for _ in range(_MOST_ROUNDS):
            self._beat(agent)
            self.sweep(0, 2.0, True)
            self.check()
            if self.broker.pop(queue.model_queue(makers.MODEL)) is not None:
                self._work(agent)
            elif not any(j["state"] not in TERMINAL for j in self.before.jobs.values()):  # type: ignore[union-attr]
                break
        now = invariants.read(self.db)
        invariants.check_drained(now)
        self._finish_batches()

    def _work(self, agent: Agent) -> None:
        """A shift: everything that can be claimed, until nothing can."""
        while True:
            self._claim(agent, 4)
            self.check()
            if not agent.held:
                return
            claims.settle(self.db, [makers.succeed(job) for job in agent.held.values()])
            agent.held.clear()
            self.check()

    def _finish_batches(self) -> None:
        for batch_id in self.batch_ids:
            self._ingest(batch_id)
            batch = batches.find(self.db, batch_id)
            if batch is not None and finalize.is_countable(batch):
                finalize.run(self.context, batch_id)
        self._check_files()


def _pick(items: Any, index: int) -> Any:
    return items[index % len(items)]


def _is_overtaken(job: Job, row: invariants.Row) -> bool:
    """Whether another attempt runs by now: the fence's hardest case."""
    return bool(row["state"] == JobState.RUNNING and row["attempt"] != job.attempt)


def _is_over(job: Job, row: invariants.Row) -> bool:
    """Whether this attempt holds the job no more."""
    return bool(row["state"] != JobState.RUNNING or row["attempt"] != job.attempt)


def _conclude(job: Job, state: JobState) -> Outcome:
    if state == JobState.SUCCEEDED:
        return makers.succeed(job, f"answer of attempt {job.attempt}")
    if state == JobState.FAILED:
        return makers.fail(job)
    return Outcome(job.id, job.attempt, state.value)


def _mark(outcome: Outcome) -> Any:
    """A late answer differs from the one in time: a change would be seen."""
    if outcome.result is None:
        return None
    return replace(outcome.result, text=f"late, {outcome.result.text}")
