"""The verdict on the fault campaigns names everything that falls short."""

from typing import Any

import pytest

from tests.faults import clocks, deaths, strands, verdict
from tests.faults.injections import CROWDED, Injection
from tests.faults.record import Record

_RIGHT = {"lost": 0, "duplicate": 0, "changed": 0, "failed": 0}
_WELL = _RIGHT | {"recoveries_seconds": [14.3, 14.7], "limit_seconds": 16.0}


def _make(database: str, **changes: Any) -> dict[str, Any]:
    kinds = [kind for kind in verdict.KINDS[database] if kind not in verdict.FORMS]
    faults = {kind: 20 if kind in ("F17", "F19", "F20") else 10 for kind in kinds}
    forms = ["F12"] if database == "sqlite" else ["F12", "F18"]
    faults |= {f"{kind} {form}": 2 for kind in forms for form in verdict.FORMS[kind]}
    faults |= {"F09": 240} | ({"F18 lost_commit": 4} if "F18" in forms else {})
    made = Record(database, 1, jobs=5000, faults=faults, num_faults=260)
    made.recovery_p99_seconds, made.hang_p99_seconds = 6.0, 2.5
    return made.as_dict() | changes


def _judge(hosts: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    report = {"sqlite": _make("sqlite", **changes), "postgresql": _make("postgresql")}
    return list(verdict.judge(report | {verdict.HOSTS: _WELL if hosts is None else hosts}))


def _without(*kinds: str, **changes: Any) -> dict[str, Any]:
    faults = _make("sqlite")["faults"]
    return {"faults": {kind: n for kind, n in faults.items() if kind not in kinds} | changes}


def test_campaigns_that_reach_everything_pass():
    assert _judge() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lost": 1}, "sqlite: 1 lost"),
        ({"jobs": 4999}, "9999 jobs of 10000"),
        ({"num_faults": 239}, "499 faults of 500"),
        (_without(F01=9), "F01 struck 19 times on both databases together, of 20"),
        ({"short": {"F01": 9}}, "sqlite: F01 struck 9 times"),
        (_without("F12 timeout"), "sqlite: F12 timeout struck 0 times, of 2"),
        (_without(**{"F12 down": 1}), "sqlite: F12 down struck 1 times, of 2"),
        (_without("F04"), "sqlite: F04 never struck: it was not planned"),
        (_without("F20"), "sqlite: F20 never struck: it was not planned"),
        (_without("F20"), "F20 struck 0 times on both databases together, of 20"),
        (
            _without("F31") | {"left_out": {"F31": "needs a C compiler"}},
            "sqlite: F31 never struck: needs a C compiler",
        ),
        ({"recovery_p99_seconds": 7.1}, "sqlite: recovery p99 7.1 s, limit 7.0 s"),
        ({"hang_p99_seconds": 3.1}, "sqlite: hang p99 3.1 s, limit 3.0 s"),
        ({"recovery_p99_seconds": None}, "sqlite: recovery was not measured"),
        ({"hang_p99_seconds": None}, "sqlite: hang was not measured"),
        ({"hosts": {"left_out": "needs root"}}, "several hosts: left out: needs root"),
        ({"hosts": _WELL | {"lost": 2}}, "several hosts: 2 lost"),
        (
            {"hosts": _WELL | {"recoveries_seconds": [14.3, 16.1, 2.0]}},
            "several hosts: recovery took 16.1 s, limit 16.0 s",
        ),
        (
            {"hosts": _WELL | {"recoveries_seconds": []}},
            "several hosts: recovery was not measured",
        ),
    ],
)
def test_whatever_falls_short_is_said(changes: dict[str, Any], said: str):
    assert said in _judge(**changes)


def test_a_form_that_never_struck_is_said_however_often_the_others_did():
    postgres = _make("postgresql")
    postgres["faults"] |= {"F18 lost_commit": 18, "F18 slicer": 0}
    report = {"sqlite": _make("sqlite"), "postgresql": postgres, verdict.HOSTS: _WELL}

    assert list(verdict.judge(report)) == ["postgresql: F18 slicer struck 0 times, of 2"]


def test_a_database_without_a_campaign_is_said():
    short = list(verdict.judge({"sqlite": _make("sqlite")}))

    assert "no campaign on postgresql has ended" in short
    assert "several hosts: no run has ended" in short


def test_a_campaign_with_the_shipped_model_counts_for_no_kind_but_must_be_right():
    report = {"sqlite": _make("sqlite", **_without(F01=9)), "postgresql": _make("postgresql")}
    model = Record("sqlite, the shipped model", 1, jobs=1, faults={"F01": 2}, changed=1).as_dict()

    short = list(verdict.judge(report | {"sqlite, the shipped model": model, verdict.HOSTS: _WELL}))

    assert "F01 struck 19 times on both databases together, of 20" in short
    assert "sqlite, the shipped model: 1 changed" in short
    assert not [each for each in short if "the shipped model: F" in each]


def test_a_record_names_planned_kinds_that_struck_too_seldom():
    record = Record("sqlite", 1, faults={"F12 down": 1, "F12 latency": 1, "F01": 1})

    record.count_short({"redis": ["F12 down", "F12 latency"], "cpu:0": ["F01", "F02"]}, 2)

    assert record.short == {"F01": 1, "F02": 0}


def test_a_record_names_planned_forms_that_struck_less_often_than_their_share():
    planned = {"redis": [f"F12 {form}" for form in verdict.FORMS["F12"]]}
    often = dict.fromkeys(planned["redis"], 2)
    record = Record("sqlite", 1, faults=often | {"F12 latency": 9, "F12 slicer": 1, "F12 down": 0})

    record.count_short(planned, 10)

    assert record.short == {"F12 slicer": 1, "F12 down": 0}


def test_a_poisonous_request_is_of_a_second_kind_if_it_took_others_with_it():
    timeline = [Injection("F03", 0, in_flight, 3) for in_flight in (8, 1, 20)]
    record = Record("sqlite", 1)

    record.count_faults(timeline)
    record.count_short({"poison": ["F03"]}, 3)

    assert record.faults == {"F03": 3, "F04": 2}
    assert record.num_faults == 3
    assert record.short == {"F04": 2}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("can_all", [True, False])
def test_the_kinds_that_must_strike_are_woven_or_said_to_be_missing(
    database: str, can_all: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deaths, "can_starve", lambda: can_all)
    monkeypatch.setattr(clocks, "find_compiler", lambda: "cc" if can_all else None)
    ground = strands.Ground(database, has_small_disk=can_all)

    every = {kind for strand in strands.weave(ground).values() for kind in strand}
    woven = {kind.partition(" ")[0] for kind in every}
    missing = strands.list_missing(ground)

    implied = {also for kind, also in CROWDED.items() if kind in woven}
    assert woven | implied | set(missing) == set(verdict.KINDS[database])
    assert not woven & set(missing)
    assert bool(missing) != can_all
    forms = {f"{kind} {form}" for kind in woven for form in verdict.FORMS.get(kind, ())}
    assert {kind for kind in every if " " in kind} == forms
