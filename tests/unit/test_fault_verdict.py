"""The verdict on the fault campaigns names everything that falls short."""

from typing import Any

import pytest

from tests.faults import verdict
from tests.faults.record import Record


def _make(database: str, **changes: Any) -> dict[str, Any]:
    faults = {"F01": 10, "F12 latency": 6, "F12 down": 4, "F09": 240}
    made = Record(database, 1, jobs=5000, faults=faults, num_faults=260)
    return made.as_dict() | changes


def _judge(**changes: Any) -> list[str]:
    sqlite, postgresql = _make("sqlite", **changes), _make("postgresql")
    return list(verdict.judge({"sqlite": sqlite, "postgresql": postgresql}))


def test_two_campaigns_that_reach_everything_pass():
    assert _judge() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lost": 1}, "sqlite: 1 lost"),
        ({"jobs": 4999}, "9999 jobs of 10000"),
        ({"num_faults": 239}, "499 faults of 500"),
        ({"faults": {"F01": 9, "F09": 200, "F12 down": 10}}, "F01 struck 19 times in all, of 20"),
        ({"short": {"F01": 9}}, "sqlite: F01 struck 9 times"),
        ({"short": {"F33": 0}}, "F33 struck 0 times in all, of 20"),
        ({"recovery_p99_seconds": 7.1}, "sqlite: recovery p99 7.1 s, limit 7.0 s"),
        ({"hang_p99_seconds": 3.1}, "sqlite: hang p99 3.1 s, limit 3.0 s"),
    ],
)
def test_whatever_falls_short_is_said(changes: dict[str, Any], said: str):
    assert said in _judge(**changes)


def test_a_database_without_a_campaign_is_said():
    short = list(verdict.judge({"sqlite": _make("sqlite")}))

    assert "no campaign on postgresql has ended" in short


def test_a_record_names_planned_kinds_that_struck_too_seldom():
    record = Record("sqlite", 1, faults={"F12 down": 1, "F12 latency": 1, "F01": 1})

    record.count_short({"redis": ["F12 down", "F12 latency"], "cpu:0": ["F01", "F02"]}, 2)

    assert record.short == {"F01": 1, "F02": 0}
