"""A disk that takes no more: what was acknowledged is kept, and it goes on when there is room again."""

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import settings
from app.models.database import Database
from app.workers import finalize
from tests.faults import disks
from tests.integration.apis import MODELS, Api
from tests.integration.test_api_files import list_folder, upload

pytestmark = pytest.mark.integration

# RLIMIT_FSIZE stands in for the full disk: SQLite's write fails in the middle of a transaction.
_PROGRAM = """
import os, resource, sys
from app.errors import Full
from app.models.database import Database
from tests.integration import makers

db = Database(sys.argv[1])
makers.add_job(db)
size = os.path.getsize(db.url.database + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1_000_000, resource.RLIM_INFINITY))
accepted, refused = 1, 0
while refused < 3:
    try:
        makers.add_job(db, metadata={"filler": "x" * 2000})
        accepted += 1
    except Full:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
makers.add_job(db)
print(accepted + 1)
"""


def test_a_full_disk_refuses_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, database_url],
        check=True,
        capture_output=True,
        text=True,
        timeout=400,
    )

    db = Database(database_url)
    with db.read() as tx:
        stored = tx.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one()
        verdict = tx.execute(sa.text("PRAGMA integrity_check")).scalar_one()
    db.close()
    assert int(done.stdout) == stored > 10
    assert verdict == "ok"


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    """Nobody in this process writes beyond byte `size` of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    (tmp_path / "own").mkdir()
    return Api(database, redis_url, tmp_path / "own")


def check_refusal(api: Api, answer: Any) -> None:
    """A clear 507 with the remedy, and nothing of the upload anywhere."""
    error = answer.json["error"]
    assert (answer.status_code, error["code"]) == (507, "storage_full")
    assert "made room" in error["message"]
    assert answer.headers["Retry-After"]
    assert api.client.get("/v1/files").json["data"] == []
    assert list_folder(api) == []


@pytest.mark.parametrize(
    ("kilobytes", "limit"),
    [
        pytest.param(2000, 500_000, id="while it arrives"),
        pytest.param(37, 34_000, id="with its last bytes"),
    ],
)
def test_an_upload_that_finds_no_room_leaves_nothing_and_the_next_one_succeeds(
    api: Api, kilobytes: int, limit: int
) -> None:
    content = b'{"custom_id": "1"}\n' * (kilobytes * 50)

    with limited(limit):
        answer = upload(api, content)

    check_refusal(api, answer)
    assert upload(api, content).status_code == 200


def test_an_upload_without_room_for_its_row_leaves_no_bytes(api: Api) -> None:
    upload(api)
    known = list_folder(api)
    wal = Path(f"{api.db.url.database}-wal")

    with limited(wal.stat().st_size):
        answer = upload(api)

    assert (answer.status_code, answer.json["error"]["code"]) == (507, "storage_full")
    assert list_folder(api) == known
    assert upload(api).status_code == 200
    assert len(list_folder(api)) == 2


def test_a_really_full_disk_refuses_uploads_until_there_is_room(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    with disks.small(folder, "2m") as is_small:
        if not is_small:
            pytest.skip("no disk can be mounted here")
        api = Api(database, redis_url, folder, settings.Settings(models=MODELS, data_dir=folder))
        (folder / "ballast").write_bytes(b"x" * 1_500_000)

        check_refusal(api, upload(api, b"x" * 1_000_000))

        (folder / "ballast").unlink()
        assert upload(api, b"x" * 1_000_000).status_code == 200


def test_a_batchs_file_that_finds_no_room_is_removed(tmp_path: Path) -> None:
    writer = finalize._Writer(tmp_path)
    writer.write({"text": "x" * 3000})

    with limited(1000), pytest.raises(OSError, match="File too large"):
        writer.publish(tmp_path / "out")
    with limited(1000), contextlib.suppress(OSError):
        writer.discard()

    assert list(tmp_path.iterdir()) == []
