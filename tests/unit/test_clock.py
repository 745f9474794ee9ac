"""What expires by the wall clock does so neither in a jump of it nor after one."""

import time

import pytest

from app.clock import Clock

HOUR = 3600.0


class Machine:
    """A wall clock and a monotonic one, set by hand; `begin` starts a process on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.offset = 50.0, 0.0
        monkeypatch.setattr(time, "time", self.tell)

    def tell(self) -> float:
        return 1e9 + self.now + self.offset

    @property
    def true(self) -> float:
        return 1e9 + self.now

    def begin(self) -> Clock:
        return Clock(lambda: self.now)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_in_a_jump_and_after_it_nothing_is_early(machine: Machine, jump: float) -> None:
    clock = machine.begin()

    for machine.offset in (0.0, jump, 0.0, -jump, jump, 0.0):
        for _ in range(6):
            machine.now += 500
            assert clock.earliest() <= machine.true <= clock.latest()

    assert clock.earliest() == clock.latest() == machine.true


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_place_held_for_over_an_hour_is_believed(machine: Machine, jump: float) -> None:
    clock = machine.begin()
    machine.offset = jump

    clock.latest()
    machine.now += HOUR
    assert clock.latest() - clock.earliest() == HOUR

    machine.now += 400
    assert clock.earliest() == clock.latest() == machine.tell()


def test_each_new_place_is_held_anew(machine: Machine) -> None:
    clock = machine.begin()

    for machine.offset in (HOUR, 2 * HOUR, HOUR, 2 * HOUR):
        clock.earliest()
        machine.now += 0.9 * HOUR
        assert clock.earliest() == machine.true


def test_small_steps_are_followed_at_once(machine: Machine) -> None:
    clock = machine.begin()

    for _ in range(100):
        machine.offset += 4.0
        assert clock.earliest() == clock.latest() == machine.tell()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_process_that_began_in_a_jump_is_early_with_nothing_after_it(
    machine: Machine, jump: float
) -> None:
    machine.offset = jump
    clock = machine.begin()

    machine.offset = 0.0

    assert clock.earliest() <= machine.true <= clock.latest()
