"""From a job to an engine request, and from an engine output to the job's outcome."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import text
from app.errors import AutoglmError, EngineError
from app.inference.engine import FinishReason, Guide, GuideKind, Likely, Logprob, Output, Sampling
from app.models import sessions
from app.models.database import Database
from app.models.states import JobState
from app.settings import Limits
from app.wire import generation, logprobs
from app.workers import orders
from tests.unit.test_tray import make_job, make_order

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def nowhere(tmp_path: Path) -> Database:
    """Asked only for jobs of a session."""
    return Database(f"sqlite:///{tmp_path / 'none.db'}")


def prepare(db: Database, max_context: int | None = None, **changes: Any) -> orders.Order:
    changes.setdefault("request", {"messages": MESSAGES})
    job = make_job(7, tenant_id="acme", attempt=3, **changes)
    return orders.prepare(db, text.Bytes(), job, max_context)


def test_the_request_carries_attempt_tenant_and_priority(nowhere: Database):
    request = prepare(nowhere, priority=4).request

    assert request.id == "job_7:3"
    assert (request.cache_salt, request.priority) == ("acme", 4)
    assert bytes(request.prompt).decode() == "user: hi\nassistant: "


def test_a_plain_prompt_is_not_put_into_a_template(nowhere: Database):
    assert bytes(prepare(nowhere, request={"prompt": "abc"}).request.prompt) == b"abc"


TALK = [
    {"role": ("user", "assistant")[at % 2], "content": f"{at:03}".ljust(20, ".")} for at in range(9)
]


def shorten(nowhere: Database, context: int, **sampling: int) -> str:
    request = {"messages": TALK, "response": {"truncation": "auto"}, "instructions": "Rule."}
    order = prepare(nowhere, context, request=request | {"sampling": sampling})
    return bytes(order.request.prompt).decode()


@pytest.mark.parametrize(
    ("context", "sampling", "first"),
    [(10_000, {}, 0), (300, {"max_tokens": 40}, 2), (300, {}, 4), (300, {"max_tokens": 240}, 8)],
)
def test_a_conversation_that_may_be_cut_loses_its_beginning(
    nowhere: Database, context: int, sampling: dict[str, int], first: int
):
    lines = shorten(nowhere, context, **sampling).splitlines()

    assert lines[0] == "system: Rule."
    assert lines[1].startswith(f"user: {first:03}")
    assert lines[-2].startswith("user: 008")


def test_what_was_said_last_is_never_cut(nowhere: Database):
    with pytest.raises(AutoglmError, match="context_length_exceeded"):
        shorten(nowhere, 40)


def test_a_conversation_that_must_not_be_cut_is_refused(nowhere: Database):
    with pytest.raises(AutoglmError, match="context_length_exceeded"):
        prepare(nowhere, 150, request={"messages": TALK})


def test_a_job_sees_every_turn_of_its_session_however_many(database: Database):
    session = sessions.create(database, "default", None)
    said = '[{"role": "user", "content": "."}]'
    row = "INSERT INTO turns (session_id, turn_no, job_id, messages, answer, created_at) "
    turns = [(session.id, n, f"job_{n}", said, f"answer {n}", 0) for n in range(1, 2002)]
    with database.write() as tx:
        tx.exec_driver_sql(row + "VALUES (?, ?, ?, ?, ?, ?)", turns)

    prompt = bytes(prepare(database, session_id=session.id).request.prompt).decode()

    assert [line for line in prompt.splitlines() if "answer" in line] == [
        f"assistant: answer {n}" for n in range(1, 2002)
    ]
    assert prompt.endswith("user: hi\nassistant: ")


def test_the_seed_of_a_job_without_one_is_the_same_in_every_attempt(nowhere: Database):
    seeds = {
        orders.prepare(
            nowhere, text.Bytes(), make_job(seq, attempt=n, request={"prompt": "a"}), None
        ).request.sampling.seed
        for seq, n in ((1, 1), (1, 2), (2, 1))
    }

    assert len(seeds) == 2
    given = prepare(nowhere, request={"prompt": "a", "sampling": {"seed": 5}})
    assert given.request.sampling.seed == 5


def test_max_tokens_shrinks_to_the_context_only_if_the_client_set_none(nowhere: Database):
    fitted = prepare(nowhere, 10, request={"prompt": "abc"})
    asked = prepare(nowhere, 10, request={"prompt": "abc", "sampling": {"max_tokens": 6}})

    assert fitted.request.sampling.max_tokens == 7
    assert asked.request.sampling.max_tokens == 6
    with pytest.raises(EngineError) as caught:
        prepare(nowhere, 10, request={"prompt": "abc", "sampling": {"max_tokens": 8}})
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "max_tokens")
    assert caught.value.values == {"tokens": 11, "limit": 10}


@pytest.mark.parametrize("length", [10, 11])
def test_a_prompt_that_leaves_no_room_is_refused_with_its_numbers(nowhere: Database, length: int):
    with pytest.raises(AutoglmError) as caught:
        prepare(nowhere, 10, request={"prompt": "a" * length})

    assert caught.value.code == "context_length_exceeded"
    assert caught.value.values == {"tokens": length, "limit": 10}


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_deadline_is_not_sooner_in_a_jump_of_the_wall_clock(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch, jump: float
):
    real = time.time
    expires_at = real() + 100
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    deadline = prepare(nowhere, expires_at=expires_at).request.deadline

    assert deadline is not None
    assert deadline - time.monotonic() > 40


def test_an_expiry_becomes_a_deadline_of_the_monotonic_clock(nowhere: Database):
    deadline = prepare(nowhere, expires_at=time.time() + 100).request.deadline

    assert deadline is not None
    assert 40 < deadline - time.monotonic() <= 100
    assert prepare(nowhere).request.deadline is None


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (FinishReason.STOP, JobState.SUCCEEDED),
        (FinishReason.LENGTH, JobState.SUCCEEDED),
        (FinishReason.CANCELLED, JobState.CANCELLED),
        (FinishReason.EXPIRED, JobState.EXPIRED),
        (FinishReason.ERROR, JobState.FAILED),
    ],
)
def test_every_reason_to_finish_means_one_state(reason: FinishReason, state: JobState):
    job = make_job(1, attempt=2)
    output = Output("job_1:2", (1,), "t", reason, 3, error_code="numerical")

    outcome = orders.conclude(make_order(job), output, {"model": "m"})

    assert (outcome.job_id, outcome.attempt, outcome.state) == ("job_1", 2, state)
    assert (outcome.result is not None) == (state == JobState.SUCCEEDED)
    assert (outcome.problem is not None) == (state == JobState.FAILED)


def test_a_plain_prompt_is_remembered_as_the_user_s_message():
    output = Output("job_1:1", (1,), "t", FinishReason.STOP, 3)

    outcome = orders.conclude(make_order(make_job(1)), output, {})

    assert outcome.messages == [{"role": "user", "content": "hi"}]


def test_the_engine_gets_what_the_wire_stored(nowhere: Database):
    body = {
        "model": "m",
        "prompt": "a",
        "min_p": 0.1,
        "stop": "x",
        "logit_bias": {"5": 1, "4": -2.5},
        "logprobs": True,
        "n": 3,
        "guided_regex": "[0-9]",
        "repetition_penalty": 1.5,
    }
    request = generation.parse(body, endpoint="/v1/jobs", limits=Limits())

    sampling = prepare(nowhere, request=json.loads(json.dumps(request))).request.sampling

    assert sampling == Sampling(
        min_p=0.1,
        stop=("x",),
        n=3,
        logit_bias=((4, -2.5), (5, 1.0)),
        logprobs=0,
        repetition_penalty=1.5,
        guided=Guide(GuideKind.REGEX, "[0-9]"),
        seed=sampling.seed,
    )


def _scored(text: str) -> Output:
    data = text.encode()
    top = (Likely("x", b"x", -0.25),)
    logprobs = tuple(
        Logprob(bytes([b]).decode(errors="replace"), bytes([b]), -1.0, top) for b in data
    )
    return Output("job_1:1", tuple(data), text, FinishReason.STOP, 3, logprobs=logprobs)


def test_log_probabilities_and_choices_are_stored_and_read_back_as_both_endpoints_write_them():
    output = replace(_scored("aé"), others=(_scored("b"), replace(_scored("c"), logprobs=None)))

    result = orders.conclude(make_order(make_job(1)), output, {}).result

    assert result is not None
    assert result == replace(result, details=json.loads(json.dumps(result.details)))
    assert result.completion_tokens == 5
    first, second, third = result.choices
    assert (first.text, second.text, second.finish_reason) == ("aé", "b", "stop")
    entry = {"token": "x", "logprob": -0.25, "bytes": [120]}
    assert logprobs.chat(second.logprobs) == {
        "content": [{"token": "b", "logprob": -1.0, "bytes": [98], "top_logprobs": [entry]}],
        "refusal": None,
    }
    assert logprobs.text(first.logprobs) == {
        "tokens": ["a", "\ufffd", "\ufffd"],
        "token_logprobs": [-1.0, -1.0, -1.0],
        "top_logprobs": [{"x": -0.25}] * 3,
        "text_offset": [0, 1, 2],
    }
    assert logprobs.chat(third.logprobs) is None
    assert logprobs.text(third.logprobs) is None


def test_a_plain_result_has_no_details():
    output = Output("job_1:1", (1,), "t", FinishReason.STOP, 3)

    result = orders.conclude(make_order(make_job(1)), output, {}).result

    assert result is not None
    assert result.details is None
    assert [choice.text for choice in result.choices] == ["t"]
