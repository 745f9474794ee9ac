"""OpenMP's threads spin long while the processors are free, and briefly while others want them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import settings
from app.inference import spinning
from app.inference.spinning import FIRST_PAUSE, LONGEST_PAUSE, WINDOW_SECONDS, Rhythm

ROOT = Path(__file__).parents[2]
BUSY = 2 * WINDOW_SECONDS
COST = """
import os, time, torch
from app.inference import spinning

def cost():
    "CPU seconds of 200 short parallel regions with pauses between them."
    square = torch.ones(1000, 1000)
    before = time.process_time()
    for _ in range(200):
        square.add_(1)
        time.sleep(0.004)
    return time.process_time() - before

torch.set_num_threads(2)
brake = spinning.Brake(spinning._find_library())
cost()
free = cost()
brake.pull()
brake.pull()
time.sleep(0.1)
pulled = cost()
brake.release()
brake.release()
print(free, pulled, cost())
"""
START = """
import threading, torch
from app.inference import spinning
torch.ones(1000, 1000).add_(1)
spinning.start()
spinning.start()
print([each.name for each in threading.enumerate()].count("spinning"))
"""


def _run(program: str, **variables: str) -> str:
    environ = settings.child_environ(**variables)
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        if name not in variables:
            environ.pop(name, None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor: libgomp never spins long"
)
def test_threads_spin_for_less_while_the_brake_is_pulled_and_as_before_after_it() -> None:
    """In one of a few tries: what others take of the processors in one of them is not ours to say."""
    runs = (map(float, _run(COST, OMP_NUM_THREADS="2").split()) for _ in range(3))

    assert any(pulled < min(free, released) / 2 for free, pulled, released in runs)


@pytest.mark.parametrize(
    ("variables", "watches"),
    [({}, 1), ({"GOMP_SPINCOUNT": "7"}, 0), ({"OMP_WAIT_POLICY": "ACTIVE"}, 0)],
)
def test_one_thread_watches_unless_the_environment_says_how_long_to_spin(
    variables: dict[str, str], watches: int
) -> None:
    assert int(_run(START, **variables)) == watches


def test_processors_of_our_own_leave_the_brake_alone() -> None:
    rhythm = Rhythm()

    assert not any(rhythm.decide(BUSY, 0.03 * BUSY) for _ in range(1000))


def test_others_on_our_processors_pull_it_for_a_while_and_then_it_is_tried_without() -> None:
    rhythm = Rhythm()

    pulled = [rhythm.decide(BUSY, BUSY / 2) for _ in range(1 + FIRST_PAUSE)]

    assert pulled == [True] * FIRST_PAUSE + [False]


def test_each_bad_trial_doubles_the_while_up_to_a_limit() -> None:
    rhythm = Rhythm()

    pulled = [rhythm.decide(BUSY, BUSY / 2) for _ in range(2000)]

    lengths = [len(each) for each in "".join("x" if p else " " for p in pulled).split()]
    assert lengths[:5] == [8, 16, 32, 64, 128]
    assert max(lengths) == LONGEST_PAUSE


def test_calm_windows_make_the_next_while_a_short_one_again() -> None:
    rhythm = Rhythm()
    for _ in range(1000):
        rhythm.decide(BUSY, BUSY / 2)
    while rhythm.decide(BUSY, 0.0):
        pass
    for _ in range(spinning.CALM_WINDOWS):
        rhythm.decide(BUSY, 0.0)

    pulled = [rhythm.decide(BUSY, BUSY / 2) for _ in range(1 + FIRST_PAUSE)]

    assert pulled == [True] * FIRST_PAUSE + [False]


def test_an_idle_worker_learns_nothing() -> None:
    rhythm = Rhythm()

    assert not any(rhythm.decide(0.01, 0.4) for _ in range(100))


def test_the_kernel_tells_how_long_threads_computed() -> None:
    before = spinning.read_waits()
    if before is None:
        pytest.skip("a kernel without schedstat")
    worker = threading.Thread(target=lambda: sum(range(3_000_000)))
    worker.start()
    sum(range(3_000_000))
    after = spinning.read_waits()
    worker.join()

    assert after is not None
    assert after[0] > before[0]
