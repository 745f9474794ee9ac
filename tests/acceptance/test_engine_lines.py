"""Lines of batches on the shipped model: conversations share what the engine keeps of them, and
answers that no guide holds are judged by their schema."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import stack
from tests.acceptance.stack import Stack
from tests.acceptance.test_batch_depth import finish, read

pytestmark = pytest.mark.acceptance
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
MODEL = "autoglm-demo"
UNSPEAKABLE = {"type": "object", "not": {"required": ["x"]}}  # no grammar can be made of a `not`
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": UNSPEAKABLE}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack.running(tmp_path_factory.mktemp("lines"), {}, "--no-flower") as made:
        made.wait_healthy()
        yield made


def run(service: Stack, endpoint: str, bodies: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A batch of these bodies that has completed."""
    content = "".join(
        json.dumps(
            {"custom_id": name, "method": "POST", "url": endpoint, "body": {"model": MODEL} | body}
        )
        + "\n"
        for name, body in bodies.items()
    )
    form = {"file": ("in.jsonl", content.encode())}
    file = service.http.post("/v1/files", data={"purpose": "batch"}, files=form).json()
    order = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"}
    batch = finish(service, service.post("/v1/batches", order).json())
    assert batch["status"] == "completed", batch
    return batch


def say(words: str, **changes: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": words}], "temperature": 0} | changes


def test_conversations_of_a_batch_share_their_beginning_and_run_beside_each_other(
    service: Stack,
) -> None:
    long = {"max_completion_tokens": 48, "ignore_eos": True}
    bodies: dict[str, dict[str, Any]] = {}
    for name in ("apple", "stone"):
        words = f"Write a function {name} that adds the {name} of each {name} in a list. " * 4
        bodies[f"{name}-1"] = say(words, **long)
        more = {"previous_response_id": f"custom_id:{name}-1", "max_completion_tokens": 4}
        bodies[f"{name}-2"] = say("Rename it to total.", **more)

    batch = run(service, CHAT, bodies)

    usage = {
        line["custom_id"]: line["response"]["body"]["usage"]
        for line in read(service, batch["output_file_id"])
    }
    cached = {name: each["prompt_tokens_details"]["cached_tokens"] for name, each in usage.items()}
    times = {
        name: service.http.get(f"/v1/batches/{batch['id']}/lines/{name}").json() for name in bodies
    }
    for name in ("apple", "stone"):
        assert cached[f"{name}-2"] > usage[f"{name}-1"]["prompt_tokens"] - 32
        assert cached[f"{name}-2"] > cached[f"{name}-1"]
        assert times[f"{name}-2"]["started_at"] >= times[f"{name}-1"]["finished_at"]
    for one, other in (("apple-1", "stone-1"), ("stone-1", "apple-1")):
        assert times[one]["started_at"] < times[other]["finished_at"]


def test_an_unguided_answer_that_breaks_its_schema_is_asked_for_again_and_told(
    service: Stack,
) -> None:
    asked = say("Write a function that adds two numbers.", response_format=FORMAT, stop="\n")
    free = asked | {"guided_decoding": False}

    batch = run(
        service,
        CHAT,
        {"held": asked, "free": free, "once": free | {"max_reasks": 0}},
    )

    errors = {
        line["custom_id"]: line["response"]["body"]["error"]
        for line in read(service, batch["error_file_id"])
    }
    assert {name: each["code"] for name, each in errors.items()} == {
        "held": "schema_invalid",
        "free": "schema_violation",
        "once": "schema_violation",
    }
    assert '"guided_decoding": false' in errors["held"]["message"]
    once, free_usage = errors["once"]["usage"], errors["free"]["usage"]
    assert (once["asks"], free_usage["asks"]) == (1, 3)
    assert errors["once"]["text"].startswith("def ")
    assert errors["free"]["text"]
    assert errors["free"]["param"] == "response_format"
    assert free_usage["prompt_tokens"] > 3 * once["prompt_tokens"]  # its answer was shown to it
    assert free_usage["completion_tokens"] > once["completion_tokens"]
    assert batch["usage"]["output_tokens"] == sum(
        each["completion_tokens"] for each in (once, free_usage)
    )


def test_a_response_whose_schema_no_grammar_fits_fails_by_the_name_it_has_there(
    service: Stack,
) -> None:
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": UNSPEAKABLE}}
    asked = {"model": MODEL, "input": "Write a function that adds two numbers.", "text": wanted}

    refused = service.post(RESPONSES, asked).json()["error"]
    failed = service.post(RESPONSES, asked | {"guided_decoding": False, "max_reasks": 0})

    assert (refused["code"], refused["param"]) == ("schema_invalid", "text.format.schema")
    error = failed.json()["error"]
    assert (failed.status_code, error["code"]) == (500, "schema_violation")
    assert error["param"] == "text.format"
    assert error["text"]
    assert (error["usage"]["asks"], error["usage"]["completion_tokens"] > 0) == (1, True)
