"""Everyday tasks: enough wordings, and code that does what is asked for whatever is drawn."""

import math
import re
from random import Random

import pytest

from tools.demo import families, prompts
from tools.demo.families import LANGUAGES

EVERYDAY = families.load("everyday")
EXPECTED = {
    "square_diagonal": ((3,), math.sqrt(18)),
    "equilateral_area": ((6,), 9 * math.sqrt(3)),
    "cylinder_surface": ((2, 3), 20 * math.pi),
    "ring_area": ((3, 2), 5 * math.pi),
    "sector_area": ((6, 60), 6 * math.pi),
    "arc_length": ((6, 60), 2 * math.pi),
    "radius_from_circumference": ((math.tau * 7,), 7),
    "kinetic_energy": ((4, 5), 50),
    "free_fall": ((2,), 19.6),
    "parallel": ((10, 10), 5),
    "without_tax": ((121, 21), 100),
    "break_even": ((900, 12, 3), 100),
    "hour12": ((0,), 12),
    "sleep_hours": ((22, 6), 8),
    "harmonic": ((40, 60), 48),
    "deviation_value": ((60, 50, 20), 55),
    "dict_drop": (({"a": 1, "b": 2}, "b"), {"a": 1}),
    "rps": (("scissors", "paper"), "first"),
    "judges": (([1, 2, 3, 30],), 2.5),
    "rank_of": (([5, 9, 7], 7), 2),
}


def _run(family, lang, seed):
    turn = prompts.compose(family, lang, Random(seed))
    scope: dict[str, object] = {}
    exec(turn.answer, scope)
    return turn, scope[turn.made.name]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_task_is_asked_for_in_five_ways_at_least_some_with_its_name(lang):
    for family in EVERYDAY:
        texts = [wording.text for wording in family.wordings[lang]]
        assert len(texts) >= 5, family.id
        assert any("$f" in text for text in texts), family.id
        assert not any(re.search(r"\$[a-z](?=[a-z])", text) for text in texts), family.id


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_slot_is_left_and_the_function_is_named(lang):
    for seed, family in enumerate(EVERYDAY):
        turn, made = _run(family, lang, seed)
        assert callable(made)
        assert "$" not in turn.request + turn.answer


@pytest.mark.parametrize("task", EXPECTED)
def test_the_value_is_that_of_another_computation(task):
    family = next(each for each in EVERYDAY if each.id == task)
    arguments, value = EXPECTED[task]
    for lang in LANGUAGES:
        for seed in range(8):
            found = _run(family, lang, seed)[1](*arguments)
            assert found == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_wrong_value_would_be_found():
    family = next(each for each in EVERYDAY if each.id == "parallel")

    assert _run(family, "en", 1)[1](10, 10) != 20
