"""Shifts of a real worker: one load, continuations, hints, devices, cancellation, traces."""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kombu import messaging

from app import queue, text
from app.inference import backends
from app.inference.engine import Request
from app.models import jobs, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Job
from app.workers import orders
from tests.integration.workplace import MODEL, Program, Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    folder = tmp_path_factory.mktemp("shifts")
    models = (fake_model(step_seconds=0.01),)
    url = f"{redis_server}?virtual_host=3"
    with opened(module_database, url, folder, models=models, shift_seconds=0.3) as made:
        yield made


@pytest.fixture(scope="module")
def worker(place: Workplace) -> Program:
    program = place.start_worker()
    place.wait_ready()
    return program


def test_a_cpu_child_sees_no_gpu_from_its_very_start(place: Workplace, worker: Program):
    row = place.wait_ready()

    assert row.parent_pid == worker.pid
    assert psutil.Process(row.pid).environ()["CUDA_VISIBLE_DEVICES"] == ""


def test_the_model_is_loaded_once_in_ten_shifts(place: Workplace, worker: Program):
    before = place.wait_ready()

    for _ in range(11):
        shifts = place.wait_ready().shifts
        job = place.add()
        place.hint([job])
        assert [each.state for each in place.wait_ended(job)] == ["succeeded"]
        _wait_shift(place, beyond=shifts)

    after = place.wait_ready()
    assert after.shifts >= before.shifts + 10
    assert after.model_loads_total == 1
    assert (after.pid, after.epoch) == (before.pid, before.epoch)


def _wait_shift(place: Workplace, *, beyond: int) -> None:
    wait_for(lambda: place.wait_ready().shifts > beyond, "the next shift")


def test_one_job_lasts_five_shifts_in_one_attempt_each_token_made_once(
    place: Workplace, worker: Program
):
    """300 tokens at 10 ms or more a step are ten shifts of 0.3 s."""
    before = place.wait_idle()

    long = place.add("the long one", max_tokens=300)
    place.hint([long])
    ended = place.wait_ended(long)[0]

    after = place.wait_idle()
    assert ended.attempt == 1
    assert ended.crashes == 0
    assert ended.result
    assert ended.result.completion_tokens == 300
    assert after.step - before.step == 300
    assert after.shifts - before.shifts >= 5
    assert ended.result.text == _uninterrupted(ended)


def _uninterrupted(job: Job) -> str:
    """What the engine says when nothing interrupts it."""
    engine = backends.build(fake_model(), device="cpu", decode=text.Bytes().decode)
    prompt = tuple(text.Bytes().prompt(job.request["messages"]))
    engine.add(Request("x", prompt, orders._read_sampling(job)))
    while engine.num_unfinished:
        outputs = engine.step()
    return outputs[0].text


def test_three_hints_for_a_job_start_it_once(place: Workplace, worker: Program):
    made = [place.add(f"once {number}") for number in range(4)]

    for _ in range(3):
        place.hint(made)
    ended = place.wait_ended(*made)

    assert [(job.state, job.attempt) for job in ended] == [("succeeded", 1)] * 4
    starts = [line["job_id"] for line in worker.lines("claim")]
    assert all(starts.count(job.id) == 1 for job in made)


def test_a_hint_for_nothing_changes_nothing(place: Workplace, worker: Program):
    before = place.wait_ready().shifts

    place.hint()

    _wait_shift(place, beyond=before)
    assert place.count("SELECT count(*) FROM jobs WHERE state = 'running'") == 0


def test_a_cancelled_running_job_ends_soon_and_its_neighbour_succeeds(
    place: Workplace, worker: Program
):
    doomed = place.add("stop me", max_tokens=4000)
    neighbour = place.add("go on", max_tokens=500)
    place.hint([doomed, neighbour])
    place.wait_running(doomed, neighbour)

    asked = time.monotonic()
    jobs.cancel(place.db, DEFAULT_TENANT, doomed.id)
    ended = place.wait_ended(doomed)[0]
    took = time.monotonic() - asked

    assert ended.state == "cancelled"
    assert ended.result is None
    assert took < 30  # its 4000 tokens would take 40 s
    assert place.wait_ended(neighbour)[0].state == "succeeded"


def test_a_running_job_whose_session_is_deleted_leaves_the_engine(
    place: Workplace, worker: Program
):
    session = sessions.create(place.db, DEFAULT_TENANT, None)
    deleted = place.add("forget me", max_tokens=4000, session_id=session.id)
    place.hint([deleted])
    wait_for(lambda: place.wait_ready().in_flight == 1, "a job in the engine")

    asked = time.monotonic()
    sessions.delete(place.db, DEFAULT_TENANT, session.id)
    place.wait_idle()

    assert time.monotonic() - asked < 30  # its 4000 tokens would take 40 s


def test_a_running_job_past_its_time_ends_expired_and_its_neighbour_succeeds(
    place: Workplace, worker: Program
):
    late = place.add("too late", max_tokens=4000, expires_at=time.time() + 1.5)
    neighbour = place.add("in time", max_tokens=20)
    place.hint([late, neighbour])

    ended = place.wait_ended(late, neighbour)

    assert [job.state for job in ended] == ["expired", "succeeded"]
    assert ended[0].result is None


def test_the_trace_of_a_job_is_in_the_lines_of_its_claim_and_its_end(
    place: Workplace, worker: Program
):
    job = place.add("trace me", trace_id="ab" * 16)
    place.hint([job])
    place.wait_ended(job)

    for action in ("claim", "settle"):
        lines = _wait_lines(worker, action, job)
        assert [line["trace_id"] for line in lines] == ["ab" * 16]


def _wait_lines(worker: Program, action: str, job: Job) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        return [line for line in worker.lines(action) if line["job_id"] == job.id]

    return wait_for(look, f"a line of {action}")


def test_a_job_that_fails_in_the_engine_leaves_its_neighbours_alone(
    place: Workplace, worker: Program
):
    made = [place.add(text) for text in ("[[error]]", "[[nan]]", "[[oom]]", "fine")]
    place.hint(made)

    ended = place.wait_ended(*made)

    assert [job.state for job in ended] == ["failed", "failed", "failed", "succeeded"]
    codes = [job.error["code"] for job in ended if job.error]
    assert codes == ["engine_failed", "numerical", "out_of_memory"]


def test_jobs_of_a_session_run_in_order_and_see_the_earlier_turn(place: Workplace, worker: Program):
    session = sessions.create(place.db, DEFAULT_TENANT, None)
    first = place.add("my name is Ada", session_id=session.id)
    second = place.add("[[echo]]", session_id=session.id)
    place.hint([first, second])

    ended = place.wait_ended(first, second)

    assert all(job.result for job in ended)
    said = ended[1].result.text if ended[1].result else ""
    assert "my name is Ada" in said
    assert ended[0].result
    assert ended[0].result.text in said


def test_forged_messages_run_nothing_and_the_worker_serves_on(place: Workplace, worker: Program):
    """An unknown task, wrong arguments, and a pickle that would make a file."""
    trap = place.folder / "trap"
    target = queue.model_queue(MODEL)
    place.app.send_task("os.system", args=["true"], queue=target)
    place.app.send_task(queue.SHIFT_TASK, kwargs={"surprise": 1}, queue=target)
    with place.app.connection_for_write() as connection:
        body = pickle.dumps(_Trap(trap))
        messaging.Producer(connection).publish(
            body,
            routing_key=target,
            content_type="application/x-python-serialize",
            content_encoding="binary",
        )

    job = place.add("after the forgery")
    place.hint([job])

    assert place.wait_ended(job)[0].state == "succeeded"
    assert not trap.exists()
    assert place.wait_ready().model_loads_total == 1


class _Trap:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_an_urgent_job_runs_while_lesser_ones_fill_the_worker(place: Workplace, worker: Program):
    place.wait_ready()
    lesser = [place.add(max_tokens=3000, priority=-10) for _ in range(40)]
    place.hint(lesser)
    place.wait_running(lesser[0])
    place.wait_running(lesser[15])  # the engine has all that it takes

    urgent = place.add(max_tokens=1)
    (ended,) = place.wait_ended(urgent)

    assert ended.state == "succeeded"
    assert not {"succeeded", "failed"} & set(place.states(*lesser))
    for job in lesser:
        jobs.cancel(place.db, DEFAULT_TENANT, job.id)
    place.wait_ended(*lesser)
