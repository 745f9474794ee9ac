"""The loop of a shift: the fake engine, the real clerk, a database of the test's own."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app import settings, text
from app.errors import EngineError
from app.inference import fake
from app.inference.engine import Output, Request
from app.models import claims, jobs, workers
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import WorkerState
from app.wire.rows import Job
from app.workers import orders
from app.workers.clerk import Clerk
from app.workers.shift import Shift
from app.workers.tally import Tally
from tests.integration.makers import MODEL, add_job, add_worker, succeed


@pytest.fixture
def holder(database: Database) -> claims.Holder:
    return add_worker(database)


@pytest.fixture
def clerk(database: Database, holder: claims.Holder) -> Iterator[Clerk]:
    def prepare(job: Job) -> orders.Order:
        return orders.prepare(database, text.Bytes(), job, None)

    made = Clerk(database, holder, MODEL, prepare=prepare, provenance={}, capacity=4)
    made.start()
    yield made
    made.tray.close()
    made.forfeit(holder)


def add(db: Database, prompt: str = "hi", max_tokens: int = 4) -> Job:
    sampling = {"max_tokens": max_tokens, "ignore_eos": True}
    return add_job(db, request={"prompt": prompt, "sampling": sampling})


def state(db: Database, job: Job) -> str:
    return jobs.get(db, DEFAULT_TENANT, job.id).state


def make_engine(kind: type[fake.Fake] = fake.Fake, step_seconds: float = 0.0) -> fake.Fake:
    model = settings.Model(MODEL, backend="fake", fake=settings.Fake(step_seconds=step_seconds))
    return kind(model, {}, text.Bytes().decode)


def run(
    engine: fake.Fake,
    clerk: Clerk,
    seconds: float = 100.0,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Tally:
    return Shift(engine, clerk, seconds=seconds, is_stopping=is_stopping).run()


def test_a_shift_ends_when_the_backlog_is_empty_and_everything_is_stored(
    database: Database, clerk: Clerk
):
    made = [add(database) for _ in range(3)]

    tally = run(make_engine(), clerk).as_dict()

    assert [state(database, job) for job in made] == ["succeeded"] * 3
    assert (tally["claimed"], tally["succeeded"], tally["failed"]) == (3, 3, 0)
    assert tally["tokens"] == 12
    assert clerk.tray.want()[0] == 0, "claims go on without a shift"


def test_an_empty_backlog_ends_the_shift_at_once(clerk: Clerk):
    started = time.monotonic()

    run(make_engine(), clerk, seconds=100)

    assert time.monotonic() - started < 50


def test_a_shift_whose_time_is_up_leaves_its_sequences_to_the_next_one(
    database: Database, clerk: Clerk
):
    engine, job = make_engine(step_seconds=0.01), add(database, max_tokens=300)

    run(engine, clerk, seconds=1.5)

    assert engine.num_unfinished == 1
    assert state(database, job) == "running"
    run(engine, clerk)
    assert state(database, job) == "succeeded"
    assert engine.stats.steps == 300


def test_a_shift_that_is_told_to_stop_ends_after_its_step(database: Database, clerk: Clerk):
    engine, job = make_engine(step_seconds=0.01), add(database, max_tokens=4000)

    run(engine, clerk, seconds=100, is_stopping=lambda: engine.stats.steps >= 5)

    assert engine.stats.steps == 5
    assert state(database, job) == "running"


class Picky(fake.Fake):
    """Refuses one prompt."""

    def add(self, request: Request) -> None:
        if bytes(request.prompt) == b"bad":
            raise EngineError("bad_token", token=9)
        super().add(request)


def test_a_request_that_the_engine_refuses_fails_alone(database: Database, clerk: Clerk):
    good, bad = add(database), add(database, "bad")

    tally = run(make_engine(Picky), clerk)

    assert [state(database, job) for job in (good, bad)] == ["succeeded", "failed"]
    assert (tally.succeeded, tally.failed) == (1, 1)


def test_a_failed_code_job_is_reviewed_as_asking_again_may_have_failed(
    database: Database, clerk: Clerk
):
    clerk.review = lambda job, _outcome: succeed(job)
    job = add_job(database, kind="code", request={"prompt": "bad", "sampling": {}})

    run(make_engine(Picky), clerk)

    assert state(database, job) == "succeeded"


def test_an_outcome_that_cannot_be_stored_fails_alone(database: Database, clerk: Clerk):
    class Mumbling(fake.Fake):
        def step(self) -> list[Output]:
            outputs = super().step()
            return [dataclasses.replace(each, text=_spoil(each)) for each in outputs]

    def _spoil(output: Output) -> str:
        return "\ud800" if output.prompt_tokens == 3 else output.text

    made = [add(database), add(database, "bad"), add(database)]

    run(make_engine(Mumbling), clerk)

    assert [state(database, job) for job in made] == ["succeeded", "failed", "succeeded"]
    error: Any = jobs.get(database, DEFAULT_TENANT, made[1].id).error
    assert error["code"] == "engine_failed"


def test_a_job_that_cannot_be_prepared_fails_alone(database: Database, clerk: Clerk):
    good = add(database)
    broken = add_job(database, request={"sampling": {}})

    run(make_engine(), clerk)

    assert state(database, good) == "succeeded"
    assert state(database, broken) == "failed"


def test_a_worker_that_left_holds_nothing_and_can_claim_no_more(
    database: Database, holder: claims.Holder
):
    """Also what was claimed in the very moment of leaving goes back, uncounted."""
    made = [add(database), add(database)]
    assert len(claims.claim(database, holder, MODEL, limit=2, may_isolate=True)) == 2

    number = workers.retire(database, holder)

    assert number == 2
    left = [jobs.get(database, DEFAULT_TENANT, job.id) for job in made]
    assert [(job.state, job.crashes) for job in left] == [("queued", 0)] * 2
    assert claims.claim(database, holder, MODEL, limit=2, may_isolate=True) == []


def test_a_late_outcome_is_fenced_and_the_new_holder_s_one_counts(
    database: Database,
    clerk: Clerk,
    holder: claims.Holder,
    caplog: pytest.LogCaptureFixture,
):
    """While the first worker is in its step, it is declared dead and another claims the job."""
    other = add_worker(database, "h/cpu:1")
    taken: list[Job] = []

    class Sleeping(fake.Fake):
        def step(self) -> list[Output]:
            if not taken:
                lost = (database, holder)
                workers.recover(*lost, max_attempts=3, state=WorkerState.LOST)
                taken.extend(claims.claim(database, other, MODEL, limit=1, may_isolate=True))
            return super().step()

    job = add(database)
    tally = run(make_engine(Sleeping), clerk)

    assert [each.attempt for each in taken] == [2]
    assert state(database, job) == "running"
    assert tally.succeeded == 0
    assert [line.__dict__["action"] for line in caplog.records] == ["fenced"]
    claims.settle(database, [succeed(taken[0], "the other's")])
    ended = jobs.get(database, DEFAULT_TENANT, job.id)
    assert ended.result
    assert ended.result.text == "the other's"


def test_the_tray_is_closed_even_if_the_engine_breaks(database: Database, clerk: Clerk):
    class Broken(fake.Fake):
        def step(self) -> list[Output]:
            raise RuntimeError("device lost")

    add(database)

    with pytest.raises(RuntimeError, match="device lost"):
        run(make_engine(Broken), clerk)

    assert clerk.tray.want()[0] == 0
