"""What kills, hangs and pauses do to a worker's jobs: nothing is lost, one outcome each."""

import contextlib
import dataclasses
import os
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from app import queue
from app.models import evidence
from app.models.database import Database
from app.wire.rows import Evidence, Job
from tests.conftest import running_redis
from tests.integration.workplace import (
    HOST,
    MODEL,
    WAIT_SECONDS,
    WAYS,
    Program,
    Workplace,
    fake_model,
    is_running,
    opened,
    wait_for,
)

pytestmark = pytest.mark.integration
STOP_SECONDS = 60.0  # far less than a shift or a load here; a busy machine needs seconds for a stop


@pytest.fixture(scope="module")
def stops(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    """A place whose worker is stopped in one way after another; its jobs last 8 s at least, and the
    newest are the most urgent."""
    folder = tmp_path_factory.mktemp("stops")
    models = (fake_model(step_seconds=0.02),)
    url = f"{redis_server}?virtual_host=4"
    with opened(module_database, url, folder, models=models, shift_seconds=600.0) as place:
        yield place


@pytest.mark.databases
@pytest.mark.parametrize("way", WAYS)
def test_a_stop_under_load_gives_every_job_back_uncounted(stops: Workplace, way: str):
    urgency = 1 + WAYS.index(way)  # what earlier stops left must not fill the worker first
    made = [stops.add(f"{way} {n}", max_tokens=400, priority=urgency) for n in range(10)]
    stops.hint(made)
    before = stops.row()
    worker = stops.start_worker()
    row = stops.wait_ready(beyond=before.epoch if before else 0)
    wait_for(lambda: stops.states(*made).count("running") >= 8, "running jobs")

    started = time.monotonic()
    worker.stop_by(way)
    worker.wait(STOP_SECONDS)
    took = time.monotonic() - started

    ended = [stops.get(job) for job in made]
    assert {job.state for job in ended} <= {"queued", "succeeded"}
    assert "queued" in {job.state for job in ended}
    assert {job.crashes for job in ended} == {0}
    assert stops.count("SELECT count(*) FROM attempts WHERE outcome = 'crashed'") == 0
    assert sum(stops.count_attempts(job, "released") for job in made) >= 1
    assert took < STOP_SECONDS
    assert worker.process.returncode == 0
    assert (last := stops.row()) is not None
    assert (last.epoch, last.state) == (row.epoch, "stopped")
    assert not is_running(row.pid)


@pytest.mark.databases
def test_after_the_stops_a_new_worker_does_everything_that_was_left(stops: Workplace):
    assert stops.count("SELECT count(*) FROM jobs WHERE state = 'queued'") > 0
    stops.settings = dataclasses.replace(stops.settings, models=(fake_model(),))  # a quick one

    stops.start_worker()

    def is_done() -> bool:
        return stops.count("SELECT count(*) FROM jobs WHERE state <> 'succeeded'") == 0

    wait_for(is_done, "all jobs")
    total = stops.count("SELECT count(*) FROM jobs")
    assert total == 10 * len(WAYS)
    assert stops.count("SELECT count(*) FROM results") == total


@pytest.mark.databases
def test_an_idle_worker_stops_at_once(stops: Workplace):
    row = stops.wait_ready()

    os.kill(row.parent_pid, signal.SIGTERM)

    wait_for(lambda: not is_running(row.parent_pid), "the end", STOP_SECONDS)
    assert (last := stops.row()) is not None
    assert last.state == "stopped"


@pytest.mark.databases
def test_a_worker_that_is_killed_while_it_stops_costs_its_jobs_nothing(
    database: Database, redis_url: str, tmp_path: Path
):
    """Its step outlasts any grace, as long ones do under `autoglm up`."""
    models = (fake_model(step_seconds=600.0),)
    with opened(database, redis_url, tmp_path / "w", models=models, max_attempts=1) as place:
        worker = place.start_worker()
        place.wait_ready()
        job = place.add()
        place.hint([job])
        wait_for(lambda: (row := place.row()) and row.in_shift and row.in_flight, "a step")

        worker.process.send_signal(signal.SIGTERM)
        wait_for(lambda: (row := place.row()) and row.state == "stopping", "the mark")
        worker.end()
        place.settings = dataclasses.replace(place.settings, models=(fake_model(),))
        place.start_worker()

        ended = place.wait_ended(job)[0]
        assert (ended.state, ended.attempt, ended.crashes) == ("succeeded", 2, 0)
        assert place.count_attempts(job, "released") == 1


def test_a_worker_that_cannot_give_its_jobs_back_costs_them_nothing(
    database: Database, redis_url: str, tmp_path: Path
):
    """Its database takes nothing more, as on a full disk."""
    limits = {"statement_timeout_seconds": 0.5, "max_attempts": 1}
    models = (fake_model(step_seconds=0.02),)
    with opened(database, redis_url, tmp_path / "w", models=models, **limits) as place:
        worker = place.start_worker()
        place.wait_ready()
        job = place.add(max_tokens=100_000)
        place.hint([job])
        place.wait_running(job)

        with sqlite3.connect(str(database.url.database), isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            worker.process.send_signal(signal.SIGTERM)
            worker.wait(STOP_SECONDS)
            assert place.get(job).state == "running"
            assert [line for line in worker.lines("release") if "left to the next" in str(line)]
        other.close()
        place.start_worker()

        wait_for(lambda: place.get(job).attempt == 2, "the next attempt")
        assert (place.get(job).state, place.get(job).crashes) == ("running", 0)
        assert place.count_attempts(job, "released") == 1


LOADS: dict[str, Any] = {
    "slow": {"load_seconds": 600.0},
    "failing": {"load_failures": 100_000, "load_seconds": 0.2},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", LOADS)
def test_a_worker_that_is_still_loading_stops_with_all_its_processes(
    database: Database, redis_url: str, tmp_path: Path, kind: str, way: str
):
    models = (fake_model(**LOADS[kind]),)
    with opened(database, redis_url, tmp_path / "w", models=models) as place:
        worker = place.start_worker()
        row = place.wait_row()
        if kind == "failing":
            wait_for(lambda: worker.lines("load_failed"), "a failed load")
        family = psutil.Process(worker.pid).children(recursive=True)

        started = time.monotonic()
        worker.stop_by(way)
        assert worker.wait(STOP_SECONDS) == 0

        assert time.monotonic() - started < STOP_SECONDS
        assert row.pid in {process.pid for process in family}
        wait_for(lambda: not any(is_running(each.pid) for each in family), "their end")
        wait_for(lambda: not _find_session(worker.pid), "the end of late ones")


def test_a_loading_child_does_not_keep_a_broken_worker_alive(
    database: Database, redis_url: str, tmp_path: Path
):
    models = (fake_model(load_seconds=600.0),)
    with opened(database, redis_url, tmp_path / "w", models=models) as place:
        worker = start_fragile(place)
        place.wait_row()
        with place.app.connection_for_write() as connection:
            connection.default_channel.client.lpush(queue.model_queue(MODEL), b"garbage")

        assert worker.wait() == 1

        wait_for(lambda: not _find_session(worker.pid), "the child's end")


def start_fragile(place: Workplace) -> Program:
    """A worker that breaks off at the first message that is none, as Celery does by itself."""
    script = (str(Path(__file__).with_name("run_fragile.py")),)
    path = str(Path(__file__).parents[2])
    return place.start("worker", "--device", "cpu:0", script=script, PYTHONPATH=path)


def test_a_worker_whose_pool_was_emptied_ends_as_a_failure_and_loses_nothing(
    database: Database, redis_url: str, tmp_path: Path
):
    with opened(database, redis_url, tmp_path / "w") as place:
        script = (str(Path(__file__).with_name("run_shrinkable.py")),)
        path = str(Path(__file__).parents[2])
        worker = place.start("worker", "--device", "cpu:0", script=script, PYTHONPATH=path)
        row = place.wait_idle()
        wait_for(lambda: place.app.control.ping(limit=1), "somebody who listens")

        wait_for(lambda: _shrink(place), "a pool that shrinks")  # it does not while a shift ends
        wait_for(lambda: not is_running(row.pid), "the child's end")
        job = place.add()
        place.hint([job])

        assert worker.wait() == 70
        assert worker.lines("childless")
        wait_for(lambda: not _find_session(worker.pid), "the end of all")
        place.start_worker()
        ended = place.wait_ended(job)[0]
        assert (ended.state, ended.crashes) == ("succeeded", 0)


def _shrink(place: Workplace) -> bool:
    answers = place.app.control.broadcast("pool_shrink", arguments={"n": 1}, reply=True, limit=1)
    return any("ok" in found for answer in answers or () for found in answer.values())


def _find_session(leader: int) -> list[int]:
    """The processes that run in a session."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            if is_running(pid) and os.getsid(pid) == leader:
                found.append(pid)
    return found


@pytest.fixture(scope="module")
def poisons(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    """A place whose worker gives a job two attempts and a step four seconds."""
    folder = tmp_path_factory.mktemp("poisons")
    with opened(
        module_database,
        f"{redis_server}?virtual_host=5",
        folder,
        host="poisoned",
        models=(fake_model("poisoned", step_seconds=0.02),),
        max_attempts=2,
        step_timeout_seconds=4.0,
    ) as place:
        place.model = "poisoned"
        place.start_worker()
        place.wait_ready()
        yield place


@pytest.mark.databases
def test_a_poisonous_job_is_started_max_attempts_times_and_fails_alone(poisons: Workplace):
    check_poison(poisons, "[[crash]]")


@pytest.mark.databases(long=True)
@pytest.mark.parametrize("marker", ["[[hang]]", "[[spin]]"])
def test_a_job_whose_step_never_ends_is_cut_and_fails_alone(poisons: Workplace, marker: str):
    check_poison(poisons, marker)


def check_poison(poisons: Workplace, marker: str) -> None:
    worker = poisons.programs[0]
    before_cut = {action: len(worker.lines(action)) for action in ("step_cut", "hang")}
    before = poisons.wait_ready()
    neighbours = [poisons.add(f"{marker[2:-2]} neighbour {number}") for number in range(3)]
    poison = poisons.add(marker)
    neighbours += [poisons.add(f"later {number}") for number in range(3)]
    poisons.hint([poison])

    ended = poisons.wait_ended(poison)[0]
    others = poisons.wait_ended(*neighbours)

    assert ended.state == "failed"
    assert ended.error
    assert ended.error["code"] == "worker_crashed"
    assert ended.attempt == 2
    assert poisons.count_attempts(poison, "crashed") == 2
    assert {job.state for job in others} == {"succeeded"}
    assert max(job.attempt for job in others) <= 2
    assert poisons.wait_ready().epoch == before.epoch + 2
    assert worker.process.poll() is None
    cut = {action: len(worker.lines(action)) - n for action, n in before_cut.items()}
    assert cut["step_cut"] == (0 if marker == "[[crash]]" else 2)
    assert cut["hang"] == (2 if marker == "[[spin]]" else 0)
    _check_evidence(evidence.find(poisons.db, poison.id), marker)


def _check_evidence(found: Mapping[int, Evidence], marker: str) -> None:
    assert list(found) == [1, 2]
    for left in found.values():
        assert left.cause == ("killed" if marker == "[[crash]]" else "hang")
        assert ("markers.py" in left.stacks) == (marker != "[[crash]]")
        assert any(line.get("action") == "claim" for line in left.log)


def test_a_child_killed_in_its_slow_first_load_costs_no_message_and_no_job(
    database: Database, redis_url: str, tmp_path: Path
):
    """The load is longer than the four seconds that Celery gives a child by default."""
    models = (fake_model(load_seconds=5.0),)
    with opened(database, redis_url, tmp_path / "w", models=models) as place:
        worker = place.start_worker()
        job = place.add()
        place.hint([job])
        first = place.wait_row()
        assert first.state == "loading"
        wait_for(lambda: queue.count_waiting(place.app, queue.model_queue(MODEL)) == 0, "a taker")

        os.kill(first.pid, signal.SIGKILL)

        second = place.wait_row(epoch=2)
        assert second.state == "loading"
        assert place.get(job).state == "queued"
        assert _count_unacked(place) >= 1, "acknowledged without a model"
        ended = place.wait_ended(job)[0]
        again = place.add("again")
        place.hint([again])
        assert (ended.state, ended.attempt) == ("succeeded", 1)
        assert place.wait_ended(again)[0].state == "succeeded"
        assert worker.process.poll() is None
        wait_for(lambda: _count_unacked(place) == 0, "acknowledgement")


def _count_unacked(place: Workplace) -> int:
    with place.app.connection_for_write() as connection:
        return int(connection.default_channel.client.hlen("unacked"))


@pytest.mark.databases
def test_a_slot_has_one_worker_and_the_next_one_takes_over_its_jobs(
    database: Database, redis_url: str, tmp_path: Path
):
    """No control process runs here: nobody waits for a lease."""
    models = (fake_model(step_seconds=0.02),)
    seldom = {"lease_seconds": 600.0, "shift_seconds": 600.0}
    with opened(database, redis_url, tmp_path / "w", models=models, **seldom) as place:
        first = place.start_worker()
        row = place.wait_ready()
        rival = place.start_worker(LANG="en_US.UTF-8", LC_ALL="en_US.UTF-8")
        assert rival.wait() == 1
        assert f"process {first.pid}" in rival.text
        assert f"{HOST}/cpu:0" in rival.text
        assert "Traceback" not in rival.text
        assert first.process.poll() is None
        assert (still := place.row()) is not None
        assert still.epoch == row.epoch

        again = place.add("taken over", max_tokens=300)
        place.hint([again])
        place.wait_running(again)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        next_one, restarted_at = place.start_worker(), time.time()
        wait_for(lambda: place.get(again).attempt == 2, "the second claim")
        check_takeover(place, again, next_one, restarted_at)
        taken = place.wait_ended(again)[0]

        assert place.wait_idle().shifts == 1, "taken over in a later shift"
        assert (taken.state, taken.attempt, taken.crashes) == ("succeeded", 2, 1)
        assert place.count_attempts(again, "crashed") == 1
        assert (new := place.row()) is not None
        assert new.epoch == row.epoch + 1
        assert not is_running(row.pid)


def check_takeover(place: Workplace, job: Job, worker: Program, restarted_at: float) -> None:
    """The new incarnation claimed the job as soon as it was there: by the times that are stored."""
    with place.db.read() as tx:
        asked = sa.text("SELECT epoch, claimed_at FROM jobs WHERE id = :id")
        epoch, claimed_at = tx.execute(asked, {"id": job.id}).one()
    assert (row := place.row()) is not None
    (enrolled,) = worker.lines("enroll")
    assert (enrolled["epoch"], enrolled["requeued"]) == (row.epoch, 1)
    assert epoch == row.epoch
    assert restarted_at < row.started_at < claimed_at
    assert claimed_at - row.started_at < 2 * (row.started_at - restarted_at) + 60


def suspend_outside_writes(pid: int, database: Database) -> psutil.Process:
    """Stops a process at a moment at which it does not hold SQLite's write lock: one that sleeps
    with it keeps everybody waiting, on this database by design. PostgreSQL ends such transactions."""
    process = psutil.Process(pid)
    if not database.is_sqlite:
        process.suspend()
        return process
    for _ in range(200):
        process.suspend()
        with contextlib.closing(sqlite3.connect(str(database.url.database), timeout=0.2)) as probe:
            try:
                probe.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.resume()
                time.sleep(0.05)
            else:
                return process
    raise AssertionError("the process writes all the time")


@pytest.mark.databases(long=True)
def test_a_child_that_slept_past_its_lease_loses_its_jobs_but_not_its_model(
    database: Database, redis_url: str, tmp_path: Path
):
    models = (fake_model(step_seconds=0.02),)
    with opened(database, redis_url, tmp_path / "w", models=models, lease_seconds=5.0) as place:
        worker = place.start_worker()
        control = place.start_control()
        before = place.wait_ready()
        made = [place.add(f"sleeper {number}", max_tokens=400) for number in range(3)]
        place.wait_running(*made)

        child = suspend_outside_writes(before.pid, database)
        wait_for(lambda: control.lines("worker_lost"), "the sweeper's verdict")
        assert set(place.states(*made)) == {"queued"}
        child.resume()

        ended = place.wait_ended(*made)
        after = place.wait_ready(beyond=before.epoch)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 2)}
        assert {place.count_attempts(job, "crashed") for job in made} == {1}
        assert place.count("SELECT count(*) FROM results") == len(made)
        assert (after.pid, after.model_loads_total) == (before.pid, 1)
        assert worker.lines("lease_lost")
        later = place.add("later")
        assert place.wait_ended(later)[0].state == "succeeded"


def test_jobs_without_a_hint_are_found_also_those_stored_while_redis_was_away(
    database: Database, tmp_path: Path
):
    (tmp_path / "redis").mkdir()
    with (
        running_redis(tmp_path / "redis") as server,
        opened(database, server.url, tmp_path / "w") as place,
    ):
        worker = place.start_worker()
        place.start_control()
        place.wait_ready()
        unseen = place.add("nobody was told")
        assert place.wait_ended(unseen)[0].state == "succeeded"

        server.stop()
        stranded = [place.add(f"stranded {number}") for number in range(5)]
        assert not place.context.hint(MODEL, [job.id for job in stranded])
        assert set(place.states(*stranded)) == {"queued"}
        server.start()

        ended = place.wait_ended(*stranded, seconds=WAIT_SECONDS)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
        assert worker.process.poll() is None
        assert place.wait_ready().model_loads_total == 1


def test_a_worker_that_breaks_off_says_so_by_its_exit_status(
    database: Database, redis_url: str, tmp_path: Path
):
    """Whatever stops Celery, a process manager must see it as a failure."""
    with opened(database, redis_url, tmp_path / "w") as place:
        worker = start_fragile(place)
        place.wait_ready()
        job = place.add()
        with place.app.connection_for_write() as connection:
            connection.default_channel.client.lpush(queue.model_queue(MODEL), b"garbage")

        assert worker.wait() == 1

        assert (row := place.row()) is not None
        assert row.state == "stopped"
        place.start_worker()
        place.hint([job])
        assert place.wait_ended(job)[0].state == "succeeded"


def test_a_gpu_slot_shows_its_child_one_gpu_from_its_very_start(
    database: Database, redis_url: str, tmp_path: Path
):
    with opened(database, redis_url, tmp_path / "w") as place:
        place.start_worker("cuda:1", CUDA_VISIBLE_DEVICES="3,5")

        row = place.wait_row("cuda:1")

        assert psutil.Process(row.pid).environ()["CUDA_VISIBLE_DEVICES"] == "5"
        job = place.add()
        place.hint([job])
        ended = place.wait_ended(job)[0]
        assert ended.result
        assert ended.result.provenance["device"] == "cuda:1"
