"""Files and batches, asked by OpenAI's own client: every call and every error of the contract."""

import importlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from click.testing import CliRunner
from openai import OpenAI
from openai.types import Batch

from app import cli
from tests.acceptance.stack import Stack
from tests.integration.workplace import wait_for

pytestmark = pytest.mark.acceptance
CHAT: Any = "/v1/chat/completions"
DAY = 86_400
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, text: str = "hello", url: str = CHAT, **body: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if url == "/v1/completions":
        said = {"prompt": text}
    if url == "/v1/responses":
        said = {"input": text}
    request = {"model": "fake", **said, **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": request}


def write(lines: Sequence[Any]) -> bytes:
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def submit(client: OpenAI, lines: Sequence[Any], endpoint: Any = CHAT, **given: Any) -> Batch:
    file = client.files.create(file=("in.jsonl", write(lines)), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **given
    )


def wait(client: OpenAI, batch: Batch, states: Sequence[str] = ENDED) -> Batch:
    until = time.monotonic() + 120
    while batch.status not in states:
        assert time.monotonic() < until, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def read(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """The lines of a file, by their custom_id."""
    assert file_id
    lines = map(json.loads, client.files.content(file_id).text.splitlines())
    return {each["custom_id"]: each for each in lines}


def test_a_file_is_uploaded_processed_listed_read_and_deleted(
    client: OpenAI, tmp_path: Path
) -> None:
    content = write([line("1")])
    path = tmp_path / "入力.jsonl"
    path.write_bytes(content)
    lifetime: Any = {"anchor": "created_at", "seconds": 3600}

    file = client.files.create(file=path, purpose="batch", expires_after=lifetime)

    assert (file.object, file.status, file.purpose) == ("file", "processed", "batch")
    assert (file.filename, file.bytes) == ("入力.jsonl", len(content))
    assert file.expires_at == file.created_at + 3600
    assert client.files.wait_for_processing(file.id, max_wait_seconds=5) == file
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == content
    assert file in list(client.files.list(purpose="batch", limit=1))
    assert file not in list(client.files.list(purpose="vision"))
    gone = client.files.delete(file.id)
    assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    with pytest.raises(openai.NotFoundError) as caught:
        client.files.retrieve(file.id)
    assert (caught.value.param, caught.value.type) == ("id", "invalid_request_error")
    assert f"No such File object: {file.id}" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)


def test_a_file_of_evals_keeps_its_purpose(service: Stack) -> None:
    """Uploads may have it, though the client's type of the object does not know it."""
    with OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as lenient:
        made = lenient.files.create(file=("a.jsonl", b"{}"), purpose="evals")
        listed = [file.id for file in lenient.files.list(purpose="evals")]

    assert made.to_dict()["purpose"] == "evals"
    assert made.id in listed


@pytest.mark.parametrize("purpose", ["assistants", "fine-tune", "vision", "user_data"])
def test_files_of_other_purposes_never_expire(client: OpenAI, purpose: Any) -> None:
    file = client.files.create(file=("a.txt", b"x"), purpose=purpose)

    assert (file.purpose, file.expires_at) == (purpose, None)


@pytest.mark.parametrize(
    ("name", "content"), [("in.csv", b"a,b\n"), ("in.jsonl", b""), ("in.json", b"{}")]
)
def test_what_is_no_jsonl_is_refused_at_the_upload(
    client: OpenAI, name: str, content: bytes
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=(name, content), purpose="batch")

    assert caught.value.body == {
        "message": "Invalid file format for Batch API. Must be .jsonl",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    ("lifetime", "code", "param"),
    [
        ({"anchor": "created_at", "seconds": 3599}, "out_of_range", "expires_after[seconds]"),
        ({"anchor": "created_at", "seconds": 2592001}, "out_of_range", "expires_after[seconds]"),
        ({"anchor": "later", "seconds": 3600}, "invalid_value", "expires_after[anchor]"),
    ],
)
def test_a_bad_lifetime_is_refused(client: OpenAI, lifetime: Any, code: str, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.create(file=("a.jsonl", b"{}"), purpose="batch", expires_after=lifetime)

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.fixture(scope="module")
def done(service: Stack) -> Iterator[tuple[Batch, dict[str, Any], dict[str, Any]]]:
    """A batch with three good lines and three that fail, its output and its errors."""
    with OpenAI(
        base_url=f"{service.url}/v1", api_key="k", _strict_response_validation=True
    ) as client:
        lines = [
            line("good-1", max_tokens=3),
            line("bad-1", temperature=9),
            line("good-2", max_tokens=3),
            line("bad-2", "[[nan]]"),
            line("bad-3", tools=[{"type": "function"}]),
            line("良い", max_tokens=3),
        ]
        lifetime: Any = {"anchor": "created_at", "seconds": 7200}
        made = submit(client, lines, metadata={"a": "b"}, output_expires_after=lifetime)
        batch = wait(client, made)
        yield batch, read(client, batch.output_file_id), read(client, batch.error_file_id)


def test_a_completed_batch_has_every_field(done: Any) -> None:
    batch, output, errors = done

    assert batch.status == "completed"
    assert (batch.object, batch.endpoint, batch.model) == ("batch", CHAT, "fake")
    assert batch.completion_window == "24h"
    assert batch.errors is None
    assert batch.metadata == {"a": "b"}
    assert batch.expires_at == batch.created_at + DAY
    stamps = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert stamps == sorted(stamps)
    for stamp in (batch.failed_at, batch.expired_at, batch.cancelling_at, batch.cancelled_at):
        assert stamp is None
    counts = batch.request_counts.model_dump()
    assert counts == {"total": 6, "completed": 3, "failed": 3}
    assert set(output) == {"good-1", "good-2", "良い"}
    assert set(errors) == {"bad-1", "bad-2", "bad-3"}
    usage = batch.to_dict()["usage"]  # clients of 1.x have no type for it
    assert usage["output_tokens"] == 9
    assert usage["total_tokens"] == usage["input_tokens"] + 9
    assert usage["input_tokens_details"] == {"cached_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def test_an_output_line_holds_an_answer_of_the_endpoint(done: Any) -> None:
    _, output, _ = done
    found = output["good-1"]

    assert found["id"].startswith("batch_req_")
    assert found["error"] is None
    assert found["response"]["status_code"] == 200
    assert found["response"]["request_id"]
    body = openai.types.chat.ChatCompletion.model_validate(found["response"]["body"])
    assert body.choices[0].finish_reason == "length"


def test_an_error_line_holds_the_answer_that_a_call_would_have_had(done: Any) -> None:
    _, _, errors = done

    assert {each["error"] for each in errors.values()} == {None}
    found = {key: each["response"] for key, each in errors.items()}
    shown = {
        key: (each["status_code"], each["body"]["error"]["code"], each["body"]["error"]["param"])
        for key, each in found.items()
    }
    assert shown == {
        "bad-1": (400, "out_of_range", "temperature"),
        "bad-2": (500, "numerical", None),
        "bad-3": (400, "unsupported_parameter", "tools"),
    }


def test_output_and_error_files_are_marked_and_expire_as_asked(client: OpenAI, done: Any) -> None:
    batch = done[0]
    for file_id in (batch.output_file_id, batch.error_file_id):
        file = client.files.retrieve(file_id)
        assert file.purpose == "batch_output"
        assert file.expires_at == file.created_at + 7200
        assert file.filename.startswith(batch.id)


def test_the_other_endpoints_take_batches(client: OpenAI) -> None:
    unset: Any = {"suffix": None, "best_of": None, "reasoning": None, "conversation": None}
    texts = submit(
        client, [line("1", url="/v1/completions", max_tokens=2, **unset)], "/v1/completions"
    )
    replies = submit(
        client,
        [
            line("1", url="/v1/responses", max_output_tokens=2, metadata={"a": "b"}, **unset),
            line("2", url="/v1/responses", previous_response_id="resp_1"),
            line("3", url="/v1/responses", background=True),
        ],
        "/v1/responses",
    )

    text = read(client, wait(client, texts).output_file_id)["1"]["response"]["body"]
    ended = wait(client, replies)
    reply = read(client, ended.output_file_id)["1"]["response"]["body"]
    refused = read(client, ended.error_file_id)

    assert text["object"] == "text_completion"
    found = openai.types.responses.Response.model_validate(reply, strict=True)
    assert (found.status, found.metadata) == ("incomplete", {"a": "b"})
    assert reply["store"] is False  # a line's response cannot be read or gone on with
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(found.id)
    assert len(found.output_text.split()) == 2
    for key, param in (("2", "previous_response_id"), ("3", "background")):
        assert refused[key]["response"]["body"]["error"]["param"] == param


def test_responses_of_a_batch_are_a_conversation(client: OpenAI) -> None:
    """Lines follow on lines by OpenAI's own parameter, or share a session."""
    session = client.post("/sessions", cast_to=httpx.Response, body={}).json()["id"]
    lines = [
        line("1", "my name is Ada", "/v1/responses", instructions="Be brief."),
        line("2", "[[echo]]", "/v1/responses", previous_response_id="custom_id:1"),
        line("3", "my name is Bob", "/v1/responses", session_id=session),
        line("4", "[[echo]]", "/v1/responses", session_id=session, instructions="Be kind."),
    ]

    ended = wait(client, submit(client, lines, "/v1/responses"))

    assert ended.error_file_id is None
    found = {
        key: openai.types.responses.Response.model_validate(each["response"]["body"], strict=True)
        for key, each in read(client, ended.output_file_id).items()
    }
    second, fourth = found["2"].output_text, found["4"].output_text
    assert "my name is Ada" in second
    assert found["1"].output_text in second
    assert "Be brief." not in second
    assert found["2"].previous_response_id == "custom_id:1"
    assert "my name is Bob" in fourth
    assert found["3"].output_text in fourth
    assert fourth.index("Be kind.") < fourth.index("my name is Bob")
    assert found["1"].instructions == "Be brief."


def test_a_batch_whose_lines_all_fail_is_completed_without_output(client: OpenAI) -> None:
    batch = wait(client, submit(client, [line("1", n="x"), line("2", n="x")]))

    assert batch.status == "completed"
    assert batch.output_file_id is None
    assert set(read(client, batch.error_file_id)) == {"1", "2"}
    assert batch.request_counts
    assert batch.request_counts.model_dump() == {"total": 2, "completed": 0, "failed": 2}


def test_a_clean_batch_has_no_error_file(client: OpenAI) -> None:
    batch = wait(client, submit(client, [line("1", max_tokens=1)]))

    assert (batch.status, batch.error_file_id) == ("completed", None)


BAD_LINES: list[tuple[Any, str, str | None, str]] = [
    (b"{nope", "invalid_json_line", None, "This line is not parseable as valid JSON."),
    *(
        (
            {key: value for key, value in line("x").items() if key != name},
            "missing_required_parameter",
            name,
            f"Missing required parameter: '{name}'.",
        )
        for name in ("custom_id", "method", "url", "body")
    ),
    (
        line("x", url="/v1/completions"),
        "invalid_url",
        "url",
        "The URL provided for this request does not match the batch endpoint.",
    ),
    (
        line("x", model="gpt-9"),
        "model_not_found",
        "body.model",
        "The provided model 'gpt-9' is not supported by the Batch API.",
    ),
    (line("x", model=None), "invalid_request", "body.model", "Model parameter is required."),
    (
        line("x", messages=None),
        "invalid_request",
        "body.messages",
        "Messages parameter is required.",
    ),
    (
        line("x", stream=True),
        "streaming_unsupported",
        "body.stream",
        "Chat Completions: Streaming is not supported in the Batch API.",
    ),
    (
        line("first"),
        "duplicate_custom_id",
        "custom_id",
        "The custom_id 'first' for this request is a duplicate of another request. The custom_id "
        "parameter must be unique for each request in a batch.",
    ),
]


def test_every_bad_line_is_named_in_openais_words(client: OpenAI) -> None:
    batch = wait(client, submit(client, [line("first"), *(bad for bad, *_ in BAD_LINES)]))

    assert batch.status == "failed"
    assert batch.failed_at
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert batch.request_counts
    assert batch.request_counts.model_dump() == {"total": 0, "completed": 0, "failed": 0}
    assert batch.errors
    assert batch.errors.object == "list"
    found = [(e.code, e.param, e.message, e.line) for e in batch.errors.data or ()]
    assert found == [
        (code, param, message, number)
        for number, (_, code, param, message) in enumerate(BAD_LINES, start=2)
    ]


def test_the_files_of_a_batch_are_those_that_its_manifest_names(
    client: OpenAI, service: Stack, tmp_path: Path
) -> None:
    """As they are downloaded, input included; one byte more is another file."""
    batch = wait(client, submit(client, [line("1"), line("2", temperature=9)]))
    body = service.http.get(f"/v1/batches/{batch.id}/manifest")
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(body.content)
    ids = (batch.input_file_id, batch.output_file_id, batch.error_file_id)

    told = []
    for number, file_id in enumerate(ids):
        path = tmp_path / f"{number}.jsonl"
        client.files.content(file_id or "").write_to_file(path)
        told.append(verify(path, manifest))
    with (tmp_path / "0.jsonl").open("ab") as file:
        file.write(b"\n")

    assert [each["role"] for each in told] == ["input", "output", "errors"]
    assert {each["batch_id"] for each in told} == {batch.id}
    assert not verify(tmp_path / "0.jsonl", manifest)["verified"]


def verify(path: Path, manifest: Path) -> dict[str, Any]:
    arguments = ["batches", "verify", str(path), str(manifest), "--json"]
    found: dict[str, Any] = json.loads(CliRunner().invoke(cli.main, arguments).stdout)
    return found


def test_a_file_that_is_not_there_fails_its_batch_later(client: OpenAI) -> None:
    made = client.batches.create(input_file_id="file-nope", endpoint=CHAT, completion_window="24h")
    batch = wait(client, made)

    assert made.status == "validating"
    assert batch.errors
    problems = batch.errors.data or []
    assert len(problems) == 1
    found = problems[0]
    assert (found.code, found.param, found.line) == ("invalid_request", "file_id", None)
    assert found.message == (
        "Cannot find file file-nope, or organization default does not have access to it."
    )


@pytest.mark.parametrize(
    ("changes", "code", "param", "message"),
    [
        *(
            (
                {name: None},
                "missing_required_parameter",
                name,
                f"Missing required parameter: '{name}'.",
            )
            for name in ("input_file_id", "endpoint", "completion_window")
        ),
        ({"endpoint": "/v1/embeddings"}, "invalid_value", "endpoint", "Supported values: "),
        ({"completion_window": "1h"}, "invalid_value", "completion_window", "'24h'"),
        (
            {"metadata": {"tags": ["a"]}},
            "invalid_type",
            "metadata.tags",
            "Invalid type for 'metadata.tags': expected a string, but got an array instead.",
        ),
        ({"metadata": {str(n): "x" for n in range(17)}}, "too_long", "metadata", "16"),
    ],
)
def test_a_bad_creation_is_refused_at_once(
    client: OpenAI, changes: dict[str, Any], code: str, param: str, message: str
) -> None:
    body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", **changes}
    given = {name: value for name, value in body.items() if value is not None}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/batches", body=given, cast_to=object)

    found: Any = caught.value.body
    assert (found["code"], found["param"]) == (code, param)
    assert message in found["message"]
    assert found["type"] == "invalid_request_error"


def test_a_file_of_another_purpose_is_refused(client: OpenAI) -> None:
    file = client.files.create(file=("a.jsonl", b"{}"), purpose="user_data")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def test_a_cancelled_batch_finishes_what_runs_and_all_is_counted(client: OpenAI) -> None:
    total = 200  # more than run at once
    batch = submit(client, [line(f"{n}", f"[[slow:4]] {n}") for n in range(total)])
    until = time.monotonic() + 120
    while not (running := list_running(client, batch)):
        assert time.monotonic() < until
        time.sleep(0.1)

    first = client.batches.cancel(batch.id)
    again = client.batches.cancel(batch.id)
    ended = wait(client, first)
    after = client.batches.cancel(batch.id)

    assert (first.status, again.status) == ("cancelling", "cancelling")
    assert first.cancelling_at == again.cancelling_at
    assert (ended.status, after.status) == ("cancelled", "cancelled")
    assert ended.cancelled_at
    assert ended.request_counts
    done = ended.request_counts.completed
    assert ended.request_counts.model_dump() == {
        "total": total,
        "completed": done,
        "failed": total - done,
    }
    output, errors = read(client, ended.output_file_id), read(client, ended.error_file_id)
    assert running <= set(output)
    assert (len(output), len(errors)) == (done, total - done)
    assert {each["error"]["code"] for each in errors.values()} == {"batch_cancelled"}


def list_running(client: OpenAI, batch: Batch) -> set[str]:
    """Some lines of the batch that a worker has, by their custom_id."""
    found = client.get(f"/jobs?batch_id={batch.id}&status=running", cast_to=httpx.Response)
    return {job["custom_id"] for job in found.json()["data"]}


def test_a_batch_whose_window_passes_keeps_what_is_done_and_names_the_rest(
    service: Stack, client: OpenAI
) -> None:
    """Some lines run then, others wait still: 20 slow ones are more than the engine has room for."""
    lines = [line("quick", max_tokens=1), *(line(f"{n}", "[[slow:60]]") for n in range(20))]
    batch = submit(client, lines)
    service.post(f"/v1/batches/{batch.id}/pause", {}).raise_for_status()
    batch = wait(client, batch, ["in_progress"])
    asked: Any = {"batch_id": batch.id, "limit": 100}

    def count_stored() -> int:
        return len(service.http.get("/v1/jobs", params=asked).json()["data"])

    wait_for(lambda: count_stored() == len(lines), "the lines")
    shorten_window(service, batch, seconds=12)
    service.post(f"/v1/batches/{batch.id}/resume", {}).raise_for_status()

    ended = wait(client, batch)

    assert ended.status == "expired"
    assert ended.expired_at
    assert ended.expires_at
    assert ended.expired_at >= ended.expires_at
    assert (ended.completed_at, ended.failed_at, ended.cancelled_at) == (None, None, None)
    assert ended.request_counts
    assert ended.request_counts.model_dump() == {"total": 21, "completed": 1, "failed": 20}
    assert set(read(client, ended.output_file_id)) == {"quick"}
    errors = read(client, ended.error_file_id)
    assert set(errors) == {str(n) for n in range(20)}
    assert {each["response"] for each in errors.values()} == {None}
    assert errors["7"]["error"] == {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    }


def shorten_window(service: Stack, batch: Batch, *, seconds: float) -> None:
    """A day is too long for a test."""
    db = service.database()
    with db.write() as tx:
        for table, key in (("batches", "id"), ("jobs", "batch_id")):
            moving = f"UPDATE {table} SET expires_at = ? WHERE {key} = ?"
            tx.exec_driver_sql(moving, (time.time() + seconds, batch.id))
    db.close()


def test_cancelling_an_ended_batch_is_409_and_not_tried_again(
    service: Stack, client: OpenAI, done: Any
) -> None:
    batch = done[0]
    eager = client.with_options(max_retries=5)

    with pytest.raises(openai.ConflictError) as caught:
        eager.batches.cancel(batch.id)

    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert caught.value.body == {
        "message": "Cannot cancel a batch with status 'completed'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request_id


def test_an_unknown_batch_is_404(client: OpenAI) -> None:
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError) as caught:
            call("batch_nope")
        assert "No batch found with id 'batch_nope'." in caught.value.message


def test_lists_are_paged_to_their_end_newest_first(service: Stack, client: OpenAI) -> None:
    made = [submit(client, [line("1", max_tokens=1)]).id for _ in range(5)]

    paged = [batch.id for batch in client.batches.list(limit=2)]
    page = service.http.get("/v1/batches?limit=2").json()

    assert paged[:5] == made[::-1]
    assert len(paged) == len(set(paged))
    assert paged[-1] == [batch.id for batch in client.batches.list(limit=100)][-1]
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert (page["first_id"], page["last_id"], page["has_more"]) == (*paged[:2], True)
    for limit in (0, 101):
        with pytest.raises(openai.BadRequestError) as caught:
            client.batches.list(limit=limit)
        assert caught.value.param == "limit"


def test_a_client_that_lost_the_answer_does_not_make_a_second_batch(
    service: Stack, client: OpenAI
) -> None:
    """The client's own retry, with a transport that loses the first answer."""
    file = client.files.create(file=("in.jsonl", write([line("1")])), purpose="batch")
    lost: list[str] = []
    kind = next(kind for kind in type(client._client).__mro__ if kind.__name__ == "Client")
    library = importlib.import_module(kind.__module__.split(".")[0])  # httpx or httpx2
    transport: Any = kind(trust_env=False)
    send = transport.send

    def lose(request: Any, **options: Any) -> Any:
        answer = send(request, **options)
        if request.method == "POST" and not lost:
            answer.read()
            lost.append(answer.json()["id"])
            raise library.ReadTimeout("lost")
        return answer

    transport.send = lose
    with OpenAI(
        base_url=f"{service.url}/v1", api_key="k", max_retries=2, http_client=transport
    ) as careful:
        batch = careful.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"x": "y"}
        )

    assert lost == [batch.id]


def test_a_key_given_by_the_caller_gives_the_first_batch_again(client: OpenAI) -> None:
    given: Any = {"input_file_id": "file-a", "endpoint": CHAT, "completion_window": "24h"}
    headers = {"Idempotency-Key": f"key-{time.time()}"}

    first = client.batches.create(**given, extra_headers=headers)
    again = client.batches.create(**given, extra_headers=headers)
    with pytest.raises(openai.ConflictError) as caught:
        client.batches.create(**given | {"input_file_id": "file-b"}, extra_headers=headers)

    assert first.id == again.id
    assert caught.value.code == "idempotency_conflict"


def test_what_the_client_hides_is_right_too(service: Stack, done: Any) -> None:
    batch = done[0]
    part = {"Range": "bytes=0-9", "Accept": "application/binary"}
    answer = httpx.get(
        f"{service.url}/v1/files/{batch.output_file_id}/content", headers=part, trust_env=False
    )
    shown = service.http.get(f"/v1/batches/{batch.id}")

    assert (answer.status_code, len(answer.content)) == (206, 10)
    assert answer.headers["Content-Range"].startswith("bytes 0-9/")
    assert shown.headers["x-request-id"]
    assert shown.headers["Content-Type"] == "application/json"
    raw = shown.json()
    for name in ("created_at", "in_progress_at", "expires_at", "completed_at"):
        assert type(raw[name]) is int
    for name in ("failed_at", "expired_at", "cancelling_at", "cancelled_at", "errors"):
        assert raw[name] is None
