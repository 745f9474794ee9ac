"""Lines of output and error files, and the objects clients see."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.wire import objects, packing, render
from app.wire.rows import Batch, Job, Result

RESULT = Result("hello", "stop", 5, 2, 3, {"weights_sha256": "ab", "model": "m"})
JOB = Job(
    id="job_1",
    seq=1,
    tenant_id="t",
    kind="text",
    model="m",
    endpoint="/v1/chat/completions",
    state="succeeded",
    priority=-10,
    attempt=1,
    crashes=0,
    request={"messages": [], "sampling": {}},
    session_id=None,
    batch_id="batch_1",
    custom_id="line-1",
    line_no=1,
    cancel_requested=False,
    error=None,
    metadata=None,
    trace_id="trace",
    created_at=10.9,
    queued_at=10.9,
    started_at=11.0,
    finished_at=12.5,
    expires_at=None,
    result=RESULT,
)


def explain(code: str, values: Mapping[str, Any]) -> str:
    return f"{code} {dict(values)}"


def end(state: str, code: str | None = None) -> Job:
    error = None if code is None else {"code": code, "param": "prompt", "values": {"limit": 8}}
    return replace(JOB, state=state, error=error, result=None)


def test_a_succeeded_line_holds_a_chat_completion_with_its_provenance() -> None:
    line = render.output_line(JOB, explain)

    body = line["response"]["body"]
    assert line["id"] == "batch_req_1"
    assert line["custom_id"] == "line-1"
    assert line["error"] is None
    assert line["response"]["status_code"] == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "hello"
    assert body["usage"]["total_tokens"] == 7
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    assert body["provenance"]["weights_sha256"] == "ab"
    assert body["created"] == 10


def test_a_completions_line_holds_a_text_completion() -> None:
    line = render.output_line(replace(JOB, endpoint="/v1/completions"), explain)

    assert line["response"]["body"]["object"] == "text_completion"
    assert line["response"]["body"]["choices"][0]["text"] == "hello"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("context_length_exceeded", 400, "invalid_request_error"),
        ("out_of_range", 400, "invalid_request_error"),
        ("invalid_type", 400, "invalid_request_error"),
        ("worker_crashed", 500, "server_error"),
        ("numerical", 500, "server_error"),
    ],
)
def test_a_failed_line_says_whose_fault_it_was(code: str, status: int, kind: str) -> None:
    line = render.output_line(end("failed", code), explain)

    error = line["response"]["body"]["error"]
    assert line["error"] is None
    assert line["response"]["status_code"] == status
    assert (error["code"], error["type"], error["param"]) == (code, kind, "prompt")
    assert "'limit': 8" in error["message"]


@pytest.mark.parametrize(
    ("stored", "endpoint", "shown"),
    [
        ("messages", "/v1/responses", "input"),
        ("max_tokens", "/v1/responses", "max_output_tokens"),
        ("response_format", "/v1/responses", "text.format"),
        ("input", "/v1/responses", "input"),
        ("messages", "/v1/chat/completions", "messages"),
        (None, "/v1/responses", None),
    ],
)
def test_an_error_names_what_the_endpoint_calls_the_parameter(
    stored: str | None, endpoint: str, shown: str | None
) -> None:
    error: dict[str, Any] = {"code": "context_length_exceeded", "param": stored, "values": {}}
    job = replace(end("failed"), endpoint=endpoint, error=error)

    assert render.failure(job, explain)["param"] == shown
    assert render.as_error(job).param == shown
    assert render.output_line(job, explain)["response"]["body"]["error"]["param"] == shown


@pytest.mark.parametrize("state", ["expired", "cancelled"])
def test_a_line_that_never_ran_has_no_response(state: str) -> None:
    line = render.output_line(end(state), explain)

    assert line["response"] is None
    assert line["error"]["code"] == f"batch_{state}"


def test_a_line_rendered_twice_is_the_same() -> None:
    assert render.output_line(JOB, explain) == render.output_line(JOB, explain)


def test_a_job_shows_its_result_only_when_it_succeeded() -> None:
    shown = objects.show_job(JOB, explain)

    assert shown["result"] == {"text": "hello", "finish_reason": "stop"}
    assert shown["provenance"] == RESULT.provenance
    assert shown["created_at"] == 10
    assert objects.show_job(replace(JOB, state="cancelled"), explain)["result"] is None


def test_a_failed_job_shows_its_error_in_the_readers_words() -> None:
    error = objects.show_job(end("failed", "numerical"), explain)["error"]

    assert error["code"] == "numerical"
    assert error["message"].startswith("numerical")


def test_an_empty_list_names_no_ids() -> None:
    assert objects.show_list([], has_more=False) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_batch_has_every_field_that_clients_read() -> None:
    times = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at")
    nothing: dict[str, Any] = dict.fromkeys(
        (*times, "cancelling_at", "cancelled_at", "output_file_id")
    )
    problem = {"code": "invalid_json_line", "message": "x", "line": 1, "param": None}
    batch = Batch(
        **nothing,
        id="batch_1",
        seq=1,
        tenant_id="t",
        key_id=None,
        endpoint="/v1/completions",
        model="m",
        status="failed",
        completion_window="24h",
        input_file_id="file-1",
        error_file_id=None,
        request_hash="",
        errors=[problem],
        metadata=None,
        output_expires_seconds=None,
        locale="en-US",
        trace_id=None,
        lines_ingested=0,
        total=3,
        completed=1,
        failed=2,
        input_tokens=4,
        cached_tokens=1,
        output_tokens=5,
        created_at=1.5,
        expires_at=2.5,
    )

    shown = objects.show_batch(batch)

    assert shown["errors"] == {"object": "list", "data": [problem]}
    assert shown["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert shown["usage"]["total_tokens"] == 9
    assert shown["created_at"] == 1


def test_a_packed_line_is_one_line_for_every_reader() -> None:
    line = {"custom_id": "a\u2028b", "text": "c\x85d\u2029e\n\u00c2"}

    packed = packing.pack_line(line)

    assert len(packed.decode().splitlines()) == 1
    assert packed.endswith(b"\n")
    assert json.loads(packed) == line
