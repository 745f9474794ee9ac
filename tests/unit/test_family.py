"""The parent's view of its own children: real processes, a clock that the test moves."""

import logging
import queue
import signal
import time
from collections.abc import Iterator

import billiard
import pytest

from app.workers.family import Family

LIMIT = 15.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def family(clock: Clock) -> Family:
    return Family(LIMIT, monotonic=clock)


@pytest.fixture
def child() -> Iterator[billiard.Process]:
    process = start_child()
    yield process
    end(process)


def start_child() -> billiard.Process:
    process = billiard.get_context("spawn").Process(target=time.sleep, args=(100,), daemon=True)
    process.start()
    return process


def end(process: billiard.Process) -> None:
    process.terminate()
    process.join(60)


def look_for(family: Family, clock: Clock, seconds: float) -> int | None:
    """Looks once a second; the status it wants to exit with."""
    for _ in range(int(seconds) + 1):
        if (status := family.look()) is not None:
            return status
        clock.now += 1.0
    return None


def test_a_parent_whose_child_lives_goes_on(family: Family, clock: Clock, child: billiard.Process):
    assert look_for(family, clock, 10 * LIMIT) is None


def test_a_parent_that_lost_its_child_for_good_ends_as_a_failure(
    family: Family, clock: Clock, child: billiard.Process, caplog: pytest.LogCaptureFixture
):
    family.look()
    end(child)

    assert look_for(family, clock, LIMIT - 1) is None
    with caplog.at_level(logging.ERROR):
        assert look_for(family, clock, 1)

    assert [vars(record)["action"] for record in caplog.records] == ["childless"]


def test_a_parent_that_has_no_child_yet_waits_for_it(family: Family, clock: Clock):
    assert look_for(family, clock, 10 * LIMIT) is None


def test_the_next_child_starts_the_clock_again(
    family: Family, clock: Clock, child: billiard.Process
):
    family.look()
    end(child)
    assert look_for(family, clock, LIMIT - 2) is None
    second = start_child()
    assert family.look() is None
    end(second)

    assert look_for(family, clock, LIMIT - 2) is None


def test_time_in_which_nobody_looked_does_not_count(
    family: Family, clock: Clock, child: billiard.Process
):
    family.look()
    end(child)
    family.look()
    clock.now += 100 * LIMIT

    assert family.look() is None


def test_a_child_that_comes_after_the_stop_is_told_too(
    family: Family, clock: Clock, child: billiard.Process
):
    family.stop()
    family.look()
    child.join(60)
    late = start_child()

    family.look()
    late.join(60)

    assert (child.exitcode, late.exitcode) == (-signal.SIGTERM, -signal.SIGTERM)


@pytest.mark.parametrize("status", [0, 1])
def test_a_stopping_parent_without_children_ends_soon_with_the_status_it_was_given(
    family: Family, clock: Clock, child: billiard.Process, status: int
):
    family.stop(status)
    family.look()
    child.join(60)

    assert look_for(family, clock, 4) == status


def test_the_end_is_announced_once_and_not_before(family: Family, child: billiard.Process):
    announced: queue.Queue[str] = queue.Queue()
    family.on_stop = lambda: announced.put("stop")

    family.look()
    assert announced.empty()

    family.stop()
    family.look()
    family.look()

    assert announced.get(timeout=60) == "stop"
    assert announced.empty()
    assert family.on_stop is None
