"""Which of several drawn answers is taken."""

import pytest

from app.coding import ranking
from app.coding.ranking import Draw
from tests.unit.test_coding_checks import examine

FLAWED = "def f(x):\n    return y"
BROKEN = "def f(x:"
GOOD = "def f(x):\n    return x"
DOUBLE = "def f(x):\n    return 2 * x"
SORRY = "Sorry, I can only write small functions."


def pick(*draws: tuple[str, float]) -> int:
    return ranking.pick([Draw(examine(text), likelihood) for text, likelihood in draws])


@pytest.mark.parametrize(
    ("draws", "best"),
    [
        ([(GOOD, -3.0), (DOUBLE, -2.0)], 1),
        ([(GOOD, -2.0), (DOUBLE, -3.0)], 0),
        ([(FLAWED, -1.0), (BROKEN, -0.5), (GOOD, -9.0)], 2),
        ([(BROKEN, -0.5), (FLAWED, -9.0)], 1),
        ([(BROKEN, -2.0), (BROKEN, -1.0)], 1),
    ],
)
def test_the_likeliest_of_those_with_the_fewest_faults_is_taken(
    draws: list[tuple[str, float]], best: int
):
    assert pick(*draws) == best


def test_of_equals_the_most_frequent_is_taken():
    assert pick((GOOD, 0.0), (DOUBLE, 0.0), (DOUBLE, 0.0)) == 1


def test_a_refusal_stands_where_most_draws_are_one():
    assert pick((SORRY, -1.0), (GOOD, -0.1), (SORRY, -2.0)) == 0
    assert pick((SORRY, -1.0), (GOOD, -9.0)) == 1


def test_one_draw_is_taken_whatever_it_is():
    assert pick((SORRY, 0.0)) == pick((BROKEN, 0.0)) == 0
