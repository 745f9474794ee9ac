"""Faults of Redis: it dies, stands still, is full, forgets, or is hard to reach."""

import contextlib
import time
from pathlib import Path

import psutil
import redis

from app import queue
from tests.faults.injections import PAUSE_SECONDS, Inject, Injection, Scene, around
from tests.faults.stage import Stage

_CUT_BYTES = 7


def kill_redis(scene: Scene) -> Injection:
    """F09: Redis dies and comes back empty."""

    def action() -> int:
        before = scene.stage.redis.pid
        _end_redis(scene.stage)
        time.sleep(0.5)
        scene.stage.start_redis()
        return int(scene.stage.redis.pid != before)

    return around(scene, "F09", action)


def _end_redis(stage: Stage) -> None:
    stage.redis.kill()
    stage.redis.wait()


def tear_redis(scene: Scene) -> Injection:
    """F10: Redis writes a log, dies, and comes back with it; sometimes with its end cut off."""
    stage = scene.stage
    policy = scene.dice.choice(["always", "everysec"])
    folder = stage.folder / "aof"
    folder.mkdir(exist_ok=True)
    options = ("--save", "", "--appendonly", "yes", "--appendfsync", policy, "--dir", str(folder))

    def action() -> int:
        _end_redis(stage)
        stage.start_redis(*options)
        time.sleep(1.0)
        with contextlib.suppress(*queue.BROKER_ERRORS):
            stage.place.context.hint(stage.model.name, [])
        _end_redis(stage)
        size = _cut_log(folder) if scene.dice.random() < 0.5 else _measure(folder)
        stage.start_redis(*options)
        return size

    return around(scene, "F10", action)


def _find_log(folder: Path) -> Path:
    return max(folder.rglob("*.aof"), key=lambda path: path.stat().st_mtime)


def _measure(folder: Path) -> int:
    return _find_log(folder).stat().st_size


def _cut_log(folder: Path) -> int:
    """The last write reached the disk in part only."""
    log = _find_log(folder)
    size = log.stat().st_size
    with log.open("ab") as out:
        out.truncate(max(0, size - _CUT_BYTES))
    return size


def freeze_redis(scene: Scene) -> Injection:
    """F11: Redis stands still while connections stay open."""

    def action() -> int:
        process = psutil.Process(scene.stage.redis.pid)
        process.suspend()
        time.sleep(PAUSE_SECONDS)
        is_frozen = process.status() == psutil.STATUS_STOPPED
        process.resume()
        return int(is_frozen)

    return around(scene, "F11", action)


def fill_redis(scene: Scene) -> Injection:
    """F13: Redis is full and evicts nothing: every message is refused."""

    def action() -> int:
        client = scene.stage.redis_client()
        client.config_set("maxmemory", 1)
        refused = _count_refused(client)
        with contextlib.suppress(*queue.BROKER_ERRORS):  # nobody else may have a message now
            scene.stage.place.context.hint(scene.stage.model.name, [])
        time.sleep(PAUSE_SECONDS)
        refused = _count_refused(client) - refused
        client.config_set("maxmemory", 0)
        client.close()
        return refused

    return around(scene, "F13", action)


def _count_refused(client: "redis.Redis") -> int:
    return int(client.info("stats")["total_error_replies"])


def poison_redis(toxic: str) -> Inject:
    """F12: one of the eight toxics between every process and Redis."""

    def inject(scene: Scene) -> Injection:
        proxy = scene.stage.proxies["redis"]

        def action() -> int:
            return proxy.poison(toxic, PAUSE_SECONDS)

        return around(scene, f"F12 {toxic}", action)

    return inject
