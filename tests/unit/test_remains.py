"""What a child leaves for whoever finds it dead."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.workers.remains import Remains

_DYING = """
import logging, os, signal, sys
from pathlib import Path
from app.workers.remains import Remains
left = Remains(Path(sys.argv[1]), "h/cpu:0")
left.begin(7)
left.install(signal.SIGUSR1)
logging.getLogger().setLevel("INFO")
logging.getLogger("x").info("last words", extra={"job_id": "job_1"})
def in_a_step():
    exec(sys.argv[2])
in_a_step()
"""

_RAISING = """
try:
    1 / 0
except ZeroDivisionError as error:
    left.note(error)
"""


def die(folder: Path, how: str) -> Remains:
    subprocess.run(
        [sys.executable, "-c", _DYING, str(folder), how], check=False, capture_output=True
    )
    return Remains(folder, "h/cpu:0")


@pytest.mark.parametrize(
    ("how", "cause", "stacks"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", ""),
        ("os.abort()", "fault", "in in_a_step"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "fault", "in in_a_step"),
        (_RAISING, "error", "ZeroDivisionError"),
        ("signal.raise_signal(signal.SIGUSR1); left.mark_hung()", "hang", "in in_a_step"),
    ],
)
def test_a_death_leaves_its_cause_stacks_and_last_lines(
    tmp_path: Path, how: str, cause: str, stacks: str
):
    found = die(tmp_path, how).read()

    assert found is not None
    epoch, left = found
    assert (epoch, left.cause) == (7, cause)
    assert stacks in left.stacks
    assert left.log[-1]["message"] == "last words"
    assert left.log[-1]["job_id"] == "job_1"


def test_where_files_lie_on_this_machine_is_not_told(tmp_path: Path):
    found = die(
        tmp_path,
        "import json\n"
        + _RAISING.replace("1 / 0", "json.loads(0)").replace("ZeroDivision", "Type"),
    ).read()

    assert found is not None
    assert sys.prefix not in found[1].stacks


def test_the_next_one_begins_with_nothing(tmp_path: Path):
    left = die(tmp_path, "os.abort()")
    left.begin(8)
    left.close()

    found = left.read()

    assert found is not None
    assert found[0] == 8
    assert (found[1].stacks, found[1].log) == ("", ())


def test_nothing_was_left_by_nobody(tmp_path: Path):
    assert Remains(tmp_path, "h/cpu:0").read() is None


_KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("how", "is_crash"), [(_KILLED, False), ("os.abort()", True), (_RAISING, True)]
)
def test_only_one_that_breaks_by_itself_is_a_crash_after_it_was_told_to_stop(
    tmp_path: Path, how: str, is_crash: bool
):
    left = die(tmp_path, f"left.mark_stopping()\n{how}")

    assert left.is_crash(7) == is_crash
    assert left.is_crash(6) is None


def test_nothing_tells_whether_a_kill_without_a_stop_was_a_crash(tmp_path: Path):
    left = die(tmp_path, _KILLED)

    assert left.is_crash(7) is None
    assert Remains(tmp_path / "nobody", "h/cpu:0").is_crash(7) is None


def test_a_stop_is_marked_in_place_and_forgotten_by_the_next_one(tmp_path: Path):
    left = die(tmp_path, _KILLED)
    file = tmp_path / "h_cpu_0.stacks"
    before = file.stat()

    left.mark_stopping()

    after = file.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert left.is_crash(7) is False
    left.begin(8)
    left.close()
    assert left.is_crash(8) is None


def test_what_is_left_belongs_to_the_last_epoch_of_the_child(tmp_path: Path):
    left = Remains(tmp_path, "h/cpu:0")
    left.begin(7)
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    left.note(caught.value)

    left.renew(1000)
    left.mark_stopping()

    left.close()
    found = left.read()
    assert found is not None
    assert (found[0], found[1].cause) == (1000, "error")
    assert (left.is_crash(7), left.is_crash(1000)) == (None, True)
