"""The soak of the bare engine: every kind of request ends, and growing memory fails it."""

from collections import Counter
from typing import Any

import pytest

from app.inference.engine import Stats
from bench import soak

KINDS = ("plain", "guided", "stopped", "penalized")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("soak")


def test_two_thousand_requests_of_every_kind_end_in_flat_memory(folder):
    found = soak.soak(soak.build(folder), 2000)

    assert soak.judge(found) == []
    assert len(found.memory) == 10
    assert found.ends.total() == 2000
    assert all(found.ends[f"{kind} cancelled"] for kind in KINDS)
    assert found.ends["guided stop"] > 300
    assert found.ends["stopped stop"] > 100
    assert found.ends["plain length"] > 300
    assert found.ends["penalized length"] > 300


class Leaky:
    """An engine that keeps 40 kB of every request."""

    def __init__(self, subject):
        self._subject = subject
        self._kept: list[bytes] = []

    def __getattr__(self, name):
        return getattr(self._subject, name)

    def step(self):
        outputs = self._subject.step()
        self._kept += [bytes([1]) * 40_000 for _ in outputs]
        return outputs


def test_an_engine_that_keeps_a_little_of_every_request_fails(folder):
    leaky: Any = Leaky(soak.build(folder))

    failures = soak.judge(soak.soak(leaky, 2000))

    assert len(failures) == 1
    assert failures[0].startswith("memory grew by")


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({}, []),
        ({"memory": (400.0, 400.0 + soak.GROWTH_MIB, 400.0)}, []),
        ({"memory": (400.0, 433.0, 400.0)}, ["memory grew by 33.0 MiB after the first tenth"]),
        ({"stats": Stats(blocks_total=8, blocks_free=7)}, ["blocks leaked"]),
        ({"ends": Counter({"guided error": 2, "plain stop": 1})}, ["2 requests failed"]),
    ],
)
def test_growth_lost_blocks_and_failed_requests_are_told(changes, failure):
    right = {"memory": (400.0, 401.0), "ends": Counter(), "stats": Stats()}

    assert soak.judge(soak.Found(**right | changes)) == failure
