"""Code jobs through claim, prompt, answer, review and store; the model's words are given."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app import settings, text
from app.coding.prompts import Form
from app.inference.engine import FinishReason, Logprob, Output
from app.models import claims, jobs, sessions, symbols
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Job
from app.workers import orders
from app.workers.coder import Bench, Coder
from app.workers.orders import Order
from tests.integration import makers

pytestmark = pytest.mark.integration
DOUBLE = "def double(x):\n    return 2 * x"
AREA = "def area(w, h):\n    return w * h"
TWICE = "def twice(x):\n    return double(x)"
QUADRUPLE = "def quadruple(x):\n    return 4 * x"
CHECKS = dict.fromkeys(("syntax", "names", "calls", "logic", "instruction"), "passed")
Review = Callable[..., Any]


class Desk:
    """One worker's coder; `run` answers a job with the given texts, one for each time it asks."""

    def __init__(self, db: Database, **changes: Any) -> None:
        options = settings.Memory(**changes.pop("options", {}))
        fields: dict[str, Any] = {
            "max_context": 4000,
            "form": Form(style="plain"),
            "options": options,
        }
        self.db = db
        self.coder = Coder(Bench(db, text.Bytes(), **(fields | changes)))
        self.holder = makers.add_worker(db)
        self.prompts: list[str] = []

    def run(self, prompt: str, *answers: str, **changes: Any) -> Job:
        request = {"messages": [{"role": "user", "content": prompt}], "sampling": {}}
        request |= {"scope": changes.pop("scope")} if "scope" in changes else {}
        made = makers.add_job(self.db, kind="code", request=request, **changes)
        (job,) = makers.take(self.db, self.holder)
        self.answer(job, *answers)
        return jobs.get(self.db, job.tenant_id, made.id)

    def answer(self, job: Job, *answers: str) -> None:
        """The engine gives what follows on the beginning that the prompt ends with."""
        order = self.coder.prepare(job)
        for answer in answers:
            self.prompts.append(bytes(order.request.prompt).decode())
            (beginning,) = re.findall(r"(?:def [^\n]*)?\Z", self.prompts[-1])[:1]
            output = Output(
                order.request.id, (1, 2), answer.removeprefix(beginning), FinishReason.STOP, 10
            )
            verdict = self.coder.review(job, orders.conclude(order, output, {}))
            if not isinstance(verdict, Order):
                claims.settle(self.db, [verdict])
                break
            order = verdict

    def begin(self, prompt: str, **changes: Any) -> tuple[Order, Review]:
        """A job's order, and what the coder makes of the choices that answer an order of it."""
        sampling = changes.pop("sampling", {})
        request: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
        request |= {"sampling": sampling, "stream": changes.pop("stream", False)}
        makers.add_job(self.db, kind="code", request=request, **changes)
        (job,) = makers.take(self.db, self.holder)

        def review(order: Order, *texts: str) -> Any:
            stop = FinishReason.STOP
            (beginning,) = re.findall(r"(?:def [^\n]*)?\Z", bytes(order.request.prompt).decode())[
                :1
            ]
            rest = [each.removeprefix(beginning) for each in texts]
            first, *others = (Output(order.request.id, (1, 2), each, stop, 10) for each in rest)
            output = replace(first, others=tuple(others))
            return self.coder.review(job, orders.conclude(order, output, {}))

        return self.coder.prepare(job), review

    def coding(self, job: Job) -> dict[str, Any]:
        assert job.result is not None
        assert job.result.coding is not None
        return job.result.coding


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def make_session(database: Database) -> Callable[[], str]:
    return lambda: sessions.create(database, DEFAULT_TENANT, None).id


def test_a_code_job_is_answered_with_code_symbols_checks_and_tree(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    session = make_session()

    done = desk.run("double a number, name it double", DOUBLE, session_id=session)

    coding = desk.coding(done)
    assert (coding["code"], coding["language"], coding["asked"]) == (DOUBLE, "python", 1)
    assert coding["instruction"]["name"] == "double"
    assert [symbol["name"] for symbol in coding["symbols"]] == ["double"]
    (kept,) = symbols.list_versions(desk.db, DEFAULT_TENANT, session, "double")
    assert (kept.code, kept.job_id) == (DOUBLE, done.id)
    assert desk.prompts[0].endswith("assistant: def double(")


def test_a_function_that_is_only_renamed_is_answered_even_if_the_model_adds_nothing(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    session = make_session()
    desk.run("double a number, name it double", DOUBLE, session_id=session)

    done = desk.run("Rename it to twice.", "", session_id=session)

    coding = desk.coding(done)
    assert (coding["code"], coding["asked"]) == (DOUBLE.replace("double", "twice"), 1)
    assert desk.prompts[1].endswith(DOUBLE.replace("double", "twice"))
    (kept,) = symbols.list_versions(desk.db, DEFAULT_TENANT, session, "twice")
    assert kept.job_id == done.id


def test_every_choice_has_the_beginning_that_the_model_goes_on_from(desk: Desk) -> None:
    made = makers.add_job(desk.db, kind="code", request=_ask("double a number, name it double"))
    (job,) = makers.take(desk.db, desk.holder)
    order = desk.coder.prepare(job)
    first, second = (
        Output(order.request.id, (1, 2), f"{name}):\n    return {name} * 2", FinishReason.STOP, 10)
        for name in ("x", "y")
    )

    verdict = desk.coder.review(job, orders.conclude(order, replace(first, others=(second,)), {}))
    assert not isinstance(verdict, Order)
    claims.settle(desk.db, [verdict])

    result = jobs.get(desk.db, job.tenant_id, made.id).result
    assert result is not None
    assert [choice.text for choice in result.choices] == [
        f"def double({name}):\n    return {name} * 2" for name in ("x", "y")
    ]


def _ask(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "sampling": {"n": 2}}


def test_a_fault_is_shown_to_the_model_once_and_both_answers_are_counted(
    database: Database,
) -> None:
    desk = Desk(database, form=Form(style="guided"))

    done = desk.run("double", "def double(x)\n    return 2", DOUBLE)

    assert desk.coding(done)["asked"] == 2
    assert desk.coding(done)["code"] == DOUBLE
    assert "line 1" in desk.prompts[1]
    assert done.result is not None
    assert (done.result.prompt_tokens, done.result.completion_tokens) == (20, 4)


def test_what_is_wrong_beside_the_syntax_is_shown_too_and_the_better_answer_stands(
    database: Database, make_session: Callable[[], str]
) -> None:
    desk, session = Desk(database, form=Form(style="guided")), make_session()
    desk.run("double", DOUBLE, session_id=session)

    done = desk.run("用 double 写 quadruple(x)", QUADRUPLE, f"{QUADRUPLE} +", session_id=session)

    assert "double" in desk.prompts[2].rpartition("user:")[2]
    assert (desk.coding(done)["code"], desk.coding(done)["asked"]) == (QUADRUPLE, 2)
    states = {check["name"]: check["state"] for check in desk.coding(done)["checks"]}
    assert states == CHECKS | {"instruction": "failed"}
    assert done.result is not None
    assert (done.result.text, done.result.completion_tokens) == (QUADRUPLE, 4)


def test_the_second_answer_is_held_to_the_instruction_too(
    database: Database, make_session: Callable[[], str]
) -> None:
    desk, session = Desk(database, form=Form(style="guided")), make_session()
    desk.run("double", DOUBLE, session_id=session)

    wish = "A function quadruple(x), using the one you just wrote"
    done = desk.run(wish, QUADRUPLE, "def quadruple(x):\n    return x * 4", session_id=session)

    states = {check["name"]: check["state"] for check in desk.coding(done)["checks"]}
    assert states == CHECKS | {"instruction": "failed"}


def test_of_several_draws_the_best_is_answered_and_remembered_and_all_are_counted(
    database: Database, make_session: Callable[[], str]
) -> None:
    desk, session = Desk(database, form=Form(style="plain", draws=4)), make_session()
    desk.run("double", DOUBLE, session_id=session)
    good = "def quadruple(x):\n    return double(double(x))"

    order, review = desk.begin("Use double to write quadruple(x)", session_id=session)
    sampling = order.request.sampling
    assert (sampling.n, sampling.temperature, sampling.logprobs) == (4, 0.8, 0)
    outcome = review(order, QUADRUPLE, "def quadruple(x):\n    return double(x) * 2", good, good)

    assert not isinstance(outcome, Order)
    claims.settle(desk.db, [outcome])
    result = jobs.get(desk.db, DEFAULT_TENANT, outcome.job_id).result
    assert result is not None
    assert (result.text, len(result.choices), result.completion_tokens) == (good, 1, 8)
    assert result.coding is not None
    assert (result.coding["asked"], result.coding["drawn"], result.details) == (1, 4, None)
    assert {each["name"]: each["state"] for each in result.coding["checks"]} == CHECKS
    (kept,) = symbols.list_versions(desk.db, DEFAULT_TENANT, session, "quadruple")
    assert kept.code == good


def test_the_likeliest_good_draw_is_taken_with_its_log_probabilities_if_they_were_asked_for(
    database: Database,
) -> None:
    desk = Desk(database, form=Form(style="plain", draws=2))
    order, _ = desk.begin("add 1", sampling={"logprobs": 2, "temperature": 0.3})
    assert (order.request.sampling.temperature, order.request.sampling.logprobs) == (0.3, 2)
    rare, likely = (
        Output(order.request.id, (1,), code, FinishReason.STOP, 10, logprobs=(_rate(logprob),))
        for code, logprob in (("def add(x):\n    return x + 1", -2.0), (DOUBLE, -1.0))
    )

    drawn = orders.conclude(order, replace(rare, others=(likely,)), {})
    outcome = desk.coder.review(order.job, drawn)

    assert not isinstance(outcome, Order)
    assert outcome.result is not None
    assert outcome.result.text == DOUBLE
    (choice,) = outcome.result.choices
    assert [each["logprob"] for each in choice.logprobs or ()] == [-1.0]


def test_log_probabilities_that_nobody_asked_for_are_not_answered(database: Database) -> None:
    desk = Desk(database, form=Form(style="plain", draws=2))
    order, _ = desk.begin("add 1")
    drawn = Output(order.request.id, (1,), DOUBLE, FinishReason.STOP, 10, logprobs=(_rate(-1.0),))

    outcome = desk.coder.review(
        order.job, orders.conclude(order, replace(drawn, others=(drawn,)), {})
    )

    assert not isinstance(outcome, Order)
    assert outcome.result is not None
    assert outcome.result.details is None


def _rate(logprob: float) -> Logprob:
    return Logprob("a", b"a", logprob)


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling": {"n": 2}},
        {"sampling": {"temperature": 0}},
        {"sampling": {"guided": {"kind": "regex", "text": "def .*"}}},
        {"stream": True},
    ],
)
def test_nothing_is_drawn_for_who_wants_choices_the_likeliest_a_shape_or_a_stream(
    database: Database, changes: dict[str, Any]
) -> None:
    desk = Desk(database, form=Form(style="plain", draws=4))

    order, _ = desk.begin("add 1", **changes)

    assert order.request.sampling.n == changes.get("sampling", {}).get("n", 1)


def test_a_guided_model_is_shown_what_is_wrong_with_its_best_draw(database: Database) -> None:
    desk = Desk(database, form=Form(style="guided", draws=2))
    order, review = desk.begin("add 1")
    flawed = "def add(x):\n    return y + 1"

    again = review(order, "def add(", flawed)

    assert isinstance(again, Order)
    assert again.request.sampling.n == 1
    assert flawed in bytes(again.request.prompt).decode()
    outcome = review(again, "def add(x):\n    return x + 1")
    assert not isinstance(outcome, Order)
    assert outcome.result is not None
    assert outcome.result.coding is not None
    assert (outcome.result.coding["asked"], outcome.result.coding["drawn"]) == (2, 2)
    assert outcome.result.completion_tokens == 6


def test_a_plain_model_answers_with_the_best_draw_even_if_it_is_flawed(database: Database) -> None:
    desk = Desk(database, form=Form(style="plain", draws=3))
    order, review = desk.begin("add 1")
    flawed = "def add(x):\n    return y + 1"

    outcome = review(order, "def add(", flawed, "no code")

    assert not isinstance(outcome, Order)
    assert outcome.result is not None
    assert (outcome.result.text, outcome.result.details) == (flawed, None)


def test_where_asking_again_fails_the_first_answer_stands(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    session = make_session()
    order, review = desk.begin("add 1", session_id=session)
    again, job = review(order, "def add(x):\n    return y + 1"), order.job
    failed = Output(again.request.id, (), "", FinishReason.ERROR, 10, error_code="engine_failed")

    outcome = desk.coder.review(job, orders.conclude(again, failed, {}))

    assert not isinstance(outcome, Order)
    claims.settle(desk.db, [outcome])
    done = jobs.get(desk.db, DEFAULT_TENANT, job.id)
    states = {check["name"]: check["state"] for check in desk.coding(done)["checks"]}
    assert (done.state, states) == ("succeeded", CHECKS | {"names": "failed"})
    assert done.result is not None
    assert (desk.coding(done)["asked"], done.result.completion_tokens) == (2, 2)
    assert [turn.answer for turn in sessions.list_turns(desk.db, session)] == [
        desk.coding(done)["code"]
    ]


def test_a_job_that_fails_at_once_has_failed(desk: Desk) -> None:
    order, _ = desk.begin("add 1")
    failed = Output(order.request.id, (), "", FinishReason.ERROR, 10, error_code="engine_failed")
    outcome = orders.conclude(order, failed, {})

    assert desk.coder.review(order.job, outcome) is outcome


def test_who_asks_for_several_choices_chooses_among_them(desk: Desk) -> None:
    order, review = desk.begin("double", sampling={"n": 2})

    outcome = review(order, "def double(x):\n    return y", DOUBLE)

    assert not isinstance(outcome, Order)


def test_a_second_fault_is_answered_as_it_is_and_nothing_of_it_is_remembered(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    session = make_session()

    done = desk.run("double", "def double(", "def double((", session_id=session)

    (check,) = desk.coding(done)["checks"]
    assert desk.coding(done)["code"] == "def double(("
    assert (done.state, check["state"], check["fault"]["line"]) == ("succeeded", "failed", 1)
    place = ("session_id", session)
    assert symbols.list_page(desk.db, DEFAULT_TENANT, place, limit=9) == []


def test_a_refusal_is_no_code(desk: Desk) -> None:
    done = desk.run("how is the weather", "Sorry, I can only write small functions.")

    assert (desk.coding(done)["code"], desk.coding(done)["checks"]) == (None, [])


def test_a_symbol_reaches_another_session_s_prompt_through_the_scope_alone(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    desk.run("double", DOUBLE, session_id=make_session(), scope="project")

    desk.run("use double", TWICE, session_id=make_session())
    desk.run("use double", TWICE, session_id=make_session(), scope="other")
    used = desk.run("use double", TWICE, session_id=make_session(), scope="project")

    assert [DOUBLE in prompt for prompt in desk.prompts] == [False, False, False, True]
    assert desk.prompts[3].startswith("system: Known definitions:")
    context = desk.coding(used)["context_used"]["symbols"]
    assert [symbol["name"] for symbol in context["used"]] == ["double"]
    assert context["resolved"] == {"double": ["double"]}


def test_a_turn_that_is_repeated_makes_its_symbols_superfluous(
    desk: Desk, make_session: Callable[[], str]
) -> None:
    session = make_session()
    desk.run("double", DOUBLE, session_id=session)

    done = desk.run("rename it", AREA, session_id=session)

    assert "system:" not in desk.prompts[1]
    assert desk.prompts[1].count(DOUBLE) == 1
    context = desk.coding(done)["context_used"]
    assert context["turns"] == {"used": 1, "dropped": 0}
    assert [symbol["name"] for symbol in context["symbols"]["visible"]] == ["double"]


def test_what_the_context_has_no_room_for_comes_back_as_a_definition(
    database: Database, make_session: Callable[[], str]
) -> None:
    desk = Desk(database, max_context=700, options={"context_tokens": 100})
    session = make_session()
    desk.run(f"double {'x' * 300}", DOUBLE, session_id=session)

    done = desk.run("use double", TWICE, session_id=session)

    assert desk.coding(done)["context_used"]["turns"] == {"used": 0, "dropped": 1}
    assert desk.prompts[1].startswith(f"system: Known definitions:\n{DOUBLE}")


def test_a_pinned_turn_stays_when_another_makes_room(
    database: Database, make_session: Callable[[], str]
) -> None:
    desk = Desk(database, max_context=900, options={"context_tokens": 100})
    session = make_session()
    desk.run(f"first {'x' * 300}", DOUBLE, session_id=session)
    desk.run(f"second {'x' * 300}", AREA, session_id=session)
    sessions.pin_turn(database, session, 1, pinned=True)

    desk.run("third", AREA, session_id=session)

    assert ("first" in desk.prompts[2], "second" in desk.prompts[2]) == (True, False)
