"""F32: a cancellation that was acknowledged holds, although everything is killed at once."""

import dataclasses
from pathlib import Path

import httpx
import pytest

from app import settings
from app.models.database import Database
from tests.conftest import running_redis
from tests.integration.test_api_server import find_port
from tests.integration.test_docker_stop import is_answering
from tests.integration.workplace import Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration
_STEP_SECONDS = 60.0  # nobody looks for cancellations meanwhile


@pytest.mark.databases(long=True)
def test_an_acknowledged_cancellation_survives_a_restart_of_everything(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    slow = {"models": (fake_model(step_seconds=_STEP_SECONDS),), "step_timeout_seconds": 120.0}
    own = settings.Server(port=find_port())
    with (
        running_redis(tmp_path / "redis") as server,
        opened(database, server.url, tmp_path / "w", server=own, **slow) as place,
    ):
        start_all(place)
        held = post(place, "/v1/jobs", {"model": "fake", "prompt": "held"})
        wait_for(lambda: read(place, held)["status"] == "running", "a claim")
        waiting = post(place, "/v1/jobs", {"model": "fake", "prompt": "waiting"})
        for job in (held, waiting):
            post(place, f"/v1/jobs/{job}/cancel")
        assert read(place, held)["status"] == "running", "cancelled before anything was killed"

        for program in place.programs:
            program.end()
        server.stop()
        place.settings = dataclasses.replace(place.settings, models=(fake_model(),))
        server.start()
        start_all(place)

        for job in (held, waiting):
            wait_for(lambda job=job: read(place, job)["finished_at"], "the end")  # type: ignore[misc]
            assert read(place, job)["status"] == "cancelled"
        later = post(place, "/v1/jobs", {"model": "fake", "prompt": "later"})
        wait_for(lambda: read(place, later)["status"] == "succeeded", "a later job")
        assert place.count("SELECT count(*) FROM results") == 1
        assert place.count("SELECT count(*) FROM jobs WHERE state = 'cancelled'") == 2


def start_all(place: Workplace) -> None:
    place.start_worker()
    place.start_control()
    place.start("api")
    wait_for(lambda: is_answering(place.settings.server.port), "the API")


def post(place: Workplace, path: str, body: object = None) -> str:
    """The id of what was acknowledged."""
    answer = httpx.post(_url(place, path), json=body, trust_env=False, timeout=100)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def read(place: Workplace, job_id: str) -> dict[str, object]:
    answer = httpx.get(_url(place, f"/v1/jobs/{job_id}"), trust_env=False, timeout=100)
    return dict(answer.raise_for_status().json())


def _url(place: Workplace, path: str) -> str:
    return f"http://127.0.0.1:{place.settings.server.port}{path}"
