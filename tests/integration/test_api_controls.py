"""Pause, resume, retry, explain and lines over HTTP, with strict OpenAI objects all along."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from openai.types import Batch as OpenAIBatch

from app import settings
from app.api import answers, outlook
from app.models import (
    batches,
    beats,
    chains,
    claims,
    deliveries,
    events,
    files,
    jobs,
    keys,
    workers,
)
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire import responses
from app.wire.rows import Batch, Line, Problem
from app.workers import finalize, ingest
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.apis import MODELS, Api

pytestmark = pytest.mark.integration


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    made = Api(database, redis_url, tmp_path)
    beats.beat(database, "control@here")
    with made.app.app_context():
        made.app.extensions["autoglm"].health.probe()
    return made


@pytest.fixture
def context(api: Api) -> Context:
    made = Context(api.db, api.settings)
    made.files.mkdir(parents=True, exist_ok=True)
    return made


def post(api: Api, batch_id: str, verb: str, **headers: str) -> Any:
    return api.client.post(f"/v1/batches/{batch_id}/{verb}", headers=headers)


def run_batch(context: Context, api: Api, number: int, *, bad: set[int], **changes: Any) -> Batch:
    """A batch that has ended, over a real file: these lines of it failed."""
    content = b"".join(inputs.make_line(n, body_model="small") for n in range(1, number + 1))
    batch = inputs.submit(context, b"\n" + content, metadata={"run": "7"}, **changes)
    ingest.run(context, batch.id)
    end(api, work(api), bad)
    finalize.run(context, batch.id)
    return makers.reload(api.db, batch)


def work(api: Api) -> Holder:
    return makers.add_worker(api.db, model="small")


def end(api: Api, holder: Holder, bad: set[int]) -> None:
    held = claims.claim(api.db, holder, "small", limit=100, may_isolate=True)
    numbers = {job.id: int((job.custom_id or "c0")[1:]) for job in held}
    outcomes = [
        makers.fail(job, "out_of_memory") if numbers[job.id] in bad else makers.succeed(job)
        for job in held
    ]
    claims.settle(api.db, outcomes)


def codes(api: Api, batch: Batch, language: str = "en") -> list[str]:
    answer = api.client.get(
        f"/v1/batches/{batch.id}/explain", headers={"Accept-Language": language}
    )
    assert answer.status_code == 200
    for reason in answer.json["reasons"]:
        for text in (reason["message"], reason["change"]):
            assert text
            assert "{" not in text
            assert "(no text" not in text
    return [reason["code"] for reason in answer.json["reasons"]]


def test_a_paused_batch_is_in_progress_for_openai_and_paused_for_us(api: Api) -> None:
    batch = makers.add_batch(api.db, 2)

    paused = post(api, batch.id, "pause")
    resumed = post(api, batch.id, "resume")

    for answer, is_paused in ((paused, True), (resumed, False)):
        assert answer.status_code == 200
        OpenAIBatch.model_validate(answer.json, strict=True)
        assert answer.json["status"] == "in_progress"
        assert answer.json["paused"] is is_paused


def test_a_batch_that_has_ended_is_not_paused(api: Api) -> None:
    batch = makers.add_batch(api.db, 1)
    batches.cancel(api.db, DEFAULT_TENANT, batch.id)

    for verb in ("pause", "resume"):
        answer = post(api, batch.id, verb)
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "batch_not_pausable")
        assert answer.headers["x-should-retry"] == "false"


def test_a_retry_is_a_batch_of_the_lines_that_were_lost(api: Api, context: Context) -> None:
    batch = run_batch(context, api, 6, bad={2, 5})

    answer = post(api, batch.id, "retry")

    assert answer.status_code == 200
    OpenAIBatch.model_validate(answer.json, strict=True)
    assert answer.json["retried_from"] == batch.id
    assert answer.json["metadata"] == {"run": "7"}
    again = batches.find(api.db, answer.json["id"])
    assert again is not None
    file = files.get(api.db, DEFAULT_TENANT, again.input_file_id)
    lines = [json.loads(line) for line in (context.files / file.path).read_bytes().splitlines()]
    assert lines == [inputs.make_record(n, body_model="small") for n in (2, 5)]
    ingest.run(context, again.id)
    end(api, work(api), set())
    assert finalize.run(context, again.id)["status"] == "completed"
    assert makers.reload(api.db, again).completed == 2
    assert api.client.get(f"/v1/batches/{batch.id}").json["retries"] == [again.id]


@pytest.mark.parametrize("url", [None, "https://example.com/told"])
def test_the_end_of_a_retry_is_told_where_that_of_its_batch_was(
    api: Api, context: Context, url: str | None
) -> None:
    batch = run_batch(context, api, 2, bad={1}, webhook=url)
    deliveries.announce(api.db, [])

    again = post(api, batch.id, "retry").json
    ingest.run(context, again["id"])
    end(api, work(api), set())
    finalize.run(context, again["id"])
    deliveries.announce(api.db, [])

    for batch_id in (batch.id, again["id"]):
        told = api.client.get(f"/v1/batches/{batch_id}/deliveries").json["data"]
        found = [(each["url"], each["event"]) for each in told]
        assert found == ([(url, "batch.completed")] if url else [])


def make_chain(number: int, **body: Any) -> bytes:
    """Lines each of which follows on the one before."""
    made = inputs.make_line(1, body_model="small", **body)
    for n in range(2, number + 1):
        previous = f"custom_id:c{n - 1}"
        made += inputs.make_line(n, body_model="small", body_previous_response_id=previous, **body)
    return made


def run_chain(api: Api, context: Context, content: bytes, bad: set[int], **changes: Any) -> Batch:
    """A batch that has ended; what follows on a bad line is lost with it."""
    batch = inputs.submit(context, content, **changes)
    ingest.run(context, batch.id)
    holder = work(api)
    while finalize.run(context, batch.id)["status"] == "not ready":
        end(api, holder, bad)
    return makers.reload(api.db, batch)


def test_a_retried_line_follows_the_answers_that_were_made(api: Api, context: Context) -> None:
    """Answered lines are not run and counted again; what was said there goes along."""
    batch = run_chain(api, context, make_chain(4), {3, 4})

    again = post(api, batch.id, "retry").json

    ingest.run(context, again["id"])
    stored = jobs.list_lines(api.db, again["id"], after_line=0, limit=9)
    assert [(job.custom_id, job.parent_line) for job in stored] == [("c3", None), ("c4", 1)]
    said = [(m["role"], m["content"]) for m in stored[0].request["messages"]]
    assert said == [
        ("user", "hi 1"),
        ("assistant", "done"),
        ("user", "hi 2"),
        ("assistant", "done"),
        ("user", "hi 3"),
    ]
    end(api, work(api), set())
    end(api, work(api), {4})
    finalize.run(context, again["id"])
    third = post(api, again["id"], "retry").json
    ingest.run(context, third["id"])
    (last,) = jobs.list_lines(api.db, third["id"], after_line=0, limit=9)
    assert [m["role"] for m in last.request["messages"]] == ["user", "assistant"] * 3 + ["user"]


def test_a_retried_response_follows_the_answers_that_were_made(api: Api, context: Context) -> None:
    records = [
        {"input": "hi 1", "instructions": "Rule one."},
        {
            "input": "hi 2",
            "instructions": "Rule two.",
            "previous_response_id": "custom_id:c1",
        },
    ]
    content = b"".join(
        inputs.make_line(n, url=responses.ENDPOINT, body={"model": "small", **body})
        for n, body in enumerate(records, start=1)
    )
    batch = run_chain(api, context, content, {2}, endpoint=responses.ENDPOINT)

    again = post(api, batch.id, "retry").json

    ingest.run(context, again["id"])
    (stored,) = jobs.list_lines(api.db, again["id"], after_line=0, limit=9)
    said = [(m["role"], m["content"]) for m in stored.request["messages"]]
    assert said == [("user", "hi 1"), ("assistant", "done"), ("user", "hi 2")]
    assert stored.request["instructions"] == "Rule two."
    assert (stored.parent_line, stored.error) == (None, None)


def test_a_conversation_of_code_is_retried_from_its_beginning(api: Api, context: Context) -> None:
    batch = run_chain(api, context, make_chain(2, body_kind="code"), {2})

    again = post(api, batch.id, "retry").json

    ingest.run(context, again["id"])
    stored = jobs.list_lines(api.db, again["id"], after_line=0, limit=9)
    assert [(job.custom_id, job.parent_line) for job in stored] == [("c1", None), ("c2", 1)]


def test_what_was_deleted_is_run_again(api: Api, context: Context) -> None:
    batch = run_chain(api, context, make_chain(2), {2})
    first = jobs.list_lines(api.db, batch.id, after_line=0, limit=1)[0]
    chains.delete(api.db, DEFAULT_TENANT, first.id)

    again = post(api, batch.id, "retry").json

    ingest.run(context, again["id"])
    assert [
        job.custom_id for job in jobs.list_lines(api.db, again["id"], after_line=0, limit=9)
    ] == [
        "c1",
        "c2",
    ]


def test_a_retry_that_is_asked_for_again_is_made_once(api: Api, context: Context) -> None:
    batch = run_batch(context, api, 3, bad={1})
    before = len(list(context.files.iterdir()))

    made = [post(api, batch.id, "retry", **{"Idempotency-Key": "k"}).json["id"] for _ in range(2)]
    other = run_batch(context, api, 2, bad={1})
    conflict = post(api, other.id, "retry", **{"Idempotency-Key": "k"})

    assert made[0] == made[1]
    assert conflict.json["error"]["code"] == "idempotency_conflict"
    assert len(api.client.get(f"/v1/batches/{batch.id}").json["retries"]) == 1
    assert before < len(list(context.files.iterdir()))


@pytest.mark.parametrize("is_seen_late", [False, True])
def test_a_retry_that_is_refused_leaves_no_file(
    database: Database,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_seen_late: bool,
) -> None:
    """Late: another batch, or one with the same key, came in while the lines were copied."""
    options = settings.Settings(
        models=MODELS, data_dir=tmp_path, queue=settings.Queue(max_waiting_lines=5)
    )
    api = Api(database, redis_url, tmp_path, options)
    context = Context(api.db, api.settings)
    context.files.mkdir(parents=True, exist_ok=True)
    batch, other = run_batch(context, api, 3, bad={1}), run_batch(context, api, 2, bad={1})
    assert post(api, other.id, "retry", **{"Idempotency-Key": "k"}).status_code == 200
    before = list_kept(api, context)
    if is_seen_late:
        monkeypatch.setattr(batches, "admit", lambda *_, **__: None)

    conflict = post(api, batch.id, "retry", **{"Idempotency-Key": "k"})
    makers.add_batch(api.db, 5)
    full = post(api, batch.id, "retry")

    assert (conflict.status_code, conflict.json["error"]["code"]) == (409, "idempotency_conflict")
    assert (full.status_code, full.json["error"]["code"]) == (429, "batches_full")
    assert [file for file in list_kept(api, context) if file not in before] == []


def list_kept(api: Api, context: Context) -> list[str]:
    """Every file, as it is told and as it is on disk."""
    told = [file["id"] for file in api.client.get("/v1/files").json["data"]]
    return [*told, *(f"on disk {path.name}" for path in context.files.iterdir())]


@pytest.mark.parametrize(
    ("bad", "ends", "code"),
    [(set(), True, "nothing_to_retry"), ({1}, False, "batch_not_ended")],
)
def test_there_is_not_always_something_to_retry(
    api: Api, context: Context, bad: set[int], ends: bool, code: str
) -> None:
    batch = run_batch(context, api, 2, bad=bad) if ends else makers.add_batch(api.db, 2)

    answer = post(api, batch.id, "retry")

    assert (answer.status_code, answer.json["error"]["code"]) == (409, code)


@pytest.mark.parametrize("cause", ["refused", "cancelled"])
def test_a_batch_without_lines_did_not_succeed(api: Api, context: Context, cause: str) -> None:
    batch = inputs.submit(context, b"no line\n")
    if cause == "cancelled":
        batches.cancel(api.db, DEFAULT_TENANT, batch.id)
        finalize.run(context, batch.id)
    else:
        ingest.run(context, batch.id)

    answer = post(api, batch.id, "retry")

    assert (answer.status_code, answer.json["error"]["code"]) == (409, "batch_not_run")


def test_a_retry_needs_the_input_file(api: Api, context: Context) -> None:
    batch = run_batch(context, api, 2, bad={1})
    files.delete(api.db, DEFAULT_TENANT, batch.input_file_id)

    answer = post(api, batch.id, "retry")

    assert (answer.status_code, answer.json["error"]["code"]) == (404, "file_not_found")
    assert answer.json["error"]["param"] == "input_file_id"


def test_a_line_tells_its_attempts_and_its_result(api: Api) -> None:
    batch = makers.add_batch(api.db, 2)
    holder = makers.add_worker(api.db)
    (job,) = makers.take(api.db, holder, limit=1)
    waiting = api.client.get(f"/v1/batches/{batch.id}/lines/2").json
    claims.settle(api.db, [makers.fail(job)])

    line = api.client.get(f"/v1/batches/{batch.id}/lines/c1").json

    assert (line["object"], line["line"], line["status"]) == ("batch.line", 1, "failed")
    assert line["result"]["response"]["body"]["error"]["code"] == "context_length_exceeded"
    (attempt,) = line["attempts"]
    assert (attempt["slot"], attempt["outcome"]) == ("h/cpu:0", "failed")
    assert attempt["error_code"] == "context_length_exceeded"
    assert attempt["claimed_at"] <= attempt["ended_at"]
    assert (waiting["attempts"], waiting["result"]) == ([], None)
    missing = api.client.get(f"/v1/batches/{batch.id}/lines/nobody/else")
    assert (missing.status_code, missing.json["error"]["code"]) == (404, "line_not_found")


@pytest.mark.parametrize(
    "custom_id",
    ["/", "/a", "//a", "a/", "a//b", ".", "..", "../x", "a/../b", "?a=b&c", "%2F", "七 #"],
)
def test_a_line_is_found_by_any_custom_id(api: Api, custom_id: str) -> None:
    batch = makers.add_batch(api.db)
    batches.accept(api.db, batch.id, model=makers.MODEL, total=2)
    (other,) = makers.make_lines([1])
    named = Line(2, custom_id, makers.MODEL, other.request)
    batches.add_lines(api.db, batch, [other, named], last_line=2)

    line = api.client.get(f"/v1/batches/{batch.id}/lines", query_string={"custom_id": custom_id})

    assert (line.json["line"], line.json["custom_id"]) == (2, custom_id)


def test_a_line_is_found_in_the_query_by_its_custom_id_only(api: Api) -> None:
    batch = makers.add_batch(api.db, 2)
    path = f"/v1/batches/{batch.id}/lines"

    answers = [
        api.client.get(f"{path}{query}") for query in ("?custom_id=2", "", "?custom_id=", "?line=1")
    ]

    errors = [(answer.status_code, answer.json["error"]) for answer in answers]
    assert [(status, error["code"], error["param"]) for status, error in errors] == [
        (404, "line_not_found", "custom_id"),
        (400, "missing_required_parameter", "custom_id"),
        (400, "too_short", "custom_id"),
        (400, "missing_required_parameter", "custom_id"),
    ]


def test_a_batch_in_progress_says_when_it_will_be_done(api: Api) -> None:
    batch = makers.add_batch(api.db, 10)
    held = makers.take(api.db, makers.add_worker(api.db), limit=4)
    before = api.client.get(f"/v1/batches/{batch.id}").json
    claims.settle(api.db, [makers.succeed(job) for job in held])

    shown = api.client.get(f"/v1/batches/{batch.id}").json

    OpenAIBatch.model_validate(shown, strict=True)
    assert set(shown) == set(answers.BatchObject.model_fields)  # what the pages of docs/api list
    assert before["eta_at"] is None
    assert shown["eta_at"] >= shown["in_progress_at"]
    assert shown["remaining_tokens"] == 6 * 4  # each line computed 3 - 1 + 2 tokens
    assert shown["lines_per_second"] > 0
    assert shown["at_risk"] is False
    assert api.client.get("/v1/batches").json["data"][0]["remaining_tokens"] == 24


@contextlib.contextmanager
def counting_paces() -> Iterator[list[str]]:
    """What was measured of any batch meanwhile."""
    measured: list[str] = []

    def count(*event: object) -> None:
        measured.extend(["a pace"] * (str(event[2]).startswith("SELECT anon_1.started_at")))

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    yield measured
    sa.event.remove(sa.Engine, "before_cursor_execute", count)


def test_many_polls_measure_the_pace_of_a_batch_once_a_second(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlook, "_FRESH_SECONDS", 3600.0)  # a second that lasts
    batch = makers.add_batch(api.db, 10)
    held = makers.take(api.db, makers.add_worker(api.db), limit=4)
    claims.settle(api.db, [makers.succeed(job) for job in held[:2]])
    path = f"/v1/batches/{batch.id}"

    with counting_paces() as measured:
        for _ in range(5):
            api.client.get(path)
        claims.settle(api.db, [makers.succeed(job) for job in held[2:]])
        shown = api.client.get(path).json

    assert len(measured) == 1
    assert shown["request_counts"]["completed"] == 4  # this is as it is now


def test_many_polls_of_a_batch_without_a_pace_ask_for_it_once_a_second_at_most(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As streams do, four times a second each. Of lines that failed at ingest there is none."""
    monkeypatch.setattr(outlook, "_FRESH_SECONDS", 3600.0)
    fresh, failed = makers.add_batch(api.db, 10), makers.add_batch(api.db)
    batches.accept(api.db, failed.id, model=makers.MODEL, total=2)
    bad = Line(1, "c1", makers.MODEL, {}, Problem("out_of_range"))
    batches.add_lines(api.db, failed, [bad, *makers.make_lines([2])], last_line=2)

    with counting_paces() as measured:
        for _ in range(5):
            api.client.get(f"/v1/batches/{fresh.id}")
        assert measured == []
        shown = [api.client.get(f"/v1/batches/{failed.id}").json for _ in range(5)]

    assert len(measured) == 1
    assert {(each["request_counts"]["failed"], each["eta_at"]) for each in shown} == {(1, None)}


def test_nobody_is_told_to_stop_the_batches_of_others(api: Api) -> None:
    keys.create(api.db, "other", tenant_id="b")
    _, secret = keys.create(api.db, "mine")
    api.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    makers.add_batch(api.db, 3, tenant_id="b")
    makers.add_batch(api.db, 2)
    batch = makers.add_batch(api.db, 1)

    answer = api.client.get(f"/v1/batches/{batch.id}/explain").json
    told = {each["code"]: each["values"] for each in answer["reasons"]}

    assert told["behind_batches"] == {"jobs": 2, "batches": 1}
    assert told["behind_others"] == {"jobs": 3}
    assert codes(api, batch, "ja") == codes(api, batch, "zh") == list(told)


def test_an_explanation_names_what_a_batch_waits_for(api: Api) -> None:
    first = makers.add_batch(api.db, 2)
    batch = makers.add_batch(api.db, 2)

    assert codes(api, batch) == ["model_not_served", "behind_batches"]
    post(api, batch.id, "pause")
    assert codes(api, batch, "ja")[0] == "paused"
    post(api, first.id, "cancel")
    assert codes(api, first, "zh") == ["cancelling"]


def test_what_an_ended_batch_is_told_to_do_is_what_a_retry_does(api: Api, context: Context) -> None:
    lost = run_batch(context, api, 2, bad={1})
    answered = run_batch(context, api, 2, bad=set())
    refused = inputs.submit(context, b"no JSON\n")
    ingest.run(context, refused.id)

    told = [explain_end(api, batch.id) for batch in (lost, answered, refused)]

    assert ["/retry" in each for each in told] == [True, False, False]
    assert len(set(told)) == 3
    retried = [post(api, batch.id, "retry").status_code for batch in (lost, answered, refused)]
    assert retried == [200, 409, 409]


def explain_end(api: Api, batch_id: str) -> str:
    """What would change a batch that has ended."""
    answer = api.client.get(f"/v1/batches/{batch_id}/explain").json
    (reason,) = answer["reasons"]
    assert reason["code"] == "ended"
    return str(reason["change"])


def test_an_explanation_follows_the_workers(api: Api, context: Context) -> None:
    line = inputs.make_line(1, body_model="small")
    batch = inputs.submit(context, line)
    assert codes(api, batch) == ["validating"]
    ingest.run(context, batch.id)
    seen = [codes(api, batch)]
    identity = workers.Identity("h/cpu:0", "small", "h", 1, 1)
    holder, _ = workers.enroll(api.db, identity, max_attempts=3)
    seen.append(codes(api, batch))
    workers.update(api.db, holder, state="failed", reason="no memory")
    seen.append(codes(api, batch))
    workers.update(api.db, holder, state="ready", in_flight=3)
    seen.append(codes(api, batch))
    workers.update(api.db, holder, in_flight=0)
    seen.append(codes(api, batch))
    api.submit()
    seen.append(codes(api, batch))
    (_, job) = claims.claim(api.db, holder, "small", limit=9, may_isolate=True)
    seen.append(codes(api, batch))
    claims.settle(api.db, [makers.succeed(job)])
    finalize.run(context, batch.id)

    assert seen == [
        ["no_worker"],
        ["worker_loading"],
        ["worker_failed"],
        ["workers_busy"],
        ["soon"],
        ["behind_jobs"],
        ["running"],
    ]
    assert codes(api, batch) == ["ended"]


def test_a_paused_batch_is_not_said_to_go_on_soon(api: Api, context: Context) -> None:
    batch = inputs.submit(context, inputs.make_line(1, body_model="small"))
    ingest.run(context, batch.id)
    identity = workers.Identity("h/cpu:0", "small", "h", 1, 1)
    holder, _ = workers.enroll(api.db, identity, max_attempts=3)
    workers.update(api.db, holder, state="ready")
    assert codes(api, batch) == ["soon"]

    post(api, batch.id, "pause")

    assert codes(api, batch) == ["paused"]


def test_a_silent_control_process_is_named(api: Api) -> None:
    batch = makers.add_batch(api.db)
    makers.age(api.db, "beats", "beaten_at", 60)

    assert codes(api, batch) == ["no_control", "validating"]


def test_a_waiting_line_of_a_paused_batch_says_so_as_a_job(api: Api, context: Context) -> None:
    batch = inputs.submit(context, inputs.make_line(1, body_model="small"))
    ingest.run(context, batch.id)
    post(api, batch.id, "pause")
    (job,) = api.client.get(f"/v1/jobs?batch_id={batch.id}").json["data"]

    assert api.client.get(f"/v1/jobs/{job['id']}").json["reason"] == "batch_paused"


def test_events_and_controls_belong_to_the_tenant(api: Api) -> None:
    with api.db.write() as tx:
        tx.exec_driver_sql("INSERT INTO tenants (id, created_at) VALUES ('other', 0)")
    batch = makers.add_batch(api.db, 1, tenant_id="other")

    for verb in ("pause", "resume", "retry"):
        assert post(api, batch.id, verb).status_code == 404
    for name in ("explain", "lines/1"):
        assert api.client.get(f"/v1/batches/{batch.id}/{name}").status_code == 404
    assert events.list_of(api.db, batch.id) == []
