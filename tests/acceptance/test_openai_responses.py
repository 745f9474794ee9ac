"""Responses, asked by OpenAI's own client: at once, streamed, in the background, and chained."""

import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response

from tests.acceptance.stack import Stack

pytestmark = pytest.mark.acceptance


def ask(client: OpenAI, text: str = "hello", **given: Any) -> Response:
    """The fake answers with what stands behind [[echo]]: the rendered conversation's end."""
    found: Response = client.responses.create(model="fake", input=text, **given)
    return found


def poll(client: OpenAI, response: Response, seconds: float = 120) -> Response:
    """As OpenAI's guide says to."""
    until = time.monotonic() + seconds
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.1)
        response = client.responses.retrieve(response.id)
    return response


def list_turns(service: Stack, response: Response) -> list[Any]:
    job = service.read_job("job_" + response.id.removeprefix("resp_"))
    turns: list[Any] = service.http.get(f"/v1/sessions/{job['session_id']}/turns").json()["data"]
    return turns


def test_a_response_is_answered_at_once(client: OpenAI) -> None:
    response = ask(client, max_output_tokens=60, instructions="Be brief.", metadata={"a": "b"})

    assert response.status == "completed"
    assert response.object == "response"
    assert len(response.output_text.split()) == 40
    assert response.usage
    assert response.usage.output_tokens == 40
    assert response.instructions == "Be brief."
    assert response.metadata == {"a": "b"}
    assert response.error is None
    assert isinstance(response.created_at, float)
    assert client.responses.retrieve(response.id) == response


def test_a_response_that_is_cut_is_incomplete(client: OpenAI) -> None:
    response = ask(client, max_output_tokens=3)

    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].type == "message"
    assert response.output[0].status == "incomplete"


def test_a_background_response_is_polled(client: OpenAI) -> None:
    first = ask(client, background=True)
    assert first.status == "queued"
    assert first.output == []

    ended = poll(client, first)

    assert ended.status == "completed"
    assert ended.background
    assert ended.output_text


def test_a_background_response_that_fails_says_why(client: OpenAI) -> None:
    ended = poll(client, ask(client, "[[nan]]", background=True))

    assert ended.status == "failed"
    assert ended.error
    assert ended.error.code == "server_error"
    assert "NaN" in ended.error.message


def test_a_background_response_is_cancelled_and_twice_is_once(client: OpenAI) -> None:
    running = ask(client, "[[slow:30]]", background=True)

    first = client.responses.cancel(running.id)
    again = client.responses.cancel(running.id)

    assert first.status == "cancelled"
    assert again == first


def test_only_background_responses_can_be_cancelled(client: OpenAI) -> None:
    done = ask(client, max_output_tokens=1)

    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.cancel(done.id)

    assert caught.value.code == "response_not_background"


def test_turns_are_chained_and_instructions_are_said_once(service: Stack, client: OpenAI) -> None:
    first = ask(client, "one", max_output_tokens=2, instructions="Rule.")
    second = ask(client, "two", max_output_tokens=2, previous_response_id=first.id)
    other = ask(client, "three", max_output_tokens=2, previous_response_id=first.id)
    third = ask(client, "four", max_output_tokens=2, previous_response_id=second.id)

    said = [turn["messages"][0]["content"] for turn in list_turns(service, third)]
    branch = [turn["messages"][0]["content"] for turn in list_turns(service, other)]
    assert said == ["one", "two", "four"]
    assert branch == ["one", "three"]
    assert second.previous_response_id == first.id
    assert second.instructions is None
    # system Rule. + user one, against user one + answer + user two: the rule is gone
    assert first.usage
    assert second.usage
    alone = ask(client, "one", max_output_tokens=2)
    assert alone.usage
    assert first.usage.input_tokens > alone.usage.input_tokens
    talk: Any = [
        {"role": "user", "content": "one"},
        first.output[0],
        {"role": "user", "content": "two"},
    ]
    same = client.responses.create(model="fake", input=talk, max_output_tokens=2)
    assert same.usage
    assert second.usage.input_tokens == same.usage.input_tokens


def test_a_chain_waits_for_a_response_in_the_background(service: Stack, client: OpenAI) -> None:
    first = ask(client, "one", background=True)
    second = ask(client, "two", previous_response_id=first.id)

    assert second.status == "completed"
    assert [turn["messages"][0]["content"] for turn in list_turns(service, second)] == [
        "one",
        "two",
    ]


@pytest.mark.parametrize("is_branch", [False, True])
def test_what_is_not_stored_leaves_no_turn(service: Stack, client: OpenAI, is_branch: bool) -> None:
    first = ask(client, "one", max_output_tokens=2)
    given = {"previous_response_id": first.id} if is_branch else {}
    loose = ask(client, "two", store=False, max_output_tokens=2, **given)

    assert loose.to_dict()["store"] is False
    assert len(list_turns(service, first)) == 1
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(loose.id)


def test_a_deleted_response_is_gone_and_cannot_be_gone_on_with(client: OpenAI) -> None:
    first = ask(client, "one", max_output_tokens=2)
    second = ask(client, "two", max_output_tokens=2, previous_response_id=first.id)

    client.responses.delete(first.id)

    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.retrieve(first.id)
    assert caught.value.code == "response_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"
    assert ask(client, "three", max_output_tokens=2, previous_response_id=second.id).output_text


def test_a_failed_response_cannot_be_gone_on_with(client: OpenAI) -> None:
    failed = poll(client, ask(client, "[[nan]]", background=True))

    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, previous_response_id=failed.id)

    assert (caught.value.code, caught.value.param) == (
        "previous_response_failed",
        "previous_response_id",
    )


def test_a_streamed_response_tells_its_events_in_order(client: OpenAI) -> None:
    events: Any = list(client.responses.create(model="fake", input="hello", stream=True))

    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) >= 3
    assert "".join(deltas) == events[-1].response.output_text
    assert client.responses.retrieve(events[-1].response.id) == events[-1].response


LONG: Any = {"model": "fake", "input": "hello", "extra_body": {"max_output_tokens": 30}}


def test_a_background_stream_goes_on_after_a_break(client: OpenAI) -> None:
    seen: list[Any] = []
    with client.responses.create(**LONG, background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    name = seen[0].response.id

    rest: Any = list(
        client.responses.retrieve(name, stream=True, starting_after=seen[-1].sequence_number)
    )

    kinds = [event.type for event in seen]
    assert kinds == [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    assert [seen[n].response.status for n in range(3)] == ["queued", "queued", "in_progress"]
    assert [e.sequence_number for e in seen + rest] == list(range(len(seen) + len(rest)))
    assert rest[-1].type == "response.incomplete"  # 30 tokens of 40
    deltas = [e.delta for e in seen + rest if e.type == "response.output_text.delta"]
    assert "".join(deltas) == rest[-1].response.output_text
    assert client.responses.retrieve(name).output_text == rest[-1].response.output_text


def test_events_are_the_same_whenever_they_are_told(service: Stack, client: OpenAI) -> None:
    first = list(client.responses.create(**LONG, background=True, stream=True))
    name = first[0].response.id

    again = list(client.responses.retrieve(name, stream=True))

    assert again == first
    assert list(client.responses.retrieve(name, stream=True, starting_after=9)) == first[10:]
    raw = service.http.get(f"/v1/responses/{name}", params={"stream": "true"})
    assert raw.headers["Content-Type"].startswith("text/event-stream")
    assert raw.text.startswith("event: response.created\ndata: {")


def test_an_interactive_stream_can_be_told_again_too(client: OpenAI) -> None:
    first = list(client.responses.create(**LONG, stream=True))

    assert list(client.responses.retrieve(first[0].response.id, stream=True)) == first


def test_the_clients_own_helper_resumes_a_stream(client: OpenAI) -> None:
    events: Any = client.responses.create(**LONG, background=True, stream=True)
    name = next(iter(events)).response.id
    events.close()

    with client.responses.stream(response_id=name, starting_after=5) as stream:
        numbers = [event.sequence_number for event in stream]

    assert numbers[0] == 6


def test_a_background_stream_tells_how_a_failed_response_failed(client: OpenAI) -> None:
    events: Any = list(
        client.responses.create(model="fake", input="[[nan]]", background=True, stream=True)
    )

    assert [event.type for event in events] == [
        "response.created",
        "response.queued",
        "response.failed",
    ]
    assert events[-1].response.status == "failed"
    assert "NaN" in events[-1].response.error.message


def test_a_background_stream_ends_when_its_response_is_cancelled(client: OpenAI) -> None:
    seen: list[Any] = []
    stream: Any = client.responses.create(
        model="fake", input="[[slow:30]]", background=True, stream=True
    )
    for event in stream:
        seen.append(event)
        if event.type == "response.queued":
            client.responses.cancel(event.response.id)

    assert (seen[-1].type, seen[-1].code) == ("error", "job_cancelled")


def test_only_streamed_responses_have_events(client: OpenAI) -> None:
    whole = ask(client, max_output_tokens=1)

    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(whole.id, stream=True)
    with pytest.raises(openai.BadRequestError) as alone:
        client.responses.retrieve(whole.id, starting_after=3)

    assert caught.value.code == "response_not_streamed"
    assert (alone.value.code, alone.value.param) == ("stream_options_alone", "starting_after")


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "unsupported_parameter", "tools"),
        ({"tool_choice": "required"}, "unsupported_parameter", "tool_choice"),
        ({"reasoning": {"effort": "low"}}, "unsupported_parameter", "reasoning"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"include": ["file_search_call.results"]}, "unsupported_parameter", "include"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
        ({"truncation": "middle"}, "invalid_value", "truncation"),
        ({"max_tokens": 5}, "unknown_parameter", "max_tokens"),
        ({"max_output_tokens": 999_999}, "out_of_range", "max_output_tokens"),
        ({"input": []}, "too_short", "input"),
        ({"input": " "}, "empty_prompt", "input"),
        ({"background": True, "store": False}, "background_not_stored", "store"),
        ({"previous_response_id": "resp_x"}, "previous_response_not_found", ...),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "o"}]},
            "invalid_value",
            "input.0.type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "unsupported_content",
            "input.0.content",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    client: OpenAI, given: dict[str, Any], code: str, param: Any
) -> None:
    body = {"model": "fake", "input": "hello", **given}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/responses", body=body, cast_to=object)

    named = next(iter(given)) if param is ... else param
    assert (caught.value.code, caught.value.param) == (code, named)
