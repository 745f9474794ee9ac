"""Chat completions and completions, asked by OpenAI's own client; what it hides by plain HTTP."""

import json
import os
import signal
import threading
import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from app.models import workers
from tests.acceptance.stack import Stack
from tests.integration.workplace import wait_for

pytestmark = pytest.mark.acceptance
HELLO: Any = [{"role": "user", "content": "hello"}]
CHAT = "/v1/chat/completions"


def read_events(answer: httpx.Response) -> list[Any]:
    """The data of a stream's events."""
    lines = [line for line in answer.read().decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] if line[6:] == "[DONE]" else json.loads(line[6:]) for line in lines]


def last_job(service: Stack) -> Any:
    return service.http.get("/v1/jobs?limit=1").json()["data"][0]


def test_a_chat_is_answered_and_its_message_can_be_sent_back(client: OpenAI) -> None:
    first = client.chat.completions.create(
        model="fake", messages=HELLO, max_tokens=5, metadata={"a": "b"}, user="ann"
    )
    talk: Any = [*HELLO, first.choices[0].message, {"role": "user", "content": "more"}]
    second = client.chat.completions.create(model="fake", messages=talk, max_completion_tokens=3)

    assert first.id.startswith("chatcmpl-")
    assert first.object == "chat.completion"
    assert abs(first.created - time.time()) < 30
    assert first.choices[0].finish_reason == "length"
    assert len((first.choices[0].message.content or "").split()) == 5
    assert first.usage
    assert first.usage.total_tokens == first.usage.prompt_tokens + 5
    assert second.usage
    assert second.usage.completion_tokens == 3


def test_a_text_is_gone_on_with(client: OpenAI) -> None:
    answer = client.completions.create(model="fake", prompt="hello", max_tokens=4, seed=1)

    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    assert len(answer.choices[0].text.split()) == 4
    assert answer.usage
    assert answer.usage.prompt_tokens == len("hello")


def test_choices_and_log_probabilities_are_those_that_the_client_knows(client: OpenAI) -> None:
    chat = client.chat.completions.create(
        model="fake", messages=HELLO, max_tokens=4, n=3, seed=5, logprobs=True, top_logprobs=2
    )
    text = client.completions.create(model="fake", prompt="hello", max_tokens=4, logprobs=2)

    assert [choice.index for choice in chat.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in chat.choices}) > 1
    assert chat.usage
    assert chat.usage.completion_tokens == 12
    for choice in chat.choices:
        assert choice.logprobs
        assert choice.logprobs.content
        entries = choice.logprobs.content
        spelled = b"".join(bytes(entry.bytes or []) for entry in entries)
        assert spelled.decode() == choice.message.content
        assert [len(entry.top_logprobs) for entry in entries] == [2] * 4
    logprobs = text.choices[0].logprobs
    assert logprobs
    assert "".join(logprobs.tokens or []) == text.choices[0].text
    assert logprobs.text_offset
    assert [text.choices[0].text[at:][:3] for at in logprobs.text_offset] == [
        each[:3] for each in logprobs.tokens or []
    ]
    assert [len(top) for top in logprobs.top_logprobs or []] == [2] * 4


def test_a_stream_of_several_choices_brings_the_text_of_each(client: OpenAI) -> None:
    asked: Any = {"model": "fake", "messages": HELLO, "max_tokens": 20, "seed": 7, "n": 2}
    asked |= {"logprobs": True}
    whole = client.chat.completions.create(**asked)

    texts: dict[int, str] = {0: "", 1: ""}
    entries: dict[int, list[Any]] = {0: [], 1: []}
    reasons = {}
    for chunk in client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason
            told = choice.logprobs.content or [] if choice.logprobs else []
            entries[choice.index] += told
            spelled = "".join(entry.token for entry in told)
            assert spelled == (choice.delta.content or "")  # each with the text it belongs to

    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {0: "length", 1: "length"}
    assert entries == {
        choice.index: choice.logprobs and choice.logprobs.content for choice in whole.choices
    }


def test_a_streamed_text_has_its_reason_in_the_last_piece_only(
    service: Stack,
) -> None:
    """The client's own type forbids the null before it, so only its usual, lenient mode reads this."""
    with OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as lenient:
        asked: Any = {"model": "fake", "prompt": "hello", "max_tokens": 30, "stream": True}
        reasons = [chunk.choices[0].finish_reason for chunk in lenient.completions.create(**asked)]

    assert reasons[-1] == "length"
    assert set(reasons[:-1]) == {None}


def test_a_streamed_text_has_the_log_probabilities_of_each_piece(service: Stack) -> None:
    asked = {"model": "fake", "prompt": "hello", "max_tokens": 200, "seed": 3, "logprobs": 1}
    asked |= {"ignore_eos": True}
    whole = service.post("/v1/completions", asked).json()["choices"][0]

    with service.http.stream("POST", "/v1/completions", json=asked | {"stream": True}) as answer:
        pieces = [event["choices"][0] for event in read_events(answer)[:-1]]

    told = [piece["logprobs"] for piece in pieces if piece["logprobs"]]
    assert len(told) >= 2
    assert {name: [x for each in told for x in each[name]] for name in told[0]} == (
        whole["logprobs"]
    )


def test_a_stream_brings_the_same_text_in_pieces_while_it_is_generated(client: OpenAI) -> None:
    asked: Any = {"model": "fake", "messages": HELLO, "max_tokens": 200, "seed": 7}
    asked["extra_body"] = {"ignore_eos": True}
    whole = client.chat.completions.create(**asked)

    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(**asked, stream=True, stream_options=options)
    chunks, times = [], []
    for chunk in stream:
        chunks.append(chunk)
        times.append(time.monotonic())

    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert sum(map(bool, texts)) >= 3
    assert times[-1] - times[0] > 0.15  # 200 tokens of 10 ms, less the first flush
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert whole.usage
    assert chunks[-1].usage.model_dump() == whole.usage.model_dump()


@pytest.mark.parametrize(
    ("path", "body"),
    [(CHAT, {"messages": HELLO}), ("/v1/completions", {"prompt": "hello"})],
)
def test_a_stream_is_written_as_server_sent_events(
    service: Stack, path: str, body: dict[str, Any]
) -> None:
    given = {"model": "fake", "stream": True, "max_tokens": 3, "seed": 1, **body}
    with service.http.stream("POST", path, json=given) as answer:
        events = read_events(answer)

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["x-request-id"]
    assert events[-1] == "[DONE]"
    assert all("usage" not in event for event in events[:-1])
    reasons = [event["choices"][0]["finish_reason"] for event in events[:-1]]
    assert set(reasons[:-1]) <= {None}
    assert reasons[-1] == "length"
    assert events[-2]["provenance"]["engine"].startswith("fake/")
    kind = "chat.completion.chunk" if path == CHAT else "text_completion"
    assert {event["object"] for event in events[:-1]} == {kind}


def test_a_client_that_leaves_its_stream_cancels_the_job(service: Stack, client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="fake", messages=HELLO, stream=True, max_tokens=4000, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    job = last_job(service)

    stream.close()

    assert job["status"] == "running"
    ended = service.read_job(job["id"], wait=55)
    assert ended["status"] == "cancelled"


def test_a_client_that_stops_waiting_cancels_the_job(service: Stack) -> None:
    asked = {"model": "fake", "messages": HELLO, "max_tokens": 4000, "ignore_eos": True}
    before = last_job(service)["id"]
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(service.url + CHAT, json=asked, timeout=1, trust_env=False)
    wait_for(lambda: last_job(service)["id"] != before, "the job")

    ended = service.read_job(last_job(service)["id"], wait=55)

    assert ended["status"] == "cancelled"


def test_a_job_that_is_cancelled_elsewhere_ends_the_call(service: Stack, client: OpenAI) -> None:
    seen: list[openai.APIStatusError] = []

    def ask() -> None:
        with pytest.raises(openai.ConflictError) as caught:
            client.chat.completions.create(
                model="fake", messages=HELLO, max_tokens=4000, extra_body={"ignore_eos": True}
            )
        seen.append(caught.value)

    before = last_job(service)["id"]
    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: last_job(service)["id"] != before, "the job")
    service.post(f"/v1/jobs/{last_job(service)['id']}/cancel", {})
    asking.join(100)

    assert seen[0].code == "job_cancelled"
    assert seen[0].response.headers["x-should-retry"] == "false"


def test_a_dead_worker_ends_a_stream_that_has_begun_with_an_error_event(service: Stack) -> None:
    asked = {"model": "fake", "messages": HELLO, "max_tokens": 3000, "ignore_eos": True}
    with service.http.stream("POST", CHAT, json=asked | {"stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        db = service.database()
        (row,) = [row for row in workers.list_all(db) if row.state == "ready"]
        db.close()
        os.kill(row.pid, signal.SIGKILL)
        rest = [line for line in lines if line]

    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "stream_broken"
    wait_for(lambda: service.ask_health().status_code == 200, "a new child")  # type: ignore[union-attr]
    assert last_job(service)["status"] in ("cancelled", "running")


@pytest.mark.parametrize(
    ("changes", "kind", "code", "param"),
    [
        ({"model": "none"}, openai.NotFoundError, "model_not_found", "model"),
        ({"messages": []}, openai.BadRequestError, "empty_messages", "messages"),
        ({"temperature": 3}, openai.BadRequestError, "out_of_range", "temperature"),
        ({"tools": [{"type": "function"}]}, openai.BadRequestError, "unsupported_parameter", None),
        ({"tool_choice": "required"}, openai.BadRequestError, "unsupported_parameter", None),
        ({"functions": [{"name": "f"}]}, openai.BadRequestError, "unsupported_parameter", None),
        ({"reasoning_effort": "high"}, openai.BadRequestError, "unsupported_parameter", None),
        ({"audio": {"voice": "a"}}, openai.BadRequestError, "unsupported_parameter", None),
        ({"store": True}, openai.BadRequestError, "unsupported_parameter", None),
        ({"wonder": 1}, openai.BadRequestError, "unknown_parameter", None),
        (
            {"stream_options": {"include_usage": True}},
            openai.BadRequestError,
            "stream_options_alone",
            None,
        ),
        (
            {"messages": [{"role": "user", "content": "[[nan]]"}]},
            openai.InternalServerError,
            "numerical",
            ...,
        ),
        (
            {"messages": [{"role": "user", "content": "[[nan]]"}], "stream": True},
            openai.InternalServerError,
            "numerical",
            ...,
        ),
    ],
)
def test_what_is_wrong_or_not_served_is_refused_by_name(
    client: OpenAI,
    changes: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str,
    param: Any,
) -> None:
    body = {"model": "fake", "messages": HELLO, **changes}
    with pytest.raises(kind) as caught:
        client.post(CHAT.removeprefix("/v1"), body=body, cast_to=object)

    named = next(iter(changes)) if param is None else param
    assert caught.value.code == code
    assert caught.value.param == (None if named is ... else named)
    assert caught.value.request_id


def test_values_that_change_nothing_are_accepted(client: OpenAI) -> None:
    idle: Any = {"tools": [], "tool_choice": "auto", "store": False, "service_tier": "auto"}
    unset: Any = dict.fromkeys(("audio", "prediction", "verbosity", "modalities", "stream_options"))
    answer = client.chat.completions.create(
        model="fake", messages=HELLO, max_tokens=1, parallel_tool_calls=True, **idle, **unset
    )

    assert answer.choices[0].message.tool_calls is None


def test_reasoning_text_is_part_of_the_content_whole_and_streamed(client: OpenAI) -> None:
    """Nothing is split off and nothing is counted apart: the fake model says its prompt again."""
    said = "<think>it adds</think>4"
    asked: Any = {"model": "fake", "max_tokens": 40}
    asked["messages"] = [{"role": "user", "content": f"{said} [[echo]]"}]

    whole = client.chat.completions.create(**asked)
    deltas = [
        chunk.choices[0].delta for chunk in client.chat.completions.create(**asked, stream=True)
    ]

    message = whole.choices[0].message
    assert said in (message.content or "")
    assert "".join(delta.content or "" for delta in deltas) == message.content
    assert not any("reasoning" in name for each in (message, *deltas) for name in each.to_dict())
    assert whole.usage
    assert whole.usage.completion_tokens_details is None


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    page = client.models.list()
    found = client.models.retrieve("fake")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("none")

    assert [model.id for model in page] == ["fake"]
    assert page.data == [found]
    assert (found.object, found.owned_by) == ("model", "open-autoglm")
    assert abs(found.created - time.time()) < 3600
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_an_idempotency_key_gives_the_first_answer_again(client: OpenAI) -> None:
    asked: Any = {"model": "fake", "messages": HELLO, "max_tokens": 3}
    headers = {"Idempotency-Key": f"chat-{time.time()}"}

    first = client.chat.completions.create(**asked, extra_headers=headers)
    again = client.chat.completions.create(**asked, extra_headers=headers)

    assert again == first
