"""Bad requests: each has its own 4xx with code and param, and nothing takes the process down."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import RequestHeaderFieldsTooLarge

from app import locales, settings
from app.api import language, problems
from app.models import jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire import render
from tests.integration.apis import MODELS, Api
from tests.unit.test_wire_render import end, explain


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    options = settings.Settings(
        models=MODELS, data_dir=tmp_path, limits=settings.Limits(max_body_bytes=20_000)
    )
    return Api(database, redis_url, tmp_path, options)


def body(**changes: Any) -> dict[str, Any]:
    fields = {"model": "small", "prompt": "hi", **changes}
    return {name: value for name, value in fields.items() if value is not ...}


@pytest.mark.parametrize(
    ("sent", "status", "code", "param"),
    [
        (body(model="other"), 404, "model_not_found", "model"),
        (body(model="a\x1b[0m"), 404, "model_not_found", "model"),
        (body(prompt=""), 400, "empty_prompt", "prompt"),
        (body(prompt=...), 400, "missing_required_parameter", "prompt"),
        (body(prompt=7), 400, "invalid_type", "prompt"),
        (body(messages=[{"role": "user", "content": "x"}]), 400, "prompt_and_messages", "prompt"),
        (body(max_tokens="5"), 400, "invalid_type", "max_tokens"),
        (body(seed=True), 400, "invalid_type", "seed"),
        (body(tenant_id="root"), 400, "unknown_parameter", "tenant_id"),
        (body(priority=101), 400, "out_of_range", "priority"),
        (body(priority=1.0), 400, "invalid_type", "priority"),
        (body(kind="image"), 400, "invalid_value", "kind"),
        (body(scope="project"), 400, "scope_without_code", "scope"),
        (body(session_id="sess_none"), 404, "session_not_found", "session_id"),
        (body(metadata={"a": 1}), 400, "invalid_type", "metadata.a"),
        (body(metadata={"a": "x" * 513}), 400, "too_long", "metadata.a"),
        (body(metadata={"k" * 65: "x"}), 400, "too_long", f"metadata.{'k' * 60}"),
        (body(metadata={str(n): "x" for n in range(17)}), 400, "too_long", "metadata"),
        (body(prompt="x" * 300), 400, "context_length_exceeded", "messages"),
        (body(max_tokens=199), 400, "context_length_exceeded", "max_tokens"),
        ([body()], 400, "body_not_object", None),
        (json.dumps(body()), 400, "body_not_object", None),
    ],
)
def test_each_kind_of_bad_input_has_its_own_answer(
    api: Api, sent: Any, status: int, code: str, param: str | None
) -> None:
    answer = api.client.post("/v1/jobs", json=sent)

    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert "{" not in error["message"]
    assert answer.headers["x-request-id"]
    assert api.client.get("/v1/jobs").json["data"] == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/jobs"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_that_does_not_fit_is_told_by_the_name_that_was_given(
    api: Api, path: str, name: str
) -> None:
    said = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {"prompt": "hi"}

    error = api.client.post(path, json={"model": "small", **said, name: 199}).json["error"]

    assert (error["code"], error["param"]) == ("context_length_exceeded", name)


def test_headers_that_are_too_large_are_not_called_a_body(api: Api) -> None:
    with api.app.test_request_context():
        answer: Any = api.app.handle_user_exception(RequestHeaderFieldsTooLarge())

    assert (answer.status_code, answer.json["error"]["code"]) == (431, "headers_too_large")


def test_a_text_that_is_too_long_to_predict_from_is_told_by_its_own_name(api: Api) -> None:
    error = api.client.post("/predict", json={"text": "x" * 300}).json["error"]

    assert (error["code"], error["param"]) == ("context_length_exceeded", "text")


def test_a_bound_is_told_in_plain_digits(api: Api) -> None:
    expiry = {"anchor": "created_at", "seconds": 10**7}
    asked = {"input_file_id": "f", "endpoint": "/v1/completions", "completion_window": "24h"}
    late = api.client.post("/v1/batches", json={**asked, "output_expires_after": expiry})
    hot = api.client.post("/v1/jobs", json=body(temperature=9))

    assert "<= 2592000." in late.json["error"]["message"]
    assert "<= 2." in hot.json["error"]["message"]


def test_a_prompt_that_is_too_long_is_told_the_numbers(api: Api) -> None:
    message = api.client.post("/v1/jobs", json=body(prompt="x" * 190)).json["error"]["message"]

    assert "200" in message
    assert str(len("user: " + "x" * 190 + "\nassistant: ") + 1) in message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[" * 10_000, "json_too_deep"),
        (b'{"model": "small", "prompt": "x", "seed": ' + b"1" * 5000 + b"}", "json_bad_number"),
        (b'{"model": "small", "prompt": "x", "temperature": NaN}', "json_bad_number"),
        (b'{"model": "small", "prompt": "x", "temperature": 1e999}', "json_bad_number"),
        (b'{"model": "small", "prompt": "\\ud800"}', "json_surrogate"),
        (b'{"model": "small", "prompt": "a\\u0000"}', "nul_character"),
        (b'{"model": "small", "model": "large", "prompt": "x"}', "json_duplicate_key"),
        (b"\xff", "invalid_utf8"),
    ],
)
def test_json_that_breaks_parsers_gets_a_message_of_its_own(
    api: Api, content: bytes, code: str
) -> None:
    answer = api.client.post("/v1/jobs", data=content, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json["error"]["code"] == code


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/jobs/job_none", 404, "job_not_found"),
        ("GET", "/v1/jobs/%00", 400, "nul_character"),
        ("GET", "/v1/jobs?after=%00", 400, "nul_character"),
        ("GET", "/v1/jobs?model=none", 404, "model_not_found"),
        ("GET", "/v1/jobs?after=job_none", 404, "job_not_found"),
        ("GET", "/v1/jobs?limit=0", 400, "out_of_range"),
        ("GET", "/v1/jobs?limit=x", 400, "invalid_type"),
        ("GET", "/v1/jobs?limit=99999999999999999999", 400, "out_of_range"),
        ("GET", "/v1/jobs?colour=red", 400, "unknown_parameter"),
        ("GET", "/v1/jobs?status=lost", 400, "invalid_value"),
        ("GET", "/v1/jobs?colour[]=red", 400, "unknown_parameter"),
        ("GET", "/v1/responses/none?include=a", 400, "unsupported_parameter"),
        ("GET", "/v1/responses/none?include[]=a", 400, "unsupported_parameter"),
        ("GET", "/v1/jobs/job_none?wait=61", 400, "out_of_range"),
        ("GET", "/v1/jobs/job_none?wait=nan", 400, "invalid_type"),
        ("GET", "/v1/jobs/job_none?wait=inf", 400, "invalid_type"),
        ("GET", f"/v1/jobs?limit={'9' * 5000}", 400, "invalid_type"),
        ("GET", "/v1/jobs/job_none?wait=1&wait=2", 400, "repeated_parameter"),
        ("POST", "/v1/jobs/job_none/cancel", 404, "job_not_found"),
        ("GET", "/v1/sessions/none", 404, "session_not_found"),
        ("GET", "/v1/sessions/none/turns", 404, "session_not_found"),
        ("DELETE", "/v1/sessions/none", 404, "session_not_found"),
        ("GET", "/v1/files/none", 404, "file_not_found"),
        ("GET", "/v1/files/none/content", 404, "file_not_found"),
        ("GET", "/v1/batches/none", 404, "batch_not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("GET", "/v2/jobs", 404, "route_not_found"),
        ("POST", "/v1/responses/input_tokens", 404, "route_not_found"),
        ("POST", "/v1/responses/compact/", 404, "route_not_found"),
        ("POST", "/v1/responses/resp_1", 405, "method_not_allowed"),
        ("GET", "//v1/jobs", 404, "route_not_found"),
    ],
)
def test_wrong_ids_queries_methods_and_routes_are_answered_in_the_envelope(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = api.client.open(path, method=method)

    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/jobs?after=none", "after"),
        ("/v1/files?after=none", "after"),
        ("/v1/batches?after=none", "after"),
        ("/v1/sessions?after=none", "after"),
        ("/v1/jobs?limit=2&after=none&limit=2", "limit"),
        ("/v1/jobs/none?wait=nan", "wait"),
        ("/v1/responses/none?include[]=a&include[]=b", "include"),
    ],
)
def test_the_query_parameter_at_fault_is_named(api: Api, path: str, param: str) -> None:
    error = api.client.get(path).json["error"]

    assert error["param"] == param
    assert ": -" not in error["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_415(api: Api, content_type: str) -> None:
    answer = api.client.post("/v1/jobs", data=b"{}", content_type=content_type)

    assert (answer.status_code, answer.json["error"]["code"]) == (415, "unsupported_media_type")


def test_a_packed_body_is_415(api: Api) -> None:
    answer = api.client.post("/v1/jobs", json={}, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415


def test_a_body_over_the_limit_is_413(api: Api) -> None:
    answer = api.client.post("/v1/jobs", json=body(prompt="x" * 30_000))

    assert (answer.status_code, answer.json["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_an_idempotency_key_that_cannot_be_stored_is_refused(api: Api, key: str) -> None:
    answer = api.client.post("/v1/jobs", json=body(), headers={"Idempotency-Key": key})

    assert answer.json["error"]["code"] == "idempotency_key_invalid"


def test_a_handler_that_raises_gives_500_with_an_id_and_a_log_line(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> str:
        raise RuntimeError("secret detail")

    api.app.add_url_rule("/explode", view_func=explode)

    with caplog.at_level(logging.ERROR):
        answer = api.client.get("/explode")

    assert answer.status_code == 500
    assert answer.json["error"]["code"] == "internal_error"
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret detail" in caplog.text
    record = next(record for record in caplog.records if record.exc_info)
    assert record.__dict__["request_id"] == answer.headers["x-request-id"]
    assert api.client.get("/health/live").status_code == 200


def test_a_database_that_does_not_answer_is_503_with_retry_after(api: Api, tmp_path: Path) -> None:
    api.db.close()
    for part in tmp_path.glob("autoglm.db*"):
        part.unlink()
    (tmp_path / "autoglm.db").mkdir()

    answer = api.client.post("/v1/jobs", json=body())

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "database_unwritable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize(
    ("path", "header", "locale"),
    [
        ("/v1/jobs/x", None, "zh-CN"),
        ("/v1/jobs/x", "en", "en-US"),
        ("/v1/jobs/x", "ja;q=0.9, xx", "ja-JP"),
        ("/v1/jobs/x", "fr", "en-US"),
        ("/v1/files/x", None, "en-US"),
        ("/v1/batches/x", None, "en-US"),
        ("/v1/batches/x", "zh-Hans-CN", "zh-CN"),
    ],
)
def test_messages_follow_accept_language_and_the_routes_default(
    api: Api, path: str, header: str | None, locale: str
) -> None:
    client = api.app.test_client()

    answer = client.get(path, headers={} if header is None else {"Accept-Language": header})

    assert answer.json is not None
    error = answer.json["error"]
    assert error["message"] == locales.message(f"errors.{error['code']}", locale, id="x")


def test_every_request_leaves_one_log_line_with_its_trace(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="app.access"):
        answer = api.client.get("/v1/jobs/none")

    lines = [r.__dict__ for r in caplog.records if r.name == "app.access"]
    assert len(lines) == 1
    assert (lines[0]["method"], lines[0]["path"], lines[0]["status"]) == (
        "GET",
        "/v1/jobs/none",
        404,
    )
    assert lines[0]["duration_ms"] >= 0
    assert lines[0]["request_id"] == answer.headers["x-request-id"]


_WRONG = {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}
_MESSAGES = [{"role": "user", "content": "hi"}]
_FORMAT = {"type": "json_schema", "json_schema": {"name": "s", "schema": _WRONG}}
_TEXT = {"format": {"type": "json_schema", "name": "s", "schema": _WRONG}}


_NOT = {"type": "object", "not": {"required": ["a"]}}


@pytest.mark.parametrize("said", [{"prompt": "hi"}, {"messages": _MESSAGES}])
def test_a_schema_without_a_grammar_is_taken_for_a_job_that_is_not_guided(
    api: Api, said: dict[str, Any]
) -> None:
    body = {"model": "small", "guided_json": _NOT, "max_reasks": 3, **said}

    refused = api.client.post("/v1/jobs", json=body)
    taken = api.client.post("/v1/jobs", json={**body, "guided_decoding": False})

    assert (refused.status_code, taken.status_code) == (400, 202)
    assert '"guided_decoding": false' in refused.json["error"]["message"]
    stored = jobs.get(api.db, DEFAULT_TENANT, taken.json["id"]).request
    guide = {"kind": "json_schema", "text": json.dumps(_NOT), "named": "guided_json"}
    assert stored == {"messages": _MESSAGES, "sampling": {}, "judged": guide, "max_reasks": 3}


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        (
            "/v1/chat/completions",
            {"messages": _MESSAGES, "response_format": _FORMAT},
            "schema_invalid",
            "response_format.json_schema.schema",
        ),
        (
            "/v1/completions",
            {"prompt": "hi", "guided_regex": "("},
            "grammar_failed",
            "guided_regex",
        ),
        ("/v1/responses", {"input": "hi", "text": _TEXT}, "schema_invalid", "text.format.schema"),
        (
            "/v1/responses",
            {"input": "hi", "text": _TEXT, "background": True},
            "schema_invalid",
            "text.format.schema",
        ),
        ("/v1/jobs", {"prompt": "hi", "guided_json": _WRONG}, "schema_invalid", "guided_json"),
    ],
)
def test_a_guide_that_cannot_be_used_is_refused_before_a_job_is_made(
    api: Api, path: str, body: dict[str, Any], code: str, param: str
) -> None:
    answer = api.client.post(path, json={"model": "small", **body})

    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert "{" not in error["message"]
    assert api.client.get("/v1/jobs").json["data"] == []


BROKEN = {
    "fault": "$.age: 'three' is not of type 'integer'",
    "text": '{"age": "three"}',
    "asks": 3,
    "usage": {"prompt_tokens": 210, "completion_tokens": 36, "cached_tokens": 0},
}


@pytest.mark.parametrize(("asks", "text"), [(1, "not to be asked for again"), (2, "2 time(s)")])
def test_who_did_not_want_to_ask_again_is_not_told_of_it(api: Api, asks: int, text: str) -> None:
    values = BROKEN | {"asks": asks}
    error = {"code": "schema_violation", "param": "prompt", "values": values}
    job = replace(end("failed"), error=error)

    with api.app.test_request_context(headers={"Accept-Language": "en"}):
        told = problems.envelope(render.as_error(job), "server_error")["error"]
        shown = render.failure(job, language.explain)

    assert text in told["message"]
    assert shown["message"] == told["message"]
    assert shown["code"] == "schema_violation"


@pytest.mark.parametrize("code", ["schema_violation", "numerical"])
def test_a_call_that_waited_is_told_what_a_line_of_a_batch_is(api: Api, code: str) -> None:
    job = replace(end("failed"), error={"code": code, "param": "prompt", "values": BROKEN})
    error = render.as_error(job)

    with api.app.test_request_context():
        told = problems.envelope(error, error.type)["error"]

    line = render.output_line(job, explain)["response"]["body"]["error"]
    assert told | {"message": "", "line": job.line_no} == line | {"message": ""}
    assert ("text" in told, "usage" in told) == (code == "schema_violation",) * 2
