"""A short campaign on each database: real processes, a fault of each family. `make faults` runs all."""

from pathlib import Path

import pytest

from app.models.database import Database
from tests.faults import campaign
from tests.faults.campaign import Record

pytestmark = [pytest.mark.integration, pytest.mark.databases, pytest.mark.timeout(900)]

FAULTS = {
    "sqlite": ("F02", "F09", "F14", "F19"),
    "postgresql": ("F02", "F12 reset_peer", "F17", "F18 reset_peer"),
}


def test_no_job_is_lost_doubled_or_changed_by_a_fault_of_each_family(
    database_kind: str, database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = None if database.is_sqlite else request.getfixturevalue("migrated_postgres")
    record = Record(database_kind, seed=11)

    campaign.run(database, tmp_path, record, server=server, kinds=FAULTS[database_kind])

    assert (record.lost, record.duplicate, record.changed, record.failed) == (0, 0, 0, 0)
    assert record.jobs >= 100
    assert sum(record.faults.values()) == len(FAULTS[database_kind])
