"""A disk that takes no more: what was acknowledged is kept, and it goes on when there is room again."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models.database import Database

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
        timeout=120,
    )

    db = Database(database_url)
    with db.read() as tx:
        stored = tx.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one()
        verdict = tx.execute(sa.text("PRAGMA integrity_check")).scalar_one()
    db.close()
    assert int(done.stdout) == stored > 10
    assert verdict == "ok"
