"""F19: another process holds SQLite's write lock for longer than anybody waits for it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from app.models.database import Database
from tests.integration.apis import MODELS, Api

pytestmark = pytest.mark.integration
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """The write lock, in another process."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with program:
        assert program.stdout
        assert program.stdout.readline() == b"held\n"
        yield
        program.communicate()


def test_a_locked_sqlite_is_answered_503_and_the_same_request_succeeds_afterwards(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    chosen = settings.Database(url=database_url, statement_timeout_seconds=0.2)
    options = settings.Settings(models=MODELS, data_dir=tmp_path, database=chosen)
    db = Database(database_url, chosen)
    api = Api(db, redis_url, tmp_path, options)
    body = {"model": "small", "prompt": "hi"}
    headers = {"Idempotency-Key": "key"}

    with held(str(db.url.database)):
        refused = api.client.post("/v1/jobs", json=body, headers=headers)
        listed = api.client.get("/v1/jobs")
    again = api.client.post("/v1/jobs", json=body, headers=headers)

    assert (refused.status_code, refused.json["error"]["code"]) == (503, "database_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert listed.status_code == 200, "readers wait for no writer"
    assert again.status_code == 202
    assert [job["id"] for job in api.client.get("/v1/jobs").json["data"]] == [again.json["id"]]
    db.close()
