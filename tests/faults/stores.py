"""Faults of what holds no job: API, control processes, the database, its disk, and the clock."""

import contextlib
import errno
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import stage as staging
from tests.faults import toxics
from tests.faults.injections import PAUSE_SECONDS, Inject, Injection, Scene, around
from tests.faults.stage import Stage
from tests.integration.workplace import wait_for

_HOUR = 3600
_NO_SPACE = 507
_PIECE = 1 << 20
_WRITERS = 4
_LONG_BYTES = 3_000


def kill_program(kind: str, *names: str) -> Inject:
    """The API (F14) or a control process (F34) dies; a process manager starts it again."""

    def inject(scene: Scene) -> Injection:
        name = scene.dice.choice(names)

        def action() -> int:
            with scene.stage.held_down(name) as victim:
                staging.kill_tree(victim.pid)
                victim.end()
            return int(victim.process.returncode == -signal.SIGKILL)

        made = around(scene, kind, action)
        scene.stage.wait_answering()
        return made

    return inject


def poison_database(toxic: str) -> Inject:
    """F18: one of the eight toxics between every process and PostgreSQL: connections end anywhere,
    or hardly anything comes through."""

    def inject(scene: Scene) -> Injection:
        proxy = scene.stage.proxies["database"]

        def action() -> int:
            return proxy.poison(toxic, 1.0)

        return around(scene, f"F18 {toxic}", action)

    return inject


def lose_commits(scene: Scene) -> Injection:
    """F18: every COMMIT reaches PostgreSQL, and nobody hears of it: the outcome is unknown."""
    proxy = scene.stage.proxies["database"]
    return around(scene, f"F18 {toxics.LOST_COMMIT}", lambda: proxy.lose_commits(1.0))


def restart_postgres(scene: Scene) -> Injection:
    """F17: PostgreSQL stops at once, without a checkpoint, and starts again."""
    server = scene.stage.server
    assert server is not None

    def action() -> int:
        before = server.pid
        server.restart("immediate")
        return int(server.pid != before)

    return around(scene, "F17", action)


def lock_sqlite(scene: Scene) -> Injection:
    """F19: another program holds the write lock. It counts if submissions waited for it: sent while
    it was held, accepted when it was given up."""

    def action() -> int:
        path = str(scene.stage.db.url.database)
        with (
            ThreadPoolExecutor(_WRITERS) as writers,
            contextlib.closing(sqlite3.connect(path, timeout=30)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            asking = [writers.submit(_submit_timed, scene) for _ in range(_WRITERS)]
            time.sleep(PAUSE_SECONDS)
            given_up = time.monotonic()
            other.execute("ROLLBACK")
            times = [each.result() for each in asking]
        return sum(asked_at < given_up < accepted_at for asked_at, accepted_at in times)

    with scene.stage.store_lock:
        return around(scene, "F19", action)


def _submit_timed(scene: Scene) -> tuple[float, float]:
    """When the request was sent that was accepted, and when that was known."""
    sent = scene.clients.submit("beside a lock")
    return sent.asked_at, time.monotonic()


def fill_disk(scene: Scene) -> Injection:
    """F20: the disk under the database is full until somebody makes room: answers say 507."""
    stage = scene.stage
    ballast = Path(str(stage.db.url.database)).with_name("ballast")

    def action() -> int:
        before, is_over = _count_refusals(scene), threading.Event()
        _fill(ballast)
        with ThreadPoolExecutor(_WRITERS) as writers:
            asking = [writers.submit(_use_up, scene, is_over) for _ in range(_WRITERS)]
            try:
                found = wait_for(lambda: _count_refusals(scene) - before, "an answer 507", 60)
            finally:
                ballast.unlink()
                is_over.set()
        for each in asking:
            each.result()
        return found

    with stage.store_lock:
        return around(scene, "F20", action)


def _use_up(scene: Scene, is_over: threading.Event) -> None:
    """SQLite still has room inside of its files: submissions use it."""
    while not is_over.is_set():
        scene.clients.submit("full " + "x" * _LONG_BYTES)


def _fill(ballast: Path) -> None:
    with contextlib.ExitStack() as stack:
        out = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        stack.callback(os.close, out)
        size = _PIECE
        while size:
            try:
                os.write(out, b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017  a probe, not an expectation
                size //= 2


def _count_refusals(scene: Scene) -> int:
    return scene.clients.answers.statuses.count(_NO_SPACE)


def jump_clock(scene: Scene) -> Injection:
    """F31: the wall clock of all our processes jumps by an hour and later back."""
    stage, seconds = scene.stage, scene.dice.choice([-_HOUR, _HOUR])
    assert stage.clock is not None

    def action() -> int:
        assert stage.clock is not None
        stage.clock.shift(seconds)
        time.sleep(PAUSE_SECONDS)
        shifted = _count_shifted(stage, seconds)
        stage.clock.shift(0)
        return shifted

    return around(scene, "F31", action)


def _count_shifted(stage: Stage, seconds: int) -> int:
    """Workers whose last sign of life has the false time."""
    asked = "SELECT count(*) FROM workers WHERE abs(pulsed_at - :t) < 60"
    return stage.ask(asked, t=time.time() + seconds)
