"""Answers run in a process of their own that can do little harm."""

import pytest

from tools.demo.execute import Check, find_fault

DOUBLE = "def double(x):\n    return x * 2"
QUAD = "def quad(x):\n    return double(double(x))"


def test_a_right_answer_has_no_fault():
    assert find_fault([DOUBLE], [Check((3,), 6)]) is None


def test_a_later_answer_may_call_an_earlier_one():
    checks = [Check((3,), 12, name="quad"), Check((3,), 6, turn=0)]

    assert find_fault([DOUBLE, QUAD], checks) is None


def test_a_check_of_an_early_turn_does_not_see_what_a_later_one_changed():
    thrice = "def double(x):\n    return x * 3"
    early, late = Check((3,), 6, turn=0, name="double"), Check((3,), 9, name="double")

    assert find_fault([DOUBLE, thrice], [early, late]) is None
    assert "gave 6" in str(find_fault([DOUBLE, thrice], [Check((3,), 9, turn=0)]))


def test_a_wrong_value_is_named():
    assert "gave 6" in str(find_fault([DOUBLE], [Check((3,), 7)]))


def test_true_is_not_one():
    assert find_fault(["def f(x):\n    return 1"], [Check((3,), True)]) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "import os",
        "def f(x):\n    return open('x', 'w')",
        "def f(x):\n    return 'a' * 10 ** 10",
        "Sorry, I can only write small Python functions.",
        "",
    ],
)
def test_what_is_no_plain_function_is_a_fault(answer):
    assert find_fault([answer], [Check((3,), 3)]) is not None


def test_an_endless_loop_is_stopped():
    assert find_fault(["def f(x):\n    while True:\n        pass"], [Check((3,), 3)]) is not None


def test_memory_is_limited():
    greedy = "def f(x):\n    return len('a' * 1000000000)"

    assert "MemoryError" in str(find_fault([greedy], [Check((3,), 1000000000)]))


def test_a_dictionary_is_compared_with_its_keys_as_text():
    counts = "def f(x):\n    return {x: 2}"

    assert find_fault([counts], [Check((1,), {1: 2})]) is None
    assert find_fault([counts], [Check((1,), {2: 2})]) is not None
