"""Random operations never make an illegal move, change a terminal row or lose count."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.models import batches, claims, jobs, sessions, sweeps, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import ALIVE, MOVES, TERMINAL, JobState, WorkerState
from app.wire.rows import Job, Line, Outcome, Problem
from tests.integration import makers

pytestmark = pytest.mark.integration

SLOTS = st.sampled_from(["h/cpu:0", "h/cpu:1"])
INDEX = st.integers(0, 1000)
MAX_ATTEMPTS = 3


class Store(RuleBasedStateMachine):
    """Clients, workers (dead ones too, who do not know it) and sweepers over one database."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        for part in self.template.parent.glob("autoglm.db*"):
            shutil.copy(part, self.folder / part.name)
        self.db = Database(f"sqlite:///{self.folder}/autoglm.db")
        self.session_ids = [sessions.create(self.db, DEFAULT_TENANT, None).id for _ in range(2)]
        self.holders: list[Holder] = []
        self.held: list[Job] = []  # everything ever claimed: late attempts are offered too
        self.batch_ids: list[str] = []
        self.before: dict[str, Job] = {}

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @rule(priority=st.integers(-1, 1), session=st.integers(0, 3), overdue=st.booleans())
    def submit(self, priority: int, session: int, overdue: bool) -> None:
        session_id = self.session_ids[session] if session < 2 else None
        expires_at = 1.0 if overdue else None
        makers.add_job(self.db, priority=priority, session_id=session_id, expires_at=expires_at)

    @rule(num_lines=st.integers(1, 3), num_stored=st.integers(0, 3), is_bad=st.booleans())
    def submit_batch(self, num_lines: int, num_stored: int, is_bad: bool) -> None:
        batch = makers.add_batch(self.db)
        batches.accept(self.db, batch.id, model=makers.MODEL, total=num_lines)
        stored = min(num_lines, num_stored)
        problem = Problem("out_of_range") if is_bad else None
        piece = [Line(n, f"c{n}", makers.MODEL, {}, problem) for n in range(1, stored + 1)]
        batches.add_lines(self.db, batch, piece, last_line=stored)
        self.batch_ids.append(batch.id)

    @precondition(lambda self: self.batch_ids)
    @rule(index=INDEX)
    def store_rest(self, index: int) -> None:
        batch = batches.find(self.db, self.batch_ids[index % len(self.batch_ids)])
        assert batch is not None
        piece = makers.make_lines(range(1, batch.total + 1))
        batches.add_lines(self.db, batch, piece, last_line=batch.total)

    @precondition(lambda self: self.batch_ids)
    @rule(index=INDEX)
    def cancel_batch(self, index: int) -> None:
        batches.cancel(self.db, DEFAULT_TENANT, self.batch_ids[index % len(self.batch_ids)])

    @rule(slot=SLOTS)
    def enroll(self, slot: str) -> None:
        self.holders.append(makers.add_worker(self.db, slot, max_attempts=MAX_ATTEMPTS))

    @precondition(lambda self: self.holders)
    @rule(index=INDEX, limit=st.integers(1, 4), may_isolate=st.booleans())
    def claim(self, index: int, limit: int, may_isolate: bool) -> None:
        holder = self.holders[index % len(self.holders)]
        self.held += makers.take(self.db, holder, limit=limit, may_isolate=may_isolate)

    @precondition(lambda self: self.holders)
    @rule(index=INDEX)
    def declare_dead(self, index: int) -> None:
        holder = self.holders[index % len(self.holders)]
        lost = {"max_attempts": MAX_ATTEMPTS, "state": WorkerState.LOST}
        workers.recover(self.db, holder.slot, holder.epoch, **lost)  # type: ignore[arg-type]

    @precondition(lambda self: self.held)
    @rule(picks=st.lists(st.tuples(INDEX, st.sampled_from(sorted(TERMINAL))), max_size=3))
    def settle(self, picks: list[tuple[int, JobState]]) -> None:
        claims.settle(self.db, [self.make_outcome(index, state) for index, state in picks])

    def make_outcome(self, index: int, state: JobState) -> Outcome:
        job = self.held[index % len(self.held)]
        if state == JobState.SUCCEEDED:
            return makers.succeed(job)
        if state == JobState.FAILED:
            return makers.fail(job)
        return Outcome(job.id, job.attempt, state.value)

    @precondition(lambda self: self.held)
    @rule(index=INDEX)
    def release(self, index: int) -> None:
        job = self.held[index % len(self.held)]
        claims.release(self.db, [(job.id, job.attempt)])

    @precondition(lambda self: self.before)
    @rule(index=INDEX)
    def cancel(self, index: int) -> None:
        jobs.cancel(self.db, DEFAULT_TENANT, sorted(self.before)[index % len(self.before)])

    @rule()
    def expire(self) -> None:
        sweeps.expire_overdue(self.db)

    @invariant()
    def check(self) -> None:
        after = {job.id: job for job in self.read_jobs()}
        assert after.keys() >= self.before.keys()
        for job_id, job in after.items():
            self.check_job(self.before.get(job_id), job)
        self.check_sessions(list(after.values()))
        self.check_holders()
        self.check_batches(list(after.values()))
        self.before = after

    def read_jobs(self) -> list[Job]:
        return jobs.list_page(self.db, DEFAULT_TENANT, limit=10_000)[0]

    def check_job(self, before: Job | None, after: Job) -> None:
        assert (after.result is not None) == (after.state == JobState.SUCCEEDED)
        assert (after.finished_at is not None) == (after.state in TERMINAL)
        assert after.crashes < MAX_ATTEMPTS
        if before is None:
            return
        assert after.attempt - before.attempt in (0, 1)
        assert after.attempt == before.attempt or after.state == JobState.RUNNING
        if before.state in TERMINAL:
            assert after == before
        elif after.state != before.state:
            assert JobState(after.state) in MOVES[JobState(before.state)]

    def check_sessions(self, found: list[Job]) -> None:
        for session_id in self.session_ids:
            mine = [job for job in found if job.session_id == session_id]
            assert sum(job.state == JobState.RUNNING for job in mine) <= 1
            turns = sessions.list_turns(self.db, session_id)
            assert [turn.turn_no for turn in turns] == list(range(1, len(turns) + 1))
            done = sorted((j for j in mine if j.result), key=lambda job: job.seq)
            assert [turn.job_id for turn in turns] == [job.id for job in done]

    def check_holders(self) -> None:
        """Whoever holds a job is watched: else nobody would notice its death."""
        with self.db.read() as tx:
            rows = tx.exec_driver_sql(
                "SELECT w.state FROM jobs j LEFT JOIN workers w"
                " ON w.slot = j.slot AND w.epoch = j.epoch WHERE j.state = 'running'"
            ).all()
        assert {row.state for row in rows} <= {state.value for state in ALIVE}

    def check_batches(self, found: list[Job]) -> None:
        for batch_id in self.batch_ids:
            batch = batches.find(self.db, batch_id)
            assert batch is not None
            states = [job.state for job in found if job.batch_id == batch_id]
            ended = sum(state in TERMINAL for state in states)
            assert batch.completed == states.count("succeeded")
            assert batch.completed + batch.failed == ended


def test_no_sequence_of_operations_breaks_the_promises(migrated_file: Path) -> None:
    options = hypothesis.settings(
        max_examples=25, stateful_step_count=30, deadline=None, derandomize=True
    )
    run_state_machine_as_test(
        type("Migrated", (Store,), {"template": migrated_file}), settings=options
    )


def test_terminal_states_lead_nowhere_and_every_other_state_can_end() -> None:
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED} == TERMINAL
    open_states: dict[JobState, Any] = {s: m for s, m in MOVES.items() if s not in TERMINAL}
    assert all(moves & TERMINAL for moves in open_states.values())
    assert JobState.SUCCEEDED not in MOVES[JobState.QUEUED]
