"""SIGTERM twice and SIGQUIT under load: the API ends in time, and all that it accepted is there."""

from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app import settings
from app.api import server
from app.models.database import Database
from tests.faults.test_rollout import Client
from tests.integration.test_api_server import find_port
from tests.integration.test_docker_stop import (
    API_GRACE_SECONDS,
    MAIN,
    ask,
    begin_upload,
    connect,
    find_grace,
    is_answering,
)
from tests.integration.workplace import Workplace, opened, wait_for

pytestmark = pytest.mark.integration
CODE = f"from app.api import server; server.GRACE_SECONDS = {API_GRACE_SECONDS}\n" + MAIN
SPARE_SECONDS = find_grace("open-autoglm") - server.GRACE_SECONDS


@pytest.mark.databases(long=True)
@pytest.mark.parametrize("way", ["SIGQUIT", pytest.param("SIGTERM twice", marks=pytest.mark.long)])
def test_an_api_under_load_ends_in_time_and_the_next_one_has_all_that_was_accepted(
    database: Database, redis_url: str, tmp_path: Path, way: str
) -> None:
    own = settings.Server(port=find_port())
    with opened(database, redis_url, tmp_path / "w", server=own) as place:
        first = place.start("api", script=("-c", CODE))
        wait_for(lambda: is_answering(own.port), "the API")
        client = Client([f"http://127.0.0.1:{own.port}"])
        completion = connect(own.port)
        ask(completion)
        upload = begin_upload(own.port)
        wait_for(lambda: len(client.accepted) > 10, "load")

        first.stop_by(way)
        assert first.wait(API_GRACE_SECONDS + SPARE_SECONDS) == 0
        before = set(client.accepted)

        place.start("api", script=("-c", CODE))
        wait_for(lambda: len(client.accepted) > len(before) + 10, "load on the next one")
        client.stop()
        check(place, client, before)
        for each in (completion, upload):
            each.close()


def check(place: Workplace, client: Client, before: set[str]) -> None:
    """Each acknowledged job once; beside them the completion's, which was refused or cut off."""
    with place.db.read() as tx:
        asked = "SELECT id, state FROM jobs WHERE idempotency_key IS NOT NULL"
        stored = {row.id: row.state for row in tx.execute(sa.text(asked))}
    assert stored == dict.fromkeys(client.accepted, "queued")
    assert place.count("SELECT count(*) FROM jobs WHERE idempotency_key IS NULL") <= 1
    assert place.count("SELECT count(*) FROM files") == 0
    assert all(each.headers.get("Retry-After") for each in client.refusals)
    url = f"http://127.0.0.1:{place.settings.server.port}/v1/jobs/{min(before)}"
    assert httpx.get(url, trust_env=False, timeout=60).json()["status"] == "queued"
