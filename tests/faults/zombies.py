"""F05: workers that sleep past their lease and wake up to write."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from app.wire.rows import Worker
from tests.faults import deaths
from tests.faults.injections import MIN_IN_FLIGHT, Inject, Injection, Scene
from tests.faults.stage import LOOK_SECONDS, Stage
from tests.integration.workplace import Program, is_running, wait_for

_GATHER_SECONDS = 0.25  # in which some jobs end; a pulse may be as late
_REFUSAL_SECONDS = 60  # a worker that goes on looks at once


def freeze_worker(device: str) -> Inject:
    """F05: a zombie: parent and child are paused until the sweeper has given their jobs to others.
    Then the child goes on as if nothing had been, and what it writes must be refused."""

    def inject(scene: Scene) -> Injection:
        stage = scene.stage
        victim = stage.wait_busy(device, MIN_IN_FLIGHT)
        with stage.held_down(device) as program:
            before, parent = _count_refused(program), psutil.Process(program.pid)
            try:
                made = deaths.strike(stage, "F05", victim, lambda: _suspend(stage, parent))
                is_zombie = _is_zombie(victim, made)
            finally:
                _resume(parent)
            refused = _wait_refused(program, victim.pid, before) if is_zombie else 0
        return replace(made, evidence=refused)

    return inject


def _is_zombie(victim: Worker, made: Injection) -> bool:
    """Whether jobs were taken from it while it stood; they may have ended just before."""
    return made.evidence > 0 and _is_standing(victim.pid) and is_running(victim.pid)


def _suspend(stage: Stage, parent: psutil.Process) -> float:
    """Stops a worker's processes, the parent first: it would end a child that stands still. On
    SQLite under its write lock: nobody sleeps with it then, by which everybody would be stopped,
    and outcomes have come together that the child will offer late."""
    with _locked(stage):
        if stage.server is None:
            time.sleep(_GATHER_SECONDS)
        moment = time.monotonic()
        _stop(parent)
        for process in parent.children(recursive=True):
            _stop(process)
    return moment


def _stop(process: psutil.Process) -> None:
    """Returns once every thread stands: a busy machine takes its time, and until then some go on."""
    process.suspend()
    wait_for(lambda: _is_standing(process.pid), "the end of all threads' motion", 30)


def _is_standing(pid: int) -> bool:
    """proc(5): the state follows the name, which stands in parentheses."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # one ended meanwhile
        return False
    return all(stat.rpartition(")")[2].split()[0] in "TZX" for stat in stats)


@contextlib.contextmanager
def _locked(stage: Stage) -> Iterator[None]:
    if stage.server is not None:
        yield
        return
    own = sqlite3.connect(str(stage.db.url.database), timeout=30, isolation_level=None)
    with stage.store_lock, contextlib.closing(own):
        own.execute("BEGIN IMMEDIATE")
        yield


def _resume(parent: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def _wait_refused(program: Program, pid: int, before: int) -> int:
    """How often the zombie was refused; 0 if it died instead."""
    wait_for(
        lambda: _count_refused(program) > before or not is_running(pid),
        "the refusal of a late writer",
        _REFUSAL_SECONDS,
        every=LOOK_SECONDS,
    )
    return _count_refused(program) - before


def _count_refused(program: Program) -> int:
    """Late outcomes, and pulses of a worker that was declared dead."""
    return len(program.lines("fenced")) + len(program.lines("lease_lost"))
