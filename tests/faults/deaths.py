"""Faults of workers: each strikes a holder of jobs, and says when nobody waited for it any more."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app import queue
from app.wire.rows import Worker
from tests.faults import stage as staging
from tests.faults.injections import MIN_IN_FLIGHT, Inject, Injection, Scene
from tests.faults.stage import Stage
from tests.integration.workplace import wait_for

_ENDED = "SELECT count(*) FROM attempts WHERE outcome = :o AND slot = :s AND epoch = :e"
_CGROUP = Path("/sys/fs/cgroup/memory")
_HUNGRY_BYTES = 1_000_000


def strike(stage: Stage, kind: str, victim: Worker, hit: Callable[[], float]) -> Injection:
    """Kills a holder of jobs, by `hit`, which tells when; its attempts must show up as crashed."""
    in_flight = stage.count_running(victim)
    began = time.monotonic()
    moment = hit()
    wait_for(lambda: stage.count_running(victim) == 0, f"recovery after {kind}", 300)
    recovered = staging.seconds_since(moment)
    evidence = stage.ask(_ENDED, o="crashed", s=victim.slot, e=victim.epoch)
    return Injection(kind, began, min(in_flight, evidence), evidence, recovered)


def kill_child(device: str) -> Inject:
    """F02: the process that holds the device dies; its parent starts the next one."""

    def inject(scene: Scene) -> Injection:
        victim = scene.stage.wait_busy(device, MIN_IN_FLIGHT)
        return strike(scene.stage, "F02", victim, lambda: _kill(victim.pid))

    return inject


def _kill(pid: int) -> float:
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return moment


def kill_worker(device: str) -> Inject:
    """F01: parent and child die together; a process manager starts the worker again, or the
    sweeper must notice."""

    def inject(scene: Scene) -> Injection:
        return _kill_worker(scene, device, "F01", lambda _parent: None)

    return inject


def swallow_hint(device: str) -> Inject:
    """F06: hints are taken out of Redis by a worker that dies before it can say so."""

    def stop(scene: Scene) -> Callable[[psutil.Process], None]:
        def freeze(parent: psutil.Process) -> None:
            parent.suspend()
            with contextlib.suppress(*queue.BROKER_ERRORS):
                scene.stage.place.context.hint(scene.stage.model.name, [])
            time.sleep(0.2)

        return freeze

    return lambda scene: _kill_worker(scene, device, "F06", stop(scene))


def _kill_worker(
    scene: Scene, device: str, kind: str, prepare: Callable[[psutil.Process], None]
) -> Injection:
    stage = scene.stage
    victim = stage.wait_busy(device, MIN_IN_FLIGHT)
    with stage.held_down(device) as program:

        def hit() -> float:
            prepare(psutil.Process(program.pid))
            moment = time.monotonic()
            staging.kill_tree(program.pid)
            program.end()
            if scene.dice.random() < 0.5:  # else the sweeper must notice
                stage.start_program(device)
            return moment

        return strike(stage, kind, victim, hit)


def terminate_worker(device: str) -> Inject:
    """F21: SIGTERM, SIGQUIT, sometimes twice: jobs are given back, uncounted, and none fails."""

    def inject(scene: Scene) -> Injection:
        stage = scene.stage
        victim = stage.wait_busy(device, MIN_IN_FLIGHT)
        with stage.held_down(device) as program:
            in_flight, moment = stage.count_running(victim), time.monotonic()
            _ask_twice(program.process, scene.dice)
            program.process.wait(300)
            recovered = staging.seconds_since(moment)
            wait_for(lambda: stage.count_running(victim) == 0, "the end of the drain", 300)
        evidence = stage.ask(_ENDED, o="released", s=victim.slot, e=victim.epoch)
        return Injection("F21", moment, in_flight, evidence, recovered)

    return inject


def _ask_twice(process: subprocess.Popen[bytes], dice: random.Random) -> None:
    process.send_signal(dice.choice([signal.SIGTERM, signal.SIGQUIT]))
    if dice.random() < 0.5:
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)


def starve_child(device: str) -> Inject:
    """F24: the kernel's out-of-memory killer takes the child, in a control group of its own."""

    def inject(scene: Scene) -> Injection:
        victim = scene.stage.wait_busy(device, MIN_IN_FLIGHT)
        group = _CGROUP / f"autoglm-{os.getpid()}-{victim.pid}"
        group.mkdir()
        try:
            (group / "memory.limit_in_bytes").write_text(str(_HUNGRY_BYTES))

            def is_killed() -> bool:
                scene.clients.submit("[[eat]]")  # some worker takes it: in time this one
                return _count_kills(group) > 0 or not psutil.pid_exists(victim.pid)

            def hit() -> float:
                (group / "cgroup.procs").write_text(str(victim.pid))
                wait_for(is_killed, "the kernel's out-of-memory killer", 120)
                return time.monotonic()

            return strike(scene.stage, "F24", victim, hit)
        finally:
            wait_for(lambda: _remove(group), "an empty control group")

    return inject


def _count_kills(group: Path) -> int:
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _remove(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def can_starve() -> bool:
    """Whether this machine lets us limit a process's memory (cgroup v1)."""
    probe = _CGROUP / f"autoglm-probe-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError:
        return False
    is_limited = (probe / "memory.limit_in_bytes").exists()
    probe.rmdir()
    return is_limited
