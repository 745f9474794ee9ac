"""Asking again: with what was wrong, as often as allowed, with every token counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import text
from app.inference.engine import FinishReason, Output
from app.models.database import Database
from app.wire.rows import Outcome
from app.workers import orders
from app.workers.orders import Order
from app.workers.reask import Judge, is_due
from tests.unit.test_tray import make_job, make_tray

GUIDED = {"kind": "json_schema", "text": '{"type": "integer"}'}


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Its database is asked only for jobs of a session."""
    nowhere = Database(f"sqlite:///{tmp_path / 'none.db'}")
    return Judge(lambda job: orders.prepare(nowhere, text.Bytes(), job, 2000), max_reasks=2)


def make_order(judge: Judge, **request: Any) -> Order:
    whole = {"messages": [{"role": "user", "content": "a number"}], "sampling": {"guided": GUIDED}}
    job = make_job(1, tenant_id="t", request=whole | request)
    return judge.prepare(job)


def answer(order: Order, said: str, tokens: int = 3) -> Output:
    return Output(order.request.id, tuple(range(tokens)), said, FinishReason.STOP, 10, 4)


def test_a_right_answer_is_an_outcome_at_once(judge: Judge):
    outcome = judge.decide(order := make_order(judge), answer(order, "7"), {})

    assert isinstance(outcome, Outcome)
    assert outcome.result
    assert (outcome.state, outcome.result.text) == ("succeeded", "7")
    assert (outcome.result.prompt_tokens, outcome.result.completion_tokens) == (10, 3)
    assert "asks" not in outcome.result.provenance


def test_a_wrong_answer_is_asked_for_again_with_what_was_wrong(judge: Judge):
    first = make_order(judge)

    second = judge.decide(first, answer(first, "seven"), {})

    assert isinstance(second, Order)
    prompt = bytes(second.request.prompt).decode()
    assert second.request.id == "job_1:1:ask2"
    assert prompt.startswith("user: a number\nassistant: seven\nuser: ")
    assert "not valid JSON" in prompt
    assert second.job is first.job


def test_the_tokens_of_all_asks_are_counted(judge: Judge):
    order: Order | Outcome = make_order(judge)
    for said in ("seven", "7.5"):
        assert isinstance(order, Order)
        order = judge.decide(order, answer(order, said), {})
    assert isinstance(order, Order)

    outcome = judge.decide(order, answer(order, "7"), {"engine": "e"})

    assert isinstance(outcome, Outcome)
    assert outcome.result
    spent = (outcome.result.prompt_tokens, outcome.result.completion_tokens)
    assert (*spent, outcome.result.cached_tokens) == (30, 9, 12)
    assert outcome.result.provenance["asks"] == 3
    assert [m["role"] for m in outcome.messages or []] == ["user"]


@pytest.mark.parametrize(("limit", "asks"), [(None, 3), (0, 1), (1, 2), (4, 5)])
def test_after_the_last_ask_the_job_fails_and_keeps_the_text(
    judge: Judge, limit: int | None, asks: int
):
    request = {} if limit is None else {"max_reasks": limit}
    order: Order | Outcome = make_order(judge, **request)
    count = 0
    while isinstance(order, Order):
        count += 1
        order = judge.decide(order, answer(order, f"no {count}"), {})

    assert order.problem
    assert order.problem.values
    assert (count, order.problem.code) == (asks, "schema_violation")
    assert (order.problem.values["text"], order.problem.values["asks"]) == (f"no {asks}", asks)
    assert order.problem.values["usage"]["completion_tokens"] == 3 * asks


NAMES = [
    ("/v1/chat/completions", GUIDED, "response_format"),
    ("/v1/jobs", GUIDED | {"named": "guided_json"}, "guided_json"),
    ("/v1/responses", GUIDED, "text.format"),
    ("/v1/responses", {"kind": "json_object", "text": ""}, "text.format"),
]


@pytest.mark.parametrize(("endpoint", "guide", "param"), NAMES)
@pytest.mark.parametrize("is_held", [True, False])
def test_the_schema_is_named_as_the_client_named_it(
    judge: Judge, endpoint: str, guide: dict[str, str], param: str, is_held: bool
):
    asked = {"sampling": {"guided": guide}} if is_held else {"sampling": {}, "judged": guide}
    request = {"messages": [{"role": "user", "content": "a number"}], "max_reasks": 0, **asked}
    order = judge.prepare(make_job(1, tenant_id="t", request=request, endpoint=endpoint))

    outcome = judge.decide(order, answer(order, "no"), {})

    assert isinstance(outcome, Outcome)
    assert outcome.problem
    assert (outcome.problem.code, outcome.problem.param) == ("schema_violation", param)
    assert (order.request.sampling.guided is not None) == is_held


def test_of_several_choices_the_broken_one_is_shown_and_told(judge: Judge):
    first = make_order(judge, max_reasks=1)
    right = answer(first, "7")

    second = judge.decide(first, replace(right, others=(right, answer(first, "seven"))), {})

    assert isinstance(second, Order)
    assert "assistant: seven\nuser: " in bytes(second.request.prompt).decode()
    outcome = judge.decide(second, replace(right, others=(answer(first, "eight"), right)), {})
    assert isinstance(outcome, Outcome)
    assert outcome.problem
    assert outcome.problem.values
    assert outcome.problem.values["text"] == "eight"
    assert outcome.problem.values["usage"]["completion_tokens"] == 18


def test_what_does_not_fit_into_the_context_any_more_is_given_up(judge: Judge):
    order = make_order(judge)

    outcome = judge.decide(order, answer(order, "x" * 3000), {})

    assert isinstance(outcome, Outcome)
    assert outcome.problem
    assert outcome.problem.code == "schema_violation"


def test_only_whole_answers_are_judged(judge: Judge):
    order = make_order(judge)
    output = answer(order, "x")

    assert is_due(order, output)
    cut = (FinishReason.LENGTH, FinishReason.CANCELLED, FinishReason.EXPIRED, FinishReason.ERROR)
    for reason in cut:
        assert not is_due(order, Output(order.request.id, (), "", reason, 1))


def test_an_answer_waits_on_the_tray_until_it_is_judged_and_then_runs_again(judge: Judge):
    tray = make_tray()
    tray.open(8)
    first = make_order(judge)
    tray.put_claimed([first.job], tray.want()[1])
    tray.put_ready(first.job, first)
    tray.take(8)

    tray.give([answer(first, "seven")])

    ((order, output),) = tray.unjudged()
    assert (tray.num_held, tray.ended(), tray.held()) == (1, [], [("job_1", 1)])
    second = judge.decide(order, output, {})
    assert isinstance(second, Order)
    tray.put_judged(order, second)
    assert [request.id for request in tray.take(8)] == ["job_1:1:ask2"]
    tray.give([answer(second, "7")])
    ((order, output),) = tray.unjudged()
    tray.put_judged(order, judge.decide(order, output, {}))
    assert [outcome.state for _, outcome in tray.ended()] == ["succeeded"]


def test_a_surrendered_answer_is_not_judged(judge: Judge):
    tray = make_tray()
    tray.open(8)
    order = make_order(judge)
    tray.put_claimed([order.job], tray.want()[1])
    tray.put_ready(order.job, order)
    tray.take(8)
    tray.give([answer(order, "seven")])
    found = tray.unjudged()

    assert tray.surrender() == [("job_1", 1)]

    tray.put_judged(found[0][0], judge.decide(*found[0], {}))
    assert (tray.num_held, tray.take(8)) == (0, [])
