"""The watch over the child's steps, on a clock that the test moves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from app.models import evidence, jobs, workers
from app.models.claims import Holder
from app.models.database import Database
from app.wire.rows import Job
from app.workers.remains import Remains
from app.workers.slot import Slot
from app.workers.watch import GRACE_SECONDS, Watch
from tests.integration import makers

SLOT = Slot("h/cpu:0", "cpu:0", "m")
LIMIT = 10.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remains(tmp_path: Path) -> Remains:
    return Remains(tmp_path / "left", SLOT.name)


@pytest.fixture
def watch(database: Database, clock: Clock, remains: Remains) -> Watch:
    options = settings.Worker(step_timeout_seconds=LIMIT - GRACE_SECONDS)
    return Watch(database, SLOT, options, remains, monotonic=clock)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def holder(database: Database, child: subprocess.Popen[bytes]) -> Holder:
    identity = workers.Identity(SLOT.name, "m", "h", child.pid, os.getpid())
    made, _ = workers.enroll(database, identity, max_attempts=3)
    workers.update(database, made, step=1, in_flight=2, in_shift=True)
    return made


def give_job(database: Database, holder: Holder) -> Job:
    """A job that the child runs."""
    job = makers.add_job(database, model="m")
    makers.take(database, holder)
    return job


def begin(remains: Remains, holder: Holder) -> None:
    """The files of a child that has said nothing yet."""
    remains.begin(holder.epoch)
    remains.close()


def look_for(watch: Watch, clock: Clock, seconds: float) -> bool:
    """Looks once a second; whether the child was killed."""
    killed = False
    for _ in range(int(seconds) + 1):
        killed = watch.look() or killed
        clock.now += 1.0
    return killed


def test_a_step_that_stands_still_for_the_limit_costs_the_child_its_life(
    watch: Watch, clock: Clock, holder: Holder, child: subprocess.Popen[bytes]
):
    assert not look_for(watch, clock, LIMIT - 1)
    assert child.poll() is None

    assert watch.look()

    assert child.wait(60) in (-signal.SIGKILL, -signal.SIGUSR1)


def test_the_same_child_is_not_killed_twice(watch: Watch, clock: Clock, holder: Holder):
    assert look_for(watch, clock, LIMIT)

    assert not look_for(watch, clock, 3 * LIMIT)


def test_a_child_that_died_by_itself_is_not_killed(
    watch: Watch, clock: Clock, holder: Holder, child: subprocess.Popen[bytes]
):
    child.kill()
    child.wait()

    assert not look_for(watch, clock, 3 * LIMIT)


def test_progress_starts_the_clock_again(
    database: Database, watch: Watch, clock: Clock, holder: Holder
):
    for step in range(5):
        workers.update(database, holder, step=step)
        assert not look_for(watch, clock, LIMIT - 2)


@pytest.mark.parametrize("idle", [{"in_flight": 0}, {"in_shift": False}])
def test_a_child_without_work_may_stand_still(
    database: Database, watch: Watch, clock: Clock, holder: Holder, idle: dict[str, object]
):
    workers.update(database, holder, **idle)

    assert not look_for(watch, clock, 3 * LIMIT)


def test_time_in_which_nobody_looked_is_not_held_against_the_child(
    watch: Watch, clock: Clock, holder: Holder
):
    assert not watch.look()
    clock.now += 100 * LIMIT

    assert not watch.look()


def test_another_parent_s_child_is_left_alone(
    database: Database, watch: Watch, clock: Clock, child: subprocess.Popen[bytes]
):
    identity = workers.Identity(SLOT.name, "m", "h", child.pid, os.getpid() + 1)
    holder, _ = workers.enroll(database, identity, max_attempts=3)
    workers.update(database, holder, step=1, in_flight=2, in_shift=True)

    assert not look_for(watch, clock, 3 * LIMIT)


def test_the_jobs_of_a_killed_child_are_free_at_once_and_keep_what_it_left(
    database: Database, watch: Watch, clock: Clock, holder: Holder, remains: Remains
):
    job = give_job(database, holder)
    begin(remains, holder)

    assert look_for(watch, clock, LIMIT)

    freed = jobs.get(database, job.tenant_id, job.id)
    assert (freed.state, freed.crashes) == ("queued", 1)
    assert evidence.find(database, job.id)[1].cause == "hang"


def test_the_jobs_of_a_child_that_died_by_itself_are_free_at_the_next_look(
    database: Database, watch: Watch, holder: Holder, child: subprocess.Popen[bytes]
):
    job = give_job(database, holder)
    child.kill()
    child.wait()

    assert not watch.look()

    freed = jobs.get(database, job.tenant_id, job.id)
    assert (freed.state, freed.crashes) == ("queued", 1)


@pytest.mark.parametrize("kept", ["files", "row"])
def test_a_child_that_is_killed_after_the_stop_began_costs_its_jobs_nothing(
    database: Database,
    watch: Watch,
    holder: Holder,
    child: subprocess.Popen[bytes],
    remains: Remains,
    kept: str,
):
    job = give_job(database, holder)
    if kept == "files":
        begin(remains, holder)
    watch.note_stop()
    if kept == "files":
        workers.update(database, holder, state="ready")
    child.kill()
    child.wait()

    assert not watch.look()

    freed = jobs.get(database, job.tenant_id, job.id)
    assert (freed.state, freed.crashes) == ("queued", 0)


def test_a_step_that_never_ends_is_a_crash_also_while_the_worker_stops(
    database: Database, watch: Watch, clock: Clock, holder: Holder, remains: Remains
):
    job = give_job(database, holder)
    begin(remains, holder)
    watch.note_stop()

    assert look_for(watch, clock, LIMIT)

    freed = jobs.get(database, job.tenant_id, job.id)
    assert (freed.state, freed.crashes) == ("queued", 1)
