"""Messages that wake nobody new do not pile up in Redis, and no wake-up is lost by that."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app import queue, settings
from app.models import jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Worker
from app.workers.context import Context
from tests.integration.workplace import MODEL, Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration
TARGET = queue.model_queue(MODEL)
SLOT = queue.slot_queue("here/cpu:0")
KEPT = 32
CLIENTS, TAKERS, JOBS = 3, 2, 25


@pytest.fixture
def app(redis_url: str) -> Iterator[Any]:
    made = queue.make_app(redis_url)
    yield made
    made.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url.replace("redis+socket", "unix")) as made:
        yield made


def fill(app: Any, target: str, number: int) -> None:
    for at in range(number):
        queue.publish(app, queue.SHIFT_TASK, target, {"model": MODEL, "job_ids": [f"job_{at}"]})


def test_a_queue_takes_no_more_than_is_of_use(app: Any, database: Database) -> None:
    ours = Context(database, settings.Settings(), app)
    for _ in range(3):
        assert ours.publish(queue.SHIFT_TASK, SLOT, enough=queue.ONE, model=MODEL, job_ids=[])
    for _ in range(queue.FEW + 3):
        assert ours.hint(MODEL, ["job_1"])
    fill(app, queue.CONTROL, queue.MANY)
    assert ours.publish(queue.FINALIZE_TASK, queue.CONTROL, batch_id="batch_1")

    counts = [queue.count_waiting(app, name) for name in (SLOT, TARGET, queue.CONTROL)]

    assert counts == [queue.ONE, queue.FEW, queue.MANY]


def test_what_is_left_of_too_many_hints_are_those_that_are_taken_first(
    app: Any, client: redis.Redis
) -> None:
    fill(app, TARGET, KEPT + 10)
    fill(app, SLOT, 2)
    key = f"autoglm:{TARGET}"
    first = client.lrange(key, -KEPT, -1)

    queue.trim(app, [TARGET, SLOT, "model.unknown"])

    assert client.lrange(key, 0, -1) == first
    assert queue.count_waiting(app, SLOT) == 2


class Town:
    """Jobs that clients commit and tell of; takers are woken by a message, and take what is there."""

    def __init__(self, app: Any, client: redis.Redis) -> None:
        self._app, self._client = app, client
        self._lock = threading.Lock()
        self._open: list[int] = []
        self._over = threading.Event()
        self.num_taken = 0

    def submit(self) -> None:
        for number in range(JOBS):
            with self._lock:
                self._open.append(number)
            queue.wake(self._app, queue.SHIFT_TASK, TARGET, {}, enough=queue.ONE)

    def take(self) -> None:
        while not self._over.is_set():
            if self._client.brpop([f"autoglm:{TARGET}"], timeout=1) is not None:
                with self._lock:
                    self.num_taken += len(self._open)
                    self._open.clear()

    def end(self) -> None:
        self._over.set()


def test_no_job_waits_for_a_message_that_was_not_sent(app: Any, client: redis.Redis) -> None:
    town = Town(app, client)
    takers = [threading.Thread(target=town.take) for _ in range(TAKERS)]
    clients = [threading.Thread(target=town.submit) for _ in range(CLIENTS)]
    for thread in (*takers, *clients):
        thread.start()
    for thread in clients:
        thread.join()

    try:
        wait_for(lambda: town.num_taken == CLIENTS * JOBS, "all jobs taken", 60)
    finally:
        town.end()
        for thread in takers:
            thread.join()


def wait_shifts(place: Workplace, number: int) -> Worker:
    """The worker's row once it has begun so many more shifts."""
    known = place.wait_ready().shifts

    def look() -> Worker | None:
        row = place.wait_ready()
        return row if row.shifts >= known + number else None

    return wait_for(look, f"{number} shifts")


def test_a_busy_worker_uses_up_what_waits_for_it_and_misses_no_job(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    model = fake_model(slots=1, step_seconds=0.05, max_context=100_000)
    with opened(
        database, redis_url, tmp_path / "w", models=(model,), shift_seconds=0.2
    ) as place:  # and no control process: nobody sweeps
        place.start_worker()
        place.wait_idle()
        endless = place.add(max_tokens=50_000)
        place.hint([endless])
        place.wait_running(endless)
        fill(place.app, SLOT, 5)
        wait_shifts(place, 12)
        wait_for(lambda: queue.count_waiting(place.app, SLOT) <= queue.ONE, "one message")

        fill(place.app, TARGET, KEPT)
        job = place.add()
        place.hint([job])
        assert place.get(job).finished_at is None
        jobs.cancel(place.db, DEFAULT_TENANT, endless.id)

        assert place.wait_ended(job)[0].state == "succeeded"
