"""Plain names: what a request leaves open has one name, what it or an earlier turn says is kept."""

import pytest

from tools.demo import plain
from tools.demo.prompts import Function, Turn


def _turn(request, name, parameters, body, signature="n>n", **known):
    code = f"def {name}({', '.join(parameters)}):\n    return {body}"
    return Turn(request, code, Function(name, parameters, code, signature, ("t", "t")), **known)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("twice a number", "solve(x)"),
        ("twice a number, call it double", "double(x)"),
        ("double(x): twice a number", "double(x)"),
        ("double a number", "solve(x)"),
        ("double を作って", "double(x)"),
        ("写一个 double，返回两倍", "double(x)"),
        ("数字的两倍", "solve(x)"),
    ],
)
def test_a_function_keeps_a_name_that_the_request_gives_it(request_, expected):
    made = plain.make_plain(_turn(request_, "double", ("number_in",), "number_in * 2"))

    assert made.answer == f"def {expected}:\n    return x * 2"
    assert made.made.code == made.answer


def test_what_the_maker_knows_of_the_names_comes_before_the_look_of_the_request():
    turn = _turn("name it double", "double", ("v",), "v * 2", is_named=False, names_parameters=True)

    assert plain.make_plain(turn).answer == "def solve(v):\n    return v * 2"


@pytest.mark.parametrize(
    ("signature", "old", "new"),
    [
        ("s>n", ("text",), ("s",)),
        ("l>n", ("values",), ("items",)),
        ("n>n", ("km",), ("x",)),
        ("n,n>n", ("price", "rate"), ("a", "b")),
    ],
)
def test_parameters_that_are_not_said_are_plain(signature, old, new):
    turn = _turn("計算する関数", "f", old, " + ".join(old), signature)

    made = plain.make_plain(turn)

    assert made.made.parameters == new
    assert made.answer == f"def solve({', '.join(new)}):\n    return {' + '.join(new)}"


def test_parameters_stay_when_the_request_says_them_all():
    turn = _turn("price times rate", "f", ("price", "rate"), "price * rate", "n,n>n")

    assert plain.make_plain(turn).made.parameters == ("price", "rate")


def test_a_second_function_without_a_name_gets_another_one():
    first = plain.make_plain(_turn("半分", "half", ("x",), "x / 2"))
    second = _turn("上の関数を2回", "quarter", ("x",), "solve(solve(x))")

    made = plain.make_plain(second, [first])

    assert made.answer == "def solve2(x):\n    return solve(solve(x))"


def test_a_change_keeps_names_and_parameters_of_the_function_it_changes():
    first = _turn("price に税を足す addtax(price)", "addtax", ("price",), "price * 1.1")
    changed = _turn("切り捨てて", "addtax", ("price",), "int(price * 1.1)")

    assert plain.make_plain(changed, [first]).answer == changed.answer


def test_a_plain_name_never_takes_that_of_something_else_in_the_code():
    turn = _turn("偶数", "evens", ("values",), "[x for x in values if x % 2 == 0]", "n>l")

    assert plain.make_plain(turn).made.parameters == ("values",)


def test_texts_between_quotes_keep_their_words():
    turn = _turn(
        "每个名字前加标签", "label", ("name",), '"label name: " + name', "s>s", is_named=False
    )

    assert plain.make_plain(turn).answer == 'def solve(s):\n    return "label name: " + s'


def test_parameters_that_trade_their_names_do_not_meet():
    turn = _turn("差", "f", ("b", "a"), "b - a", "n,n>n", names_parameters=False)

    assert plain.make_plain(turn).answer == "def solve(a, b):\n    return a - b"


def test_a_refusal_stays_as_it_is():
    turn = Turn("Sing!", "Sorry.", None)

    assert plain.make_plain(turn) is turn
