"""Which faults a campaign plans."""

import random
from collections import Counter

import pytest

from tests.faults import strands, verdict
from tests.faults.injections import DEATHS
from tests.faults.stage import STRUCK


def test_the_calm_phase_has_each_death_so_often_and_nothing_else() -> None:
    woven = strands.weave(strands.Ground("sqlite"))

    planned = strands.plan_calm(woven, 6, random.Random(1))

    assert set(planned) == set(STRUCK)
    times = Counter(kind for kinds in planned.values() for kind in kinds)
    assert set(times) == {kind for kind in woven[STRUCK[0]] if kind in DEATHS}
    assert set(times.values()) == {6}
    assert not any(strands.plan_calm(woven, 0, random.Random(1)).values())


@pytest.mark.parametrize(
    ("database", "kind", "total"),
    [("sqlite", "F12", 16), ("postgresql", "F12", 16), ("postgresql", "F18", 20)],
)
def test_each_form_of_a_fault_strikes_twice_at_least_and_the_kind_so_often_as_any(
    database: str, kind: str, total: int
) -> None:
    woven = strands.weave(strands.Ground(database))

    planned = strands.plan(woven, 10, (), random.Random(1))

    times = Counter(each for kinds in planned.values() for each in kinds if each.startswith(kind))
    assert set(times) == {f"{kind} {form}" for form in verdict.FORMS[kind]}
    assert min(times.values()) == verdict.EACH_FORM
    assert sum(times.values()) == total


def test_one_round_has_every_form_once() -> None:
    planned = strands.plan(strands.weave(strands.Ground("postgresql")), 1, (), random.Random(1))

    times = Counter(kind for kinds in planned.values() for kind in kinds if " " in kind)
    assert set(times.values()) == {1}
