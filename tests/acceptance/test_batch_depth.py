"""What batches promise beyond OpenAI's: many lines at once, hostile ones alone in their failure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.stack import Stack, fake_config, running
from tests.integration import hostile
from tests.integration.test_webhooks import CLIENT, SECRET, Receiver, receiving
from tests.integration.workplace import wait_for

pytestmark = pytest.mark.acceptance
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    yield from receiving()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    hooks = {"secret": SECRET, "loopback": [receiver.host]}
    config = fake_config(tokens_per_job=4) | {"webhooks": hooks}
    with running(tmp_path_factory.mktemp("depth"), config, "--no-flower") as made:
        made.wait_healthy()
        yield made


def make_line(number: int | str, content: str = "", **body: Any) -> bytes:
    messages = [{"role": "user", "content": content or f"hi {number}"}]
    whole = {"model": "fake", "messages": messages} | body
    record = {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": whole}
    return json.dumps(record).encode() + b"\n"


def submit(stack: Stack, content: bytes, **fields: Any) -> dict[str, Any]:
    """The new batch over a file with this content."""
    form = {"file": ("in.jsonl", content)}
    file = stack.http.post("/v1/files", data={"purpose": "batch"}, files=form).json()
    order = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    answer = stack.post("/v1/batches", order | fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finish(stack: Stack, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch once it has ended."""

    def look() -> dict[str, Any] | None:
        found = stack.http.get(f"/v1/batches/{batch['id']}").json()
        over = ("completed", "failed", "expired", "cancelled")
        return dict(found) if found["status"] in over else None

    return wait_for(look, "the end of the batch", 300)


def read(stack: Stack, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of an output or error file."""
    if file_id is None:
        return []
    return list(map(json.loads, stack.http.get(f"/v1/files/{file_id}/content").text.splitlines()))


def run(stack: Stack, content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Output and error lines of a batch that completes."""
    batch = finish(stack, submit(stack, content))
    assert batch["status"] == "completed", batch
    return read(stack, batch["output_file_id"]), read(stack, batch["error_file_id"])


def test_every_line_of_a_large_file_is_answered_once(stack: Stack):
    count = 3000
    content = b"".join(make_line(n, "x" * 1000) for n in range(count))

    batch = finish(stack, submit(stack, content))

    lines = read(stack, batch["output_file_id"])
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    assert [line["custom_id"] for line in lines] == [f"c{n}" for n in range(count)]
    assert batch["error_file_id"] is None


def test_hostile_lines_are_told_one_by_one_and_their_neighbours_succeed(stack: Stack):
    output, errors = run(stack, hostile.mix(make_line).replace(b'"m"', b'"fake"'))

    told = {}
    for line in errors:
        error = line["response"]["body"]["error"]
        told[error["line"]] = (line["custom_id"], error["code"])
        assert error["message"]
    assert told == hostile.expected()
    assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(len(told) + 1)]


def follow(number: int | str, name: str, content: str) -> bytes:
    return make_line(number, content, previous_response_id=f"custom_id:{name}")


def test_a_line_sees_the_earlier_line_that_it_names_and_fails_with_it(stack: Stack):
    lines = [
        make_line("name", "my name is Ada"),
        follow("ask", "cname", "[[echo]]"),
        make_line("bad", "[[error]]"),
        follow("after", "cbad", "hi"),
        follow("nobody", "cnobody", "hi"),
    ]

    output, errors = run(stack, b"".join(lines))

    told = {x["custom_id"]: x["response"]["body"]["error"]["code"] for x in errors}
    said = {x["custom_id"]: x["response"]["body"]["choices"][0]["message"] for x in output}
    assert said.keys() == {"cname", "cask"}
    assert "my name is Ada" in said["cask"]["content"]
    assert said["cname"]["content"] in said["cask"]["content"]
    assert told == {
        "cbad": "engine_failed",
        "cafter": "dependency_failed",
        "cnobody": "previous_line_not_found",
    }


def test_the_end_of_a_batch_is_told_to_its_webhook(stack: Stack, receiver: Receiver):
    batch = submit(stack, make_line("told"), webhook={"url": receiver.url})
    finish(stack, batch)

    wait_for(lambda: receiver.got, "a webhook")
    _, headers, content = receiver.got[0]

    event: Any = CLIENT.webhooks.unwrap(content, headers)
    assert (event.type, event.data.id) == ("batch.completed", batch["id"])
    (told,) = stack.http.get(f"/v1/batches/{batch['id']}/deliveries").json()["data"]
    assert told["id"] == event.id


SCHEMA = {"type": "json_schema", "json_schema": {"name": "list", "schema": {"type": "array"}}}


def test_answers_are_checked_against_their_schema_and_asked_for_again(stack: Stack):
    body: dict[str, Any] = {"model": "fake", "response_format": SCHEMA, "max_tokens": 50}
    lines: list[dict[str, Any]] = [
        {"prompt": '["[[echo]]"]'},
        {"prompt": "no list"},
        {"prompt": "never again", "max_reasks": 0},
        {"prompt": "cut off", "max_tokens": 2},
        {"prompt": "unguided", "guided_decoding": False, "max_reasks": 1},
    ]
    content = b"".join(make_completion(n, body | line) for n, line in enumerate(lines))

    batch = finish(stack, submit(stack, content, endpoint="/v1/completions"))

    good, cut = read(stack, batch["output_file_id"])
    errors = [x["response"]["body"]["error"] for x in read(stack, batch["error_file_id"])]
    assert good["response"]["body"]["choices"][0]["text"] == '["[[echo]]"]'
    (choice,) = cut["response"]["body"]["choices"]  # as OpenAI gives out what max_tokens cut off
    assert (choice["finish_reason"], len(choice["text"].split())) == ("length", 2)
    assert "asks" not in cut["response"]["body"]["usage"]
    assert [(e["code"], e["usage"]["asks"]) for e in errors] == [
        ("schema_violation", 3),
        ("schema_violation", 1),
        ("schema_violation", 2),
    ]
    assert all(error["text"] for error in errors)


def make_completion(number: int, body: dict[str, Any]) -> bytes:
    url = "/v1/completions"
    record = {"custom_id": f"s{number}", "method": "POST", "url": url, "body": body}
    return json.dumps(record).encode() + b"\n"
