"""A short campaign on each database: real processes, a fault of each family. `make faults` runs all."""

from pathlib import Path

import pytest

from app.models.database import Database
from tests.faults import campaign, clocks
from tests.faults.injections import CROWDED
from tests.faults.record import Record
from tests.faults.stage import Set
from tests.postgres import running_postgres

pytestmark = [pytest.mark.integration, pytest.mark.databases, pytest.mark.timeout(1500)]

FAULTS = {
    "sqlite": ("F02", "F09", "F14", "F19", "F22", "F26", "F31", "F33"),
    "postgresql": ("F02", "F03", "F12 reset_peer", "F17", "F18 lost_commit", "F35"),
}


def test_no_job_is_lost_doubled_or_changed_by_a_fault_of_each_family(
    database_kind: str, database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = None if database.is_sqlite else request.getfixturevalue("migrated_postgres")
    record, clock = Record(database_kind, seed=11), _make_clock(tmp_path)
    kinds = [kind for kind in FAULTS[database_kind] if clock or kind != "F31"]

    campaign.run(_set(database, tmp_path, server, clock), record, kinds=kinds)

    assert (record.lost, record.duplicate, record.changed, record.failed) == (0, 0, 0, 0)
    assert record.jobs >= 100
    struck = {kind.partition(" ")[0] for kind in record.faults}
    assert struck - {*CROWDED.values()} == {kind.partition(" ")[0] for kind in kinds}
    assert record.faults.get("F04") == record.faults.get("F03")


def _set(
    db: Database, folder: Path, server: running_postgres | None, clock: clocks.Clock | None
) -> Set:
    """With the default lease: this machine may be busy with other tests."""
    return Set(db, folder, 11, server, clock=clock, lease_seconds=15.0)


def _make_clock(folder: Path) -> clocks.Clock | None:
    return clocks.Clock(folder / "clock") if clocks.find_compiler() else None
