"""Which lines may be answered from an identical one."""

from dataclasses import replace
from typing import Any

import pytest

from app.intake import twins
from app.wire.rows import Line, Problem

GREEDY = {"messages": [{"role": "user", "content": "hi"}], "sampling": {"temperature": 0.0}}
LINE = Line(1, "c1", "m", GREEDY)


def sample(**sampling: Any) -> dict[str, Any]:
    return {**GREEDY, "sampling": sampling}


def test_identical_lines_have_the_number_of_the_first():
    index = twins.Index()

    assert [index.find(replace(LINE, line_no=number)) for number in (3, 7, 9)] == [3, 3, 3]


def test_the_order_of_members_makes_no_difference_and_an_own_id_neither():
    index = twins.Index()
    turned = dict(reversed(GREEDY.items()))

    assert index.find(LINE) == index.find(replace(LINE, line_no=2, custom_id="x", request=turned))


@pytest.mark.parametrize(
    "request_",
    [
        {**GREEDY, "messages": [{"role": "user", "content": "hi "}]},
        {**GREEDY, "messages": [{"role": "system", "content": "hi"}]},
        {**GREEDY, "template": {"enable_thinking": False}},
        {**GREEDY, "max_reasks": 1},
        sample(temperature=0.0, max_tokens=5),
        sample(temperature=0.0, stop=["."]),
        sample(temperature=1.0, seed=1),
    ],
)
def test_whatever_changes_the_answer_makes_another_line(request_: dict[str, Any]):
    index = twins.Index()

    assert index.find(LINE) == 1
    assert index.find(replace(LINE, line_no=2, request=request_)) == 2


@pytest.mark.parametrize(
    ("changes", "is_repeatable"),
    [
        ({}, True),
        ({"request": sample(seed=7)}, True),
        ({"request": sample(seed=7, temperature=1.5, n=3)}, True),
        ({"request": sample()}, False),
        ({"request": sample(temperature=0.7)}, False),
        ({"request": {"prompt": "hi"}}, False),
        ({"session_id": "session_1"}, False),
        ({"parent_line": 1}, False),
        ({"kind": "code"}, False),
        ({"problem": Problem("out_of_range")}, False),
    ],
)
def test_only_what_is_given_by_the_request_alone_is_repeatable(changes, is_repeatable):
    line = replace(LINE, **changes)

    assert twins.is_repeatable(line) is is_repeatable
    assert twins.Index().find(line) == (1 if is_repeatable else None)
