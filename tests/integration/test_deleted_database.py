"""SQLite writes on into deleted files: nothing is acknowledged that would go with them."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.models.database import Database
from tests.integration import makers
from tests.integration.apis import Api

pytestmark = pytest.mark.integration

Deed = Callable[[Path], None]


def _find(database: Database) -> Path:
    assert database.path is not None
    return database.path


def _delete(path: Path) -> None:
    path.unlink()


def _delete_journal(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def _replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.rename(path)


def _replace_journal(path: Path) -> None:
    _replace(path.with_name(f"{path.name}-wal"))


@pytest.mark.parametrize("harm", [_delete, _delete_journal, _replace, _replace_journal])
def test_a_job_is_not_acknowledged_once_the_files_are_gone(
    database: Database, redis_url: str, tmp_path: Path, harm: Deed
) -> None:
    (tmp_path / "own").mkdir()
    api = Api(database, redis_url, tmp_path / "own")
    api.submit()

    harm(_find(database))

    refused = api.client.post("/v1/jobs", json={"model": "small", "prompt": "hi"})
    assert (refused.status_code, refused.json["error"]["code"]) == (503, "database_deleted")
    assert refused.headers["Retry-After"]
    assert "Deleted database files" in refused.json["error"]["message"]


def test_what_was_committed_into_files_deleted_meanwhile_is_not_acknowledged(
    database: Database,
) -> None:
    makers.add_job(database)

    with pytest.raises(Unavailable, match="database_deleted"):
        _commit_while(database, lambda: _find(database).unlink())


def _commit_while(database: Database, deed: Callable[[], None]) -> None:
    with database.write() as tx:
        tx.exec_driver_sql("DELETE FROM jobs")
        deed()


def test_files_that_come_back_are_used_again(database: Database) -> None:
    makers.add_job(database)
    path = _find(database)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(Unavailable, match="database_deleted"):
        makers.add_job(database)
    assert not path.exists()

    path.with_name("elsewhere").rename(path)

    makers.add_job(database)


def test_a_journal_that_sqlite_itself_makes_anew_is_no_fault(database: Database) -> None:
    makers.add_job(database)
    database.disconnect()
    makers.add_job(database)
    other = Database(str(database.url))
    threads = [threading.Thread(target=makers.add_job, args=(each,)) for each in (other, database)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    makers.add_job(database)
