"""The control process as the operator runs it: `autoglm control`."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app import queue, settings
from app.models import batches, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from app.workers.context import Context
from tests.conftest import running_redis
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration

CONFIG = {
    "models": {makers.MODEL: {"backend": "fake"}},
    "worker": {"host": "test"},
}
READY = "control@test ready."


class Control:
    """A control process over this test's database, and what it has logged."""

    def __init__(
        self, folder: Path, database_url: str, redis_url: str, sweep_seconds: float = 0.2
    ) -> None:
        self._log = folder / "control.log"
        config = folder / "config.json"
        config.write_text(json.dumps(CONFIG))
        environment = settings.child_environ(
            AUTOGLM_WORKER__SWEEP_SECONDS=str(sweep_seconds),
            AUTOGLM_DATABASE__URL=database_url,
            AUTOGLM_REDIS__URL=redis_url,
            AUTOGLM_DATA_DIR=str(folder),
        )
        command = [sys.executable, "-c", "from app.cli import main; main()", "control"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(config)], env=environment, stderr=log
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().rpartition("\n")[0].splitlines()]

    @property
    def is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return any(line["message"] == READY for line in self.lines)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)


Start = Callable[..., Control]


@pytest.fixture
def start(tmp_path: Path, database_url: str) -> Iterator[Start]:
    started: list[Control] = []

    def begin(redis_url: str, **options: Any) -> Control:
        started.append(Control(tmp_path, database_url, redis_url, **options))
        return started[-1]

    yield begin
    for control in started:
        control.process.kill()
        control.process.wait()


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


@pytest.fixture
def broker(redis_url: str) -> Iterator[Celery]:
    app = queue.make_app(redis_url)
    yield app
    app.close()


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status(context: Context, batch: Batch) -> str:
    return makers.reload(context.db, batch).status


def is_stored(context: Context, batch: Batch) -> bool:
    found = makers.reload(context.db, batch)
    return 0 < found.total == batches.count_lines(context.db, batch.id)


def test_messages_take_a_batch_from_file_to_files(
    start: Start, context: Context, broker: Celery, redis_url: str
) -> None:
    """Sweeps are a minute apart: they would publish the same, without the trace."""
    control = start(redis_url, sweep_seconds=60)
    wait_until(lambda: control.is_ready)
    batch = inputs.submit(context, make_line(1) + make_line(2))

    queue.publish(
        broker, queue.INGEST_TASK, queue.CONTROL, {"batch_id": batch.id}, trace_id="trace-7"
    )
    wait_until(lambda: is_stored(context, batch))
    inputs.settle_all(context)
    queue.publish(broker, queue.FINALIZE_TASK, queue.CONTROL, {"batch_id": batch.id})
    wait_until(lambda: status(context, batch) == "completed")

    told = [line for line in control.lines if line.get("batch_id") == batch.id]
    assert told[0]["action"] == queue.INGEST_TASK
    assert told[0]["trace_id"] == "trace-7"
    assert "'lines': 2" in told[0]["message"]
    assert control.stop() == 0


def test_a_batch_nobody_published_is_found_and_done(
    start: Start, context: Context, redis_url: str
) -> None:
    control = start(redis_url)
    batch = inputs.submit(context, make_line(1))

    wait_until(lambda: is_stored(context, batch))
    inputs.settle_all(context)
    wait_until(lambda: status(context, batch) == "completed")

    assert control.stop() == 0


def test_it_sweeps_while_redis_is_away_and_consumes_once_it_is_back(
    start: Start, context: Context, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    server = running_redis(tmp_path / "redis")
    control = start(server.url)
    overdue = makers.add_job(context.db, expires_at=1.0)
    batch = inputs.submit(context, make_line(1))

    wait_until(lambda: jobs.get(context.db, DEFAULT_TENANT, overdue.id).state == "expired")
    assert not control.is_ready
    with server:
        wait_until(lambda: is_stored(context, batch))
        assert control.stop() == 0


@pytest.mark.parametrize("moment", ["at once", "while it connects"])
def test_it_stops_cleanly_while_redis_is_away(start: Start, context: Context, moment: str) -> None:
    control = start("redis+socket:///nowhere/redis.sock")
    overdue = makers.add_job(context.db, expires_at=1.0)
    wait_until(lambda: jobs.get(context.db, DEFAULT_TENANT, overdue.id).state == "expired")

    if moment == "while it connects":
        wait_until(lambda: any("Cannot connect" in line["message"] for line in control.lines))

    assert control.stop() == 0
    assert control.lines[-1]["message"] == "control stopped"


def test_without_a_redis_url_it_says_what_to_set(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from app.cli import main; main()", "control"]
    environment = settings.child_environ(AUTOGLM_DATA_DIR=str(tmp_path), LC_ALL="en_US.UTF-8")

    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "AUTOGLM_REDIS__URL" in done.stderr
