"""Redis stands still, with every connection open, for longer than anybody waits for its answer."""

import time
from pathlib import Path

import httpx
import psutil
import pytest

from app import settings
from app.models import jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.conftest import running_redis
from tests.integration.patches import as_environ
from tests.integration.test_api_server import find_port
from tests.integration.workplace import Workplace, opened, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.databases]
# Of workers and control process: a tenth of app/queue.py's. The API keeps those, of up to 10 s.
IMPATIENT = """
from app import queue
make = queue.make_app
def make_app(*given, **named):
    app = make(*given, **named)
    hurry = {"socket_timeout": 1, "socket_connect_timeout": 0.3, "health_check_interval": 2.5}
    app.conf.broker_transport_options = app.conf.broker_transport_options | hurry
    return app
queue.make_app = make_app
"""
FROZEN_SECONDS = 12.0  # longer than any of them
ANSWER_SECONDS = 9.0  # the longest that a client waits for its 202: no request waits for Redis
PAUSE_SECONDS = 0.2


def test_jobs_are_accepted_while_redis_stands_still_and_run_afterwards(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    own = settings.Server(port=find_port())
    with (
        running_redis(tmp_path / "redis") as server,
        opened(database, server.url, tmp_path / "w", server=own) as place,
    ):
        environ = as_environ(IMPATIENT, tmp_path / "patch")
        programs = [
            place.start("api"),
            place.start("worker", "--device", "cpu:0", **environ),
            place.start("control", **environ),
        ]
        row = place.wait_idle()
        wait_for(lambda: ask_health(place) == 200, "a healthy service")
        redis = psutil.Process(server.pid)

        redis.suspend()
        accepted = submit_for(place, FROZEN_SECONDS)
        assert redis.status() == psutil.STATUS_STOPPED
        assert ask_health(place) == 503
        redis.resume()

        assert len(accepted) > FROZEN_SECONDS / ANSWER_SECONDS
        stored = [jobs.get(database, DEFAULT_TENANT, job_id) for job_id in accepted]
        ended = place.wait_ended(*stored)
        assert {(job.state, job.attempt) for job in ended} == {("succeeded", 1)}
        assert [program.process.poll() for program in programs] == [None, None, None]
        assert (after := place.wait_ready()).model_loads_total == 1
        assert (after.pid, after.epoch) == (row.pid, row.epoch)
        wait_for(lambda: ask_health(place) == 200, "a healthy service again")


def ask_health(place: Workplace) -> int:
    url = f"http://127.0.0.1:{place.settings.server.port}/health"
    try:
        return httpx.get(url, timeout=ANSWER_SECONDS, trust_env=False).status_code
    except httpx.ConnectError:
        return 0


def submit_for(place: Workplace, seconds: float) -> list[str]:
    """The ids of jobs that a client submits one after another; each is accepted in time."""
    url = f"http://127.0.0.1:{place.settings.server.port}/v1/jobs"
    body = {"model": place.model, "prompt": "hi"}
    accepted, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        answer = httpx.post(url, json=body, timeout=ANSWER_SECONDS, trust_env=False)
        assert answer.status_code == 202, answer.text
        accepted.append(str(answer.json()["id"]))
        time.sleep(PAUSE_SECONDS)
    return accepted
