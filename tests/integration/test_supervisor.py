"""The supervisor over real processes: restarts, order of stopping, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app import settings
from tests.integration.workplace import WAIT_SECONDS, is_running, read_lines, wait_for

pytestmark = pytest.mark.integration
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def launch(*commands: str, grace_seconds: float = 60.0) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("run_supervisor.py")
        given = (str(tmp_path / "data"), str(grace_seconds))
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(script), *given, *commands],
                env=settings.child_environ(PYTHONPATH=str(script.parents[2])),
                stderr=log,
            )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.wait()


def starts(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    return [
        line for line in read_lines(tmp_path / "log", "start_process") if line["name_of"] == name
    ]


def deaths(tmp_path: Path) -> list[dict[str, Any]]:
    return read_lines(tmp_path / "log", "process_died")


def wait_pid(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().strip(), path.name)
    return int(path.read_text())


def test_a_process_that_keeps_dying_is_started_again_with_growing_pauses(
    start: Start, tmp_path: Path
):
    started_at = tmp_path / "starts"
    start(f"dies=date +%s.%N >> {started_at}; exit 3", "lives=sleep 100")

    wait_for(lambda: started_at.exists() and started_at.read_text().count("\n") >= 4, "4 starts")

    moments = [float(line) for line in started_at.read_text().split()]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses[0] >= 0.5
    assert pauses[1] >= 1.0
    assert pauses[2] >= 2.0
    assert len(starts(tmp_path, "lives")) == 1
    assert {line["name_of"] for line in deaths(tmp_path)} == {"dies"}


def test_a_dead_process_takes_its_own_children_with_it(start: Start, tmp_path: Path):
    note = tmp_path / "grandchild"
    start(f"family=sleep 100 & echo $! > {note}; wait")
    grandchild = wait_pid(note)
    parent = wait_for(lambda: starts(tmp_path, "family"), "its line")[0]["pid"]

    os.kill(parent, signal.SIGKILL)

    wait_for(lambda: not is_running(grandchild), "the grandchild's end", 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_stops_all_and_redis_last(start: Start, tmp_path: Path, number: int):
    order = tmp_path / "order"
    note = f"trap 'echo $NAME >> {order}; exit 0' TERM; echo up >> {order}; sleep 100 & wait"
    commands = [f"{name}=NAME={name}; {note}" for name in ("redis", "worker", "api")]
    supervisor = start(*commands)
    wait_for(lambda: order.exists() and order.read_text().count("up") == 3, "all three")
    pids = [line["pid"] for line in read_lines(tmp_path / "log", "start_process")]

    supervisor.send_signal(number)

    assert supervisor.wait(WAIT_SECONDS) == 0
    said = order.read_text().split()
    assert sorted(said[3:5]) == ["api", "worker"]
    assert said[5:] == ["redis"]
    assert not [pid for pid in pids if is_running(pid)]


def test_the_end_of_a_terminal_that_nohup_keeps_away_stops_nothing(start: Start, tmp_path: Path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts it
    supervisor = start("dies=sleep 0.1", "lives=sleep 100")
    signal.signal(signal.SIGHUP, before)
    wait_for(lambda: starts(tmp_path, "lives"), "the start")

    supervisor.send_signal(signal.SIGHUP)

    known = len(starts(tmp_path, "dies"))
    wait_for(lambda: len(starts(tmp_path, "dies")) > known, "a restart")
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(WAIT_SECONDS) == 0


def test_a_process_that_will_not_stop_is_killed_after_its_grace(start: Start, tmp_path: Path):
    ready = tmp_path / "ready"
    stubborn = f"stubborn=trap '' TERM; echo up > {ready}; while :; do sleep 1; done"
    supervisor = start(stubborn, grace_seconds=1.0)
    wait_for(ready.exists, "the start")

    started = time.monotonic()
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(WAIT_SECONDS) == 0

    assert time.monotonic() - started >= 1.0
    assert read_lines(tmp_path / "log", "kill_process")
    assert not is_running(starts(tmp_path, "stubborn")[0]["pid"])


def test_processes_that_will_not_stop_share_one_grace(start: Start, tmp_path: Path):
    names = ("one", "two", "three", "four")
    stubborn = "trap '' TERM; echo up > {}; while :; do sleep 1; done"
    commands = [f"{name}={stubborn.format(tmp_path / name)}" for name in names]
    supervisor = start(*commands, grace_seconds=4.0)
    wait_for(lambda: all((tmp_path / name).exists() for name in names), "the start")

    started = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(WAIT_SECONDS) == 0

    assert time.monotonic() - started < 4.0 * len(names)
    assert len(read_lines(tmp_path / "log", "kill_process")) == len(names)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_supervisor_leaves_nothing_running(start: Start, tmp_path: Path):
    supervisor = start("one=exec sleep 100", "two=exec sleep 100")
    wait_for(lambda: starts(tmp_path, "two"), "both")
    pids = [line["pid"] for line in read_lines(tmp_path / "log", "start_process")]

    supervisor.kill()
    supervisor.wait()

    wait_for(lambda: not any(is_running(pid) for pid in pids), "their end", 60)


def test_a_process_s_output_is_in_a_private_log_of_its_own(start: Start, tmp_path: Path):
    start("talker=echo said; sleep 100")
    log = tmp_path / "data" / "logs" / "talker.log"

    wait_for(lambda: log.exists() and log.read_text() == "said\n", "the line")
    assert log.parent.stat().st_mode & 0o077 == 0
