"""`autoglm jobs` against a real API: list with filters, show, wait, cancel."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import cli
from app.models.database import Database
from tests.integration.apis import Api

pytestmark = pytest.mark.integration


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    made = Api(database, redis_url, tmp_path)
    with made.serve():
        yield made


def run(api: Any, *words: str, status: int = 0) -> list[dict[str, Any]]:
    done = CliRunner().invoke(cli.main, ["jobs", *words, "--url", api.url, "--timeout", "5"])
    assert done.exit_code == status, done.output
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def add(api: Api, prompt: str) -> str:
    return str(api.client.post("/v1/jobs", json={"model": "small", "prompt": prompt}).json["id"])


def test_jobs_are_listed_by_pages_and_filters(api: Api):
    made = [add(api, str(number)) for number in range(103)]
    run(api, "cancel", made[0])

    listed = run(api, "list", "--limit", "102")
    cancelled = run(api, "list", "--status", "cancelled")

    assert [job["id"] for job in listed] == made[:0:-1]
    assert [job["id"] for job in cancelled] == made[:1]
    assert run(api, "list", "--session", "sess_none") == []


def test_a_job_is_shown_awaited_and_its_end_is_the_exit_status(api: Api):
    good, bad = add(api, "a"), add(api, "b")
    run(api, "cancel", bad)
    worker = threading.Timer(0.3, lambda: api.work(good))
    worker.start()

    (ended,) = run(api, "wait", good)
    worker.join()

    assert ended["status"] == "succeeded"
    assert run(api, "show", good)[0]["id"] == good
    assert run(api, "wait", bad, status=1)[0]["status"] == "cancelled"
    assert run(api, "show", "job_none", status=1) == []
