"""The faults: each brings one about while jobs are in flight, and says when all was well again."""

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from app import queue
from app.wire.rows import Worker
from tests.faults import stage as staging
from tests.faults import toxics
from tests.faults.stage import DEVICES, Stage
from tests.integration.workplace import wait_for

MIN_IN_FLIGHT = 8
_PAUSE_SECONDS = 2.5  # longer than Celery's and the API's shortest timeouts


@dataclass(frozen=True)
class Injection:
    """What happened. `in_flight` jobs ran when it struck, counted from the rows; `recovered_seconds`
    is the time until no row named the dead holder any more; `evidence` is what proves the fault."""

    kind: str
    at: float
    in_flight: int
    evidence: int
    recovered_seconds: float | None = None


Inject = Callable[[Stage, random.Random], Injection]


def _strike(stage: Stage, kind: str, victim: Worker, hit: Callable[[], None]) -> Injection:
    """Kills a holder of jobs; its attempts must show up as crashed."""
    asked = "SELECT count(*) FROM attempts WHERE outcome = 'crashed' AND slot = :s AND epoch = :e"
    in_flight = stage.count_running(victim)
    moment = time.monotonic()
    hit()
    wait_for(lambda: stage.count_running(victim) == 0, f"recovery after {kind}", 60)
    recovered = staging.seconds_since(moment)
    evidence = stage.ask(asked, s=victim.slot, e=victim.epoch)
    return Injection(kind, moment, in_flight, evidence, recovered)


def kill_child(stage: Stage, dice: random.Random) -> Injection:
    """F02: the process that holds the device dies; its parent starts the next one."""
    victim = stage.wait_busy(dice.choice(DEVICES), MIN_IN_FLIGHT)
    return _strike(stage, "F02", victim, lambda: os.kill(victim.pid, signal.SIGKILL))


def kill_worker(stage: Stage, dice: random.Random) -> Injection:
    """F01: parent and child die together; a process manager starts the worker again."""
    device = dice.choice(DEVICES)
    victim = stage.wait_busy(device, MIN_IN_FLIGHT)

    def hit() -> None:
        staging.kill_tree(stage.programs[device].pid)
        stage.programs[device].end()
        if dice.random() < 0.5:  # else the sweeper must notice
            stage.start_program(device)

    made = _strike(stage, "F01", victim, hit)
    if stage.programs[device].process.poll() is not None:
        stage.start_program(device)
    return made


def freeze_child(stage: Stage, dice: random.Random) -> Injection:
    """F05: a zombie: paused past its lease, it wakes up and writes what it has."""
    victim = stage.wait_busy(dice.choice(DEVICES), MIN_IN_FLIGHT)
    process = psutil.Process(victim.pid)
    made = _strike(stage, "F05", victim, lambda: suspend(stage, process))
    process.resume()
    return made


def suspend(stage: Stage, process: psutil.Process) -> None:
    """Not inside of a SQLite write: one that sleeps with the lock stops everybody, by design."""
    for _ in range(40):
        process.suspend()
        if stage.server is not None or _is_unlocked(stage):
            return
        process.resume()
        time.sleep(0.03)
    raise AssertionError("the process writes all the time")


def _is_unlocked(stage: Stage) -> bool:
    with contextlib.closing(sqlite3.connect(str(stage.db.url.database), timeout=0.1)) as probe:
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def terminate_worker(stage: Stage, dice: random.Random) -> Injection:
    """F21: SIGTERM, sometimes twice: jobs are given back, uncounted, and none fails."""
    device = dice.choice(DEVICES)
    victim = stage.wait_busy(device, MIN_IN_FLIGHT)
    asked = "SELECT count(*) FROM attempts WHERE outcome = 'released' AND slot = :s AND epoch = :e"
    in_flight, moment = stage.count_running(victim), time.monotonic()
    process = stage.programs[device].process
    process.send_signal(dice.choice([signal.SIGTERM, signal.SIGQUIT]))
    if dice.random() < 0.5:
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
    process.wait(60)
    recovered = staging.seconds_since(moment)
    assert stage.count_running(victim) == 0, "I2: a stopped worker kept jobs"
    evidence = stage.ask(asked, s=victim.slot, e=victim.epoch)
    stage.start_program(device)
    return Injection("F21", moment, in_flight, evidence, recovered)


def _around(stage: Stage, kind: str, action: Callable[[], int]) -> Injection:
    """A fault of something that holds no job: the jobs that run meanwhile are counted."""
    wait_for(lambda: stage.count_running() >= MIN_IN_FLIGHT, "jobs in flight", 180)
    in_flight, moment = stage.count_running(), time.monotonic()
    return Injection(kind, moment, in_flight, action())


def kill_redis(stage: Stage, _dice: random.Random) -> Injection:
    """F09: Redis dies and comes back empty."""

    def action() -> int:
        before = stage.redis.pid
        stage.redis.kill()
        stage.redis.wait()
        time.sleep(0.5)
        stage.start_redis()
        return int(stage.redis.pid != before)

    return _around(stage, "F09", action)


def freeze_redis(stage: Stage, _dice: random.Random) -> Injection:
    """F11: Redis stands still while connections stay open."""

    def action() -> int:
        process = psutil.Process(stage.redis.pid)
        process.suspend()
        time.sleep(_PAUSE_SECONDS)
        is_frozen = process.status() == psutil.STATUS_STOPPED
        process.resume()
        return int(is_frozen)

    return _around(stage, "F11", action)


def fill_redis(stage: Stage, _dice: random.Random) -> Injection:
    """F13: Redis is full and evicts nothing: every message is refused."""

    def action() -> int:
        client = stage.redis_client()
        client.config_set("maxmemory", 1)
        refused = int(client.info("stats")["total_error_replies"])
        time.sleep(_PAUSE_SECONDS)
        refused = int(client.info("stats")["total_error_replies"]) - refused
        client.config_set("maxmemory", 0)
        client.close()
        return refused

    return _around(stage, "F13", action)


def kill_program(name: str, kind: str) -> Inject:
    """The API (F14) or the control process (F34) dies; a process manager starts it again."""

    def inject(stage: Stage, _dice: random.Random) -> Injection:
        def action() -> int:
            victim = stage.programs[name]
            staging.kill_tree(victim.pid)
            victim.end()
            stage.start_program(name)
            return int(victim.process.returncode == -signal.SIGKILL)

        return _around(stage, kind, action)

    return inject


def poison_redis(toxic: str) -> Inject:
    """F12: one of the eight toxics between every process and Redis."""

    def inject(stage: Stage, _dice: random.Random) -> Injection:
        proxy = stage.redis_proxy

        def action() -> int:
            before = proxy.num_touched
            proxy.set(toxic)
            time.sleep(_PAUSE_SECONDS)
            proxy.set(None)
            return proxy.num_touched - before

        return _around(stage, f"F12 {toxic}", action)

    return inject


def poison_database(toxic: str) -> Inject:
    """F18: the same between every process and PostgreSQL: commits end with unknown outcome."""

    def inject(stage: Stage, _dice: random.Random) -> Injection:
        proxy = stage.database_proxy
        assert proxy is not None

        def action() -> int:
            before = proxy.num_touched
            proxy.set(toxic)
            time.sleep(1.0)
            proxy.set(None)
            return proxy.num_touched - before

        return _around(stage, f"F18 {toxic}", action)

    return inject


def restart_postgres(stage: Stage, _dice: random.Random) -> Injection:
    """F17: PostgreSQL stops at once, without a checkpoint, and starts again."""
    server = stage.server
    assert server is not None

    def action() -> int:
        before = server.pid
        server.restart("immediate")
        return int(server.pid != before)

    return _around(stage, "F17", action)


def lock_sqlite(stage: Stage, _dice: random.Random) -> Injection:
    """F19: another program holds the write lock."""

    def action() -> int:
        with contextlib.closing(sqlite3.connect(str(stage.db.url.database), timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(_PAUSE_SECONDS)
            other.execute("ROLLBACK")
        return 1

    return _around(stage, "F19", action)


def double_hints(stage: Stage, _dice: random.Random) -> Injection:
    """F07: the same hint many times."""

    def action() -> int:
        with contextlib.suppress(*queue.BROKER_ERRORS):
            for _ in range(3):
                stage.place.hint()
        return 3

    return _around(stage, "F07", action)


BOTH: dict[str, Inject] = {
    "F01": kill_worker,
    "F02": kill_child,
    "F05": freeze_child,
    "F07": double_hints,
    "F09": kill_redis,
    "F11": freeze_redis,
    "F13": fill_redis,
    "F14": kill_program("api", "F14"),
    "F21": terminate_worker,
    "F34": kill_program("control", "F34"),
} | {f"F12 {toxic}": poison_redis(toxic) for toxic in toxics.KINDS}
SQLITE: dict[str, Inject] = {"F19": lock_sqlite}
POSTGRES: dict[str, Inject] = {"F17": restart_postgres} | {
    f"F18 {toxic}": poison_database(toxic)
    for toxic in ("reset_peer", "limit_data", "latency", "down")
}
