"""Hints: what waits together goes together, and nothing silences the publisher for good."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from app import queue


class Recorder(queue.Publisher):
    """Publishes into a list; `fault` is raised by the next sending."""

    def __init__(self, capacity: int = 10) -> None:
        super().__init__(queue.make_app("memory://"), capacity=capacity)
        self.sent: list[tuple[str, list[str]]] = []
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Condition()

    def _send_hint(self, model: str) -> None:
        self.gate.wait(60)
        with self._lock:
            job_ids = self._hints.pop(model, [])
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        with self.came:
            self.sent.append((model, job_ids))
            self.came.notify_all()

    def wait(self, number: int) -> list[tuple[str, list[str]]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.sent) >= number, 60)
        return self.sent


def test_hints_that_wait_together_become_one_message() -> None:
    publisher = Recorder()
    publisher.gate.clear()
    for number in range(5):
        publisher.hint("m", [f"job_{number}"])

    publisher.gate.set()

    (sent,) = publisher.wait(1)
    assert sent == ("m", [f"job_{number}" for number in range(5)])


@pytest.mark.parametrize("make", [lambda: OSError("gone"), lambda: ValueError("odd")])
def test_a_fault_of_any_kind_does_not_silence_the_next_hint(make: Callable[[], Any]) -> None:
    publisher = Recorder()
    publisher.fault = make()
    publisher.hint("m", ["lost"])
    while publisher.fault is not None:
        pass

    publisher.hint("m", ["next"])

    assert publisher.wait(1)[-1] == ("m", ["next"])


def test_a_model_whose_hint_found_no_room_is_heard_again() -> None:
    publisher = Recorder(capacity=1)
    publisher.gate.clear()
    publisher.hint("a", ["1"])  # taken by the thread, which waits at the gate
    while publisher._pending.qsize():
        pass
    publisher.hint("b", ["2"])  # fills the queue
    publisher.hint("c", ["3"])  # dropped
    publisher.gate.set()
    publisher.wait(2)

    publisher.hint("c", ["4"])

    assert publisher.wait(3)[-1] == ("c", ["4"])
