"""Jobs over HTTP: submit, wait, list, cancel, and the ids that follow a request."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app import queue, settings
from app.models import jobs, sessions, workers
from app.models.database import Database
from app.wire.rows import Problem
from tests.integration.apis import MODELS, PROVENANCE, Api, wait_until

CHAT = "/v1/chat/completions"


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    return Api(database, redis_url, tmp_path)


def test_a_submitted_job_is_stored_and_its_worker_is_hinted(api: Api) -> None:
    answer = api.client.post("/v1/jobs", json={"model": "nick", "prompt": "hi", "top_k": 2})

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["object"] == "job"
    assert answer.json["status"] == "queued"
    assert answer.json["model"] == "small"
    assert (answer.json["position"], answer.json["reason"]) == (1, "no_worker")
    stored = jobs.get(api.db, "default", answer.json["id"])
    assert stored.request == {
        "messages": [{"role": "user", "content": "hi"}],
        "sampling": {"top_k": 2},
    }
    assert wait_until(lambda: queue.count_waiting(api.celery, "model.small") == 1)


def test_a_queued_job_whose_model_left_the_configuration_says_so(
    api: Api, redis_url: str, tmp_path: Path
) -> None:
    session_id = api.client.post("/v1/sessions", json={}).json["id"]
    left = [api.submit(session_id=session_id), api.submit(session_id=session_id)]
    stays = api.submit(model="large")
    renamed = settings.Model("large", backend="fake", aliases=("small",))
    options = settings.Settings(models=(renamed,), data_dir=tmp_path)
    later = Api(api.db, redis_url, tmp_path, options)

    reasons = [later.client.get(f"/v1/jobs/{job}").json["reason"] for job in (*left, stays)]

    assert reasons == ["model_not_served", "model_not_served", "no_worker"]


def test_a_job_that_a_worker_of_an_older_configuration_can_take_still_waits_for_it(
    api: Api, redis_url: str, tmp_path: Path
) -> None:
    job_id = api.submit()
    identity = workers.Identity("here/cpu:0", "small", "here", 1, 1)
    holder, _ = workers.enroll(api.db, identity, max_attempts=3)
    workers.update(api.db, holder, state="ready")
    options = settings.Settings(models=MODELS[1:], data_dir=tmp_path)
    later = Api(api.db, redis_url, tmp_path, options)

    assert later.client.get(f"/v1/jobs/{job_id}").json["reason"] == "workers_busy"


def test_a_finished_job_shows_result_usage_and_provenance(api: Api) -> None:
    job_id = api.submit()
    api.work(job_id, text="結果")

    shown = api.client.get(f"/v1/jobs/{job_id}").json

    assert shown["status"] == "succeeded"
    assert shown["result"] == {"text": "結果", "finish_reason": "stop"}
    assert shown["usage"]["total_tokens"] == 7
    assert shown["provenance"] == PROVENANCE
    assert shown["error"] is None
    assert shown["attempt"] == 1


@pytest.mark.parametrize(
    ("language", "part"), [("en", "tokens"), ("zh-CN", "上下文"), ("ja", "コンテキスト")]
)
def test_a_failed_job_explains_itself_in_the_readers_language(
    api: Api, language: str, part: str
) -> None:
    job_id = api.submit()
    values = {"tokens": 9, "limit": 8}
    api.work(job_id, problem=Problem("context_length_exceeded", "messages", values))

    answer = api.client.get(f"/v1/jobs/{job_id}", headers={"Accept-Language": language})

    assert answer.json["error"]["code"] == "context_length_exceeded"
    assert part in answer.json["error"]["message"]
    assert "8" in answer.json["error"]["message"]


def test_a_long_poll_answers_as_soon_as_the_job_has_ended(api: Api) -> None:
    job_id = api.submit()
    threading.Timer(0.4, api.work, [job_id]).start()

    started = time.monotonic()
    answer = api.client.get(f"/v1/jobs/{job_id}?wait=50")

    assert answer.json["status"] == "succeeded"
    assert time.monotonic() - started < 40


def test_a_long_poll_answers_as_soon_as_the_jobs_session_is_deleted(api: Api) -> None:
    session_id = api.client.post("/v1/sessions", json={}).json["id"]
    job_id = api.submit(session_id=session_id)
    threading.Timer(0.3, sessions.delete, [api.db, "default", session_id]).start()

    started = time.monotonic()
    answer = api.client.get(f"/v1/jobs/{job_id}?wait=50")

    assert answer.status_code == 404
    assert time.monotonic() - started < 40


def test_a_long_poll_gives_up_after_its_seconds(api: Api) -> None:
    job_id = api.submit()

    started = time.monotonic()
    answer = api.client.get(f"/v1/jobs/{job_id}?wait=0.3")

    assert answer.json["status"] == "queued"
    assert "Retry-After" in answer.headers
    assert 0.25 < time.monotonic() - started < 30


def test_nobody_asks_the_database_while_nobody_waits(api: Api) -> None:
    job_id = api.submit()
    api.client.get(f"/v1/jobs/{job_id}?wait=0.2")

    assert wait_until(
        lambda: not any(thread.name == "notifier" for thread in threading.enumerate())
    )


def test_cancel_takes_an_empty_body_of_json_type_and_sticks(api: Api) -> None:
    job_id = api.submit()

    answer = api.client.post(
        f"/v1/jobs/{job_id}/cancel", headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 200
    assert answer.json["status"] == "cancelled"
    assert answer.json["cancel_requested"] is True
    again = api.client.post(f"/v1/jobs/{job_id}/cancel")
    assert again.json["finished_at"] == answer.json["finished_at"]


def test_a_field_that_is_null_counts_as_absent_and_an_unknown_one_does_not(api: Api) -> None:
    body = {"model": "small", "prompt": "a"}

    made = api.client.post("/v1/jobs", json=body | {"priority": None, "kind": None, "scope": None})
    unknown = api.client.post("/v1/jobs", json=body | {"colour": None})
    model = api.client.post("/v1/jobs", json=body | {"model": None})

    assert (made.status_code, made.json["priority"], made.json["kind"]) == (202, 0, "text")
    assert (unknown.status_code, model.status_code) == (400, 400)


def test_the_same_idempotency_key_gives_the_same_job(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = api.client.post("/v1/jobs", json={"model": "small", "prompt": "a"}, headers=headers)
    again = api.client.post("/v1/jobs", json={"prompt": "a", "model": "small"}, headers=headers)
    other = api.client.post("/v1/jobs", json={"model": "small", "prompt": "b"}, headers=headers)

    assert first.status_code == again.status_code == 202
    assert first.json["id"] == again.json["id"]
    assert other.status_code == 409
    assert other.json["error"]["code"] == "idempotency_conflict"
    assert other.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("first", "second"), [("/v1/jobs", CHAT), (CHAT, "/v1/jobs")])
def test_a_key_that_was_used_at_another_endpoint_is_refused(
    api: Api, first: str, second: str
) -> None:
    """The body is right for both."""
    call: dict[str, Any] = {"headers": {"Idempotency-Key": "k1"}}
    call["json"] = {"model": "small", "messages": [{"role": "user", "content": "a"}]}
    made = threading.Thread(target=lambda: api.app.test_client().post(first, **call))
    made.start()
    assert wait_until(lambda: len(api.client.get("/v1/jobs").json["data"]) == 1)
    (job,) = api.client.get("/v1/jobs").json["data"]
    api.work(job["id"])
    made.join()

    other = api.client.post(second, **call)

    assert other.status_code == 409
    assert other.json["error"]["code"] == "idempotency_conflict"
    assert api.client.post(first, **call).status_code in (200, 202)


def test_a_list_is_paged_from_the_newest_and_filtered(api: Api) -> None:
    ids = [api.submit() for _ in range(3)]
    large = api.submit(model="large")
    api.client.post(f"/v1/jobs/{ids[0]}/cancel")

    page = api.client.get("/v1/jobs?limit=2").json
    rest = api.client.get(f"/v1/jobs?limit=2&after={page['last_id']}").json

    assert [job["id"] for job in page["data"]] == [large, ids[2]]
    assert page["has_more"] is True
    assert [job["id"] for job in rest["data"]] == [ids[1], ids[0]]
    assert rest["has_more"] is False
    assert [j["id"] for j in api.client.get("/v1/jobs?model=large").json["data"]] == [large]
    cancelled = api.client.get("/v1/jobs?status=cancelled&model=nick").json["data"]
    assert [job["id"] for job in cancelled] == [ids[0]]


def test_a_full_queue_answers_429_and_says_when_to_try_again(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    options = settings.Settings(
        models=(settings.Model("small", backend="fake"),),
        data_dir=tmp_path,
        queue=settings.Queue(max_queued_jobs=1),
    )
    api = Api(database, redis_url, tmp_path, options)
    api.submit()

    answer = api.client.post("/v1/jobs", json={"model": "small", "prompt": "hi"})

    assert answer.status_code == 429
    assert answer.json["error"]["code"] == "queue_full"
    assert answer.json["error"]["type"] == "rate_limit_error"
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        ({"X-Trace-ID": "abc-1"}, "abc-1"),
        ({"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "X-Trace-ID": "x"}, "a1" * 16),
        ({"traceparent": f"00-{'0' * 32}-{'b2' * 8}-01", "X-Trace-ID": "x"}, "x"),
    ],
)
def test_the_trace_id_of_a_request_stays_with_its_job(
    api: Api, headers: dict[str, str], trace_id: str
) -> None:
    answer = api.client.post("/v1/jobs", json={"model": "small", "prompt": "a"}, headers=headers)

    assert answer.headers["X-Trace-ID"] == trace_id
    assert answer.json["trace_id"] == trace_id


@pytest.mark.parametrize("sent", ["a b", "x" * 129, "\x1b[31m"])
def test_ids_that_could_forge_log_lines_are_replaced(api: Api, sent: str) -> None:
    headers = {"X-Trace-ID": sent, "x-request-id": sent}

    answer = api.client.get("/v1/jobs", headers=headers)

    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["X-Trace-ID"] != sent
    assert (
        api.client.get("/v1/jobs", headers={"x-request-id": "mine"}).headers["x-request-id"]
        == "mine"
    )


def test_a_session_keeps_the_turns_of_its_jobs(api: Api) -> None:
    made = api.client.post("/v1/sessions", json={"metadata": {"user": "u"}})
    session_id = made.json["id"]
    job_id = api.submit(session_id=session_id)
    api.work(job_id, text="answer")

    turns = api.client.get(f"/v1/sessions/{session_id}/turns").json

    assert made.status_code == 201
    assert [turn["number"] for turn in turns["data"]] == [1]
    assert turns["data"][0]["job_id"] == job_id
    assert turns["data"][0]["messages"] == [{"role": "user", "content": "hi"}]
    assert turns["data"][0]["answer"] == "answer"
    assert turns["data"][0]["created_at"] > 0
    assert api.client.get(f"/v1/sessions/{session_id}").json["num_turns"] == 1
    listed = api.client.get("/v1/sessions").json["data"]
    assert [session["id"] for session in listed] == [session_id]


def test_a_deleted_session_is_gone_with_its_jobs(api: Api) -> None:
    session_id = api.client.post("/v1/sessions", json={}).json["id"]
    job_id = api.submit(session_id=session_id)

    gone = api.client.delete(f"/v1/sessions/{session_id}")

    assert gone.json == {"id": session_id, "object": "session", "deleted": True}
    for path in (f"/v1/sessions/{session_id}", f"/v1/jobs/{job_id}"):
        assert api.client.get(path).status_code == 404


def test_turns_are_paged(api: Api) -> None:
    session_id = api.client.post("/v1/sessions", json={}).json["id"]
    for number in range(3):
        api.work(api.submit(session_id=session_id), text=str(number))

    page = api.client.get(f"/v1/sessions/{session_id}/turns?limit=2").json
    rest = api.client.get(f"/v1/sessions/{session_id}/turns?limit=2&after=2").json

    assert [turn["answer"] for turn in page["data"]] == ["0", "1"]
    assert page["has_more"] is True
    assert [turn["answer"] for turn in rest["data"]] == ["2"]
    assert rest["has_more"] is False
