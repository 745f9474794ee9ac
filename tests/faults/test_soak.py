"""The soak sees what grows, in the process where it grows, and only there."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from app.models.database import Database
from app.stack import ports
from tests.faults import samples, soak
from tests.faults.samples import Sample, Sampler
from tests.integration import workplace

pytestmark = pytest.mark.integration

LOOKS = 30
_PERIOD_SECONDS = 10
_KEEPS = """
import sys
kept = []
for line in sys.stdin:
    megabytes, files = map(int, line.split())
    kept.append(bytes([1]) * (megabytes << 20))
    kept.extend(open("/dev/null") for _ in range(files))
    print("kept", flush=True)
"""
_PASSES_ON = f"""
import subprocess, sys
def start():
    return subprocess.Popen(
        [sys.executable, "-c", {_KEEPS!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
child, kept = start(), []
for line in sys.stdin:
    who, *rest = line.split()
    if who == "kill":
        child.kill()
        child.wait()
        child = start()
        rest = ["0", "0"]
    if who == "parent":
        kept.append(bytes([1]) * (int(rest[0]) << 20))
        kept.extend(open("/dev/null") for _ in range(int(rest[1])))
        rest = ["0", "0"]
    child.stdin.write((" ".join(rest) + "\\n").encode())
    child.stdin.flush()
    print(child.stdout.readline().decode().strip(), flush=True)
"""


class Tree:
    """A parent and its child, each of which keeps memory and files when told to."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _PASSES_ON]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "kept\n"

    def end(self) -> None:
        self.process.communicate(timeout=120)


@pytest.fixture
def tree() -> Iterator[Tree]:
    made = Tree()
    yield made
    made.end()


def observe(
    tree: Tree, name: str, command: str, *, deaths: frozenset[int] = frozenset()
) -> dict[str, float | None]:
    """What the sampler makes of five minutes in which the tree obeys `command` every ten seconds;
    its child dies at some of them."""
    now = [0.0]
    sampler = Sampler(lambda: {name: tree.process.pid}, dict, clock=lambda: now[0])
    for number in range(LOOKS):
        if number in deaths:
            tree.tell("kill")
        tree.tell(command)
        sampler.look()
        now[0] += _PERIOD_SECONDS
    return samples.judge(sampler.samples)


def list_grown(growth: dict[str, float | None]) -> list[str]:
    return [name for name, each in growth.items() if each is None or each > soak.MOST_GROWTH]


@pytest.mark.parametrize(
    ("command", "grown"),
    [
        ("child 0 0", []),
        ("child 1 0", ["worker child rss_mb"]),
        ("child 0 1", ["worker child fds"]),
        ("parent 1 0", ["worker parent rss_mb"]),
        ("parent 0 1", ["worker parent fds"]),
    ],
)
def test_a_leak_is_found_in_the_process_that_leaks(
    tree: Tree, command: str, grown: list[str]
) -> None:
    growth = observe(tree, "cpu:3", command)

    assert list_grown(growth) == grown, growth
    assert len(growth) == 4


def test_a_leak_of_the_api_is_found_below_its_arbiter(tree: Tree) -> None:
    growth = observe(tree, "api", "child 1 1")

    assert list_grown(growth) == ["api fds", "api rss_mb"]


def test_a_child_that_dies_all_the_time_is_not_judged(tree: Tree) -> None:
    growth = observe(tree, "cpu:0", "child 1 0", deaths=frozenset({8, 16, 24}))

    assert growth["worker child rss_mb"] is None
    assert growth["worker parent rss_mb"] == pytest.approx(1, abs=0.1)


def test_a_part_that_nothing_is_known_of_fails_the_soak() -> None:
    flat = dict.fromkeys(soak.JUDGED, 1.0)

    assert soak.list_faults(flat) == []
    assert soak.list_faults(flat | {"api fds": 1.3}) == ["api fds: 1.30"]
    assert len(soak.list_faults(flat | {"redis size_mb": None})) == 1
    assert len(soak.list_faults({k: v for k, v in flat.items() if k != "wal size_mb"})) == 1


def test_a_later_life_that_needs_more_is_no_growth() -> None:
    """As when the next child has another share of the jobs."""
    seen = [_make(second, "1", 100.0) for second in range(0, 930, 10)]
    seen += [_make(second, "2", 200.0) for second in range(930, 1800, 10)]

    assert samples.judge(seen) == {"worker child rss_mb": 1.0}


def _make(second: int, life: str, value: float) -> Sample:
    born = 0 if life == "1" else 930
    return Sample(second, "cpu:0 child", life, second - born, "rss_mb", value)


def test_growth_beside_which_another_process_is_flat_is_seen() -> None:
    """Two control processes: only one of them sweeps at a time."""
    seen = []
    for part, gain in (("control", 0.0), ("control-2", 0.05)):
        for second in range(0, 1800, 10):
            value = 100 + gain * second
            seen.append(Sample(second, part, part, second, "rss_mb", value))

    growth = samples.judge(seen)["control rss_mb"]

    assert growth == pytest.approx(1.38, abs=0.02)


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    seen = [_make(10, "1", 0.5), Sample(20, "redis", "77", 3, "size_mb", 1.25)]

    samples.write(seen, tmp_path / "var" / "soak.csv")

    assert samples.read(tmp_path / "var" / "soak.csv") == seen


def test_lives_are_drawn(tmp_path: Path) -> None:
    seen = [_make(second, "1", 100.0) for second in range(0, 300, 10)]
    seen += [_make(second, "2", 110.0) for second in range(930, 1200, 10)]
    seen.append(Sample(20, "redis", "77", 3, "size_mb", 1.25))

    soak.draw(seen, tmp_path / "soak.png")

    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_the_parts_of_real_programs_are_those_that_do_the_work(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    server = settings.Server(port=ports.find_free())
    with workplace.opened(database, redis_url, tmp_path, server=server) as place:
        worker, api = place.start_worker(), place.start("api")
        row = place.wait_ready()
        workplace.wait_for(lambda: samples.find_parts("api", api.pid), "gunicorn's child")
        parts = samples.find_parts("cpu:0", worker.pid) | samples.find_parts("api", api.pid)

        found = {part: process.pid for part, process in parts.items()}
        arbiter = parts["api"].ppid()
        worker.process.send_signal(signal.SIGSTOP)  # it starts no other child
        os.kill(row.pid, signal.SIGKILL)
        workplace.wait_for(lambda: not workplace.is_running(row.pid), "the child's end")
        left = samples.measure("cpu:0", worker.pid)

    assert found["cpu:0 parent"] == worker.pid
    assert found["cpu:0 child"] == row.pid
    assert arbiter == api.pid
    assert "cpu:0 child" not in left
