"""Hosts with addresses of their own lose and find each other: nothing is lost, nothing doubled."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import nets, record, verdict
from tests.postgres import find_programs

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]


def test_partitions_one_way_loss_and_slow_links_cost_no_job(tmp_path: Path) -> None:
    find_programs()
    if missing := nets.explain_missing():
        record.save_as(verdict.HOSTS, {"left_out": missing})
        pytest.skip(missing)
    with nets.opened() as net:
        command = [sys.executable, "-m", "tests.faults.hosts", net.name, str(tmp_path / "stage")]
        done = subprocess.run(
            ["ip", "netns", "exec", net.space("hub"), *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=880,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    record.save_as(verdict.HOSTS, found)

    assert [found[name] for name in ("lost", "duplicate", "changed", "failed")] == [0, 0, 0, 0]
    assert found["faults"] == {
        "one way": 2,
        "partition": 2,
        "partition api": 1,
        "partition database": 1,
        "partition redis": 1,
        "slow": 2,
    }
    assert found["jobs"] >= 100
    assert len(found["recoveries_seconds"]) == 4  # a slow link costs no lease
    assert max(found["recoveries_seconds"]) <= found["limit_seconds"]
