"""Which faults a campaign plans."""

import random
from collections import Counter

from tests.faults import strands
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
