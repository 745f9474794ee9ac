"""Messages in Redis that nobody of us has sent."""

import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from kombu import messaging

from app import queue
from tests.faults.injections import Injection, Scene, around
from tests.faults.stage import LOOK_SECONDS, Stage

_MENTION_SECONDS = 30.0  # until a worker takes a message, a shift or two; Redis may have lost it


class _Trap:
    """A pickle that would end whoever loads it."""

    def __reduce__(self):
        return exit, (99,)


def forge_messages(scene: Scene) -> Injection:
    """F35: an unknown task, wrong arguments, a pickle, five megabytes, and no message at all. It
    counts if a worker says that it met the unknown one."""
    stage = scene.stage
    app, target = stage.place.app, queue.model_queue(stage.model.name)
    name = f"forged.{scene.dice.getrandbits(64):x}"

    def action() -> None:
        app.send_task(name, args=["true"], queue=target)
        app.send_task(queue.SHIFT_TASK, kwargs={"surprise": 1}, queue=target)
        app.send_task("none", args=["x" * 5_000_000], queue=target)
        with app.connection_for_write() as connection:
            messaging.Producer(connection).publish(
                pickle.dumps(_Trap()),
                routing_key=target,
                content_type="application/x-python-serialize",
                content_encoding="binary",
            )
            connection.default_channel.client.lpush(target, b"garbage")

    def strike() -> int:
        starts = _measure_logs(stage)
        _repeat(action)
        return _await_mention(stage, starts, name)

    return around(scene, "F35", strike)


def _measure_logs(stage: Stage) -> dict[Path, int]:
    """Bytes of the workers' logs."""
    return {path: path.stat().st_size for path in stage.place.folder.glob("worker-*.log")}


def _await_mention(stage: Stage, starts: Mapping[Path, int], name: str) -> int:
    """In how many lines workers have named it since; 0 if Redis has lost it meanwhile."""
    until = time.monotonic() + _MENTION_SECONDS
    while time.monotonic() < until:
        for path in _measure_logs(stage):
            with path.open("rb") as log:
                log.seek(starts.get(path, 0))
                if found := sum(name.encode() in line for line in log):
                    return found
        time.sleep(LOOK_SECONDS)
    return 0


def _repeat(action: Callable[[], None]) -> None:
    """Until Redis takes it: another fault may have struck it."""
    until = time.monotonic() + 60
    while not _is_taken(action):
        assert time.monotonic() < until, "Redis never took it"
        time.sleep(0.5)


def _is_taken(action: Callable[[], None]) -> bool:
    try:
        action()
    except queue.BROKER_ERRORS:
        return False
    return True
