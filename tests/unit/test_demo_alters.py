"""Changes of any function by editing its code: they run, they say what they change, they do it."""

import re
from random import Random

import pytest

from tools.demo import (
    alter_guards,
    alter_kinds,
    alter_numbers,
    alter_results,
    alters,
    phrases,
    talks,
)
from tools.demo.families import LANGUAGES
from tools.demo.prompts import Function

SPELLED = tuple(map(str, range(2, 13)))  # small numbers are words at times
DOUBLE = Function("f", ("x",), "def f(x):\n    return x * 3", "n>n", ("made",))


def _functions(language, count=250):
    rng = Random(11)
    found = [talks.start(language, rng).function for _ in range(count)]
    return [function for function in found if function is not None]


def _define(function):
    space: dict[str, object] = {}
    exec(function.code, space)
    return space[function.name]


def _call(function, *values):
    return _define(function)(*values)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_change_gives_a_function_that_python_reads(language):
    rng = Random(3)

    for function in _functions(language):
        turn = alters.compose(function, language, rng)

        assert turn.function is not None
        assert callable(_define(turn.function)), turn.request
        assert f"def {turn.function.name}(" in turn.answer
        assert max(turn.request) < chr(0xF0000), turn.request
        assert "$" not in turn.request.replace("$ ", ""), turn.request
        assert turn.answer != function.code, turn.request


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_new_in_the_code_stands_in_the_request(language):
    rng = Random(4)
    free = {"num1", "numk", "numtwo", "limit", "factor", "take", "takedef", "case", "word"}

    for function in _functions(language):
        for kind in free:
            altered = alter_kinds.KINDS[kind][0](function, language, rng)
            if altered is None:
                continue
            said = alters.reveal(alters.say(kind, altered, function, language, rng))
            before = set(re.findall(r"[\w.]+", function.code))
            for new in set(re.findall(r"[\w.]+", altered[0].code)) - before - {"if", "return"}:
                assert new in said or new in SPELLED, (kind, said, altered[0].code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_can_be_said_in_every_way(language):
    lines = phrases.load_once(f"alters/{language}").sections
    for kind in alter_kinds.KINDS:
        section = alter_kinds.SECTIONS.get(kind, kind)
        if kind not in ("more", "case"):
            assert len(lines[section]) >= 11, (language, section, len(lines[section]))
    for test in alter_guards.TESTS:
        assert lines[f"if.{test}"]
        assert lines[f"for.{test}"]


def test_a_number_is_another_one():
    function, values = alter_numbers.replace_single(DOUBLE, "en", Random(1)) or pytest.fail("none")

    assert _call(function, 10) == pytest.approx(10 * float(values["k"]))
    assert values["j"] == "3"


def test_a_number_becomes_the_last_parameter():
    take = alter_numbers.take(named=False, default="same")

    function, _ = take(DOUBLE, "en", Random(1)) or pytest.fail("none")

    assert function.parameters == ("x", "n")
    assert _call(function, 5) == 15
    assert _call(function, 5, 2) == 10


def test_a_case_comes_to_its_place():
    code = 'def f(n):\n    if n >= 90:\n        return "A"\n    if n >= 60:\n        return "B"\n    return "C"'
    older = Function("f", ("n",), code, "n>s", ("made",))

    for seed in range(30):
        function, values = alter_guards.add_case(older, "en", Random(seed)) or pytest.fail("none")
        limit = int(values["k"])
        word = values["w"].strip('"')
        assert _call(function, limit) == word
        if limit < 60:
            assert _call(function, 60) == "B"
        if limit < 90:
            assert _call(function, 90) == "A"


def test_lists_and_single_values_are_each_others_opposite():
    listed, _ = alter_results.map_list(DOUBLE, "en", Random(1)) or pytest.fail("none")
    back, _ = alter_results.unmap_list(listed, "en", Random(1)) or pytest.fail("none")

    assert _call(listed, [1, 2]) == [3, 6]
    assert _call(back, 2) == 6


def test_words_for_truth_and_back():
    older = Function("f", ("x",), "def f(x):\n    return x > 3", "n>b", ("made",))

    words, values = alter_guards.to_words(older, "en", Random(1)) or pytest.fail("none")
    back, _ = alter_guards.to_truth(words, "en", Random(1)) or pytest.fail("none")

    assert _call(words, 4) == values["w"].strip('"')
    assert back.code == older.code


def test_a_special_case_returns_what_was_said():
    for seed in range(60):
        function, values = alter_guards.guard(DOUBLE, "en", Random(seed)) or pytest.fail("none")
        inputs = {"zero": 0, "negative": -4, "notpositive": 0, "none": None}
        if values["!case"] in inputs and values["!raises"] == "False":
            got = _call(function, inputs[values["!case"]])
            assert str(got) == values["w"].strip('"')


def test_the_version_before_comes_back():
    newer = Function("f", ("x",), "def f(x):\n    return x * 4", "n>n", ("edited",))
    turns = [alters.compose(newer, "en", Random(seed), DOUBLE) for seed in range(60)]

    assert any(turn.answer == DOUBLE.code and turn.function == DOUBLE for turn in turns)


def test_operators_turn():
    older = Function("f", ("a", "b"), "def f(a, b):\n    return a - b", "n,n>n", ("made",))

    function, _ = alter_kinds.KINDS["minus2plus"][0](older, "en", Random(1)) or pytest.fail("none")

    assert _call(function, 5, 2) == 7


def test_recursion_computes_what_the_loop_does():
    code = "def f(n):\n    result = 1\n    for i in range(2, n + 1):\n        result *= i\n    return result"
    older = Function("f", ("n",), code, "n>n", ("made",))

    function, _ = alter_kinds.KINDS["recursive"][0](older, "en", Random(1)) or pytest.fail("none")
    back, _ = alter_kinds.KINDS["loop"][0](function, "en", Random(1)) or pytest.fail("none")

    assert "f(n - 1)" in function.code
    assert _call(function, 5) == 120
    assert back.code == code


@pytest.mark.parametrize("old", ["0.001", "0.0001", "0.0015", "0.01", "0.5", "1"])
def test_every_number_has_another_one(old):
    """0.001 had none, and whoever met it in a conversation waited for ever."""
    found = {alter_numbers.pick_other(old, Random(seed)) for seed in range(20)}

    assert all(float(new) > 0 for new in found)
    assert old not in found
