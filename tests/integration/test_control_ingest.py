"""Ingest: the input file is checked as a whole, then stored in pieces that survive a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from app import locales, settings
from app.intake import lines
from app.models import batches, files, jobs, keys
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire import generation
from app.wire.rows import Batch, Job
from app.workers import ingest
from app.workers.context import Context
from tests.integration import hostile, inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


def read_lines(context: Context, batch: Batch) -> list[Job]:
    return jobs.list_lines(context.db, batch.id, after_line=0, limit=100_000)


def refuse(context: Context, content: bytes, **changes: Any) -> list[dict[str, Any]]:
    """The problems for which this input fails its batch."""
    batch = inputs.submit(context, content, **changes)
    ingest.run(context, batch.id)
    failed = makers.reload(context.db, batch)
    assert failed.status == "failed"
    assert failed.failed_at is not None
    assert read_lines(context, batch) == []
    assert failed.errors is not None
    return failed.errors


def test_good_lines_become_queued_jobs_in_the_order_of_the_file(context: Context) -> None:
    batch = inputs.submit(context, b"".join(make_line(n) for n in range(5)), trace_id="t1")

    summary = ingest.run(context, batch.id)

    lines = read_lines(context, batch)
    found = makers.reload(context.db, batch)
    assert [job.custom_id for job in lines] == [f"c{n}" for n in range(5)]
    assert [job.request["messages"][0]["content"] for job in lines] == [f"hi {n}" for n in range(5)]
    assert {(job.state, job.model, job.trace_id) for job in lines} == {("queued", "m", "t1")}
    assert {job.expires_at for job in lines} == {batch.expires_at}
    assert (found.status, found.total, found.model) == ("in_progress", 5, "m")
    assert (summary["lines"], summary["errors"]) == (5, 0)


def test_a_second_run_adds_nothing(context: Context) -> None:
    batch = inputs.submit(context, make_line(1) + make_line(2))

    for _ in range(2):
        ingest.run(context, batch.id)

    assert len(read_lines(context, batch)) == 2


def test_jobs_outlive_a_run_that_was_told_twice_at_once(context: Context) -> None:
    batch = inputs.submit(context, (make_line(n) for n in range(2500)))
    running = [start_ingest(context, batch) for _ in range(2)]

    assert [process.wait(150) for process in running] == [0, 0]

    assert [job.line_no for job in read_lines(context, batch)] == list(range(1, 2501))


ENVELOPES = [
    (b"not json\n", "invalid_json_line", None, "This line is not parseable as valid JSON."),
    (b'{"a": 1,}\n', "invalid_json_line", None, "This line is not parseable as valid JSON."),
    *(
        (line, "invalid_json_line", None, "This line is JSON, but not a JSON object.")
        for line in (b"[1]\n", b'"x"\n', b"null\n")
    ),
    (b"\xff\xfe\n", "invalid_json_line", None, "This line is not parseable as valid JSON."),
    *(
        (
            make_line(1, **{name: None}),
            "missing_required_parameter",
            name,
            f"Missing required parameter: '{name}'.",
        )
        for name in ("custom_id", "method", "url", "body")
    ),
    (
        make_line(1, url="/v1/embeddings"),
        "invalid_url",
        "url",
        "The URL provided for this request does not match the batch endpoint.",
    ),
    (
        make_line(1, body_model="x"),
        "model_not_found",
        "body.model",
        "The provided model 'x' is not supported by the Batch API.",
    ),
    (
        make_line(1, body={"messages": []}),
        "invalid_request",
        "body.model",
        "Model parameter is required.",
    ),
    (
        make_line(1, body={"model": "m"}),
        "invalid_request",
        "body.messages",
        "Messages parameter is required.",
    ),
    (
        make_line(1, body_stream=True),
        "streaming_unsupported",
        "body.stream",
        "Chat Completions: Streaming is not supported in the Batch API.",
    ),
    (make_line(1, custom_id=7), "invalid_custom_id", "custom_id", None),
    (make_line(1, custom_id=""), "invalid_custom_id", "custom_id", None),
    (make_line(1, custom_id="x" * 65), "invalid_custom_id", "custom_id", None),
    (make_line(1, method="GET"), "invalid_method", "method", None),
    (make_line(1, body=[1]), "invalid_body", "body", None),
]


@pytest.mark.parametrize(("bad", "code", "param", "message"), ENVELOPES)
def test_a_bad_line_fails_its_batch_and_is_named(
    context: Context, bad: bytes, code: str, param: str | None, message: str | None
) -> None:
    (problem,) = refuse(context, make_line("first") + bad + make_line("last"))

    assert (problem["code"], problem["param"], problem["line"]) == (code, param, 2)
    assert problem["message"] == (message or problem["message"])
    assert "{" not in problem["message"]
    assert not problem["message"].startswith("(no text")


def test_all_bad_lines_are_told_at_once_in_the_language_of_the_batch(context: Context) -> None:
    content = b"x\n" + make_line(1) + make_line(2, url="/nope") + b"\n" + make_line(1)

    problems = refuse(context, content, locale="ja-JP")

    assert [(p["line"], p["code"]) for p in problems] == [
        (1, "invalid_json_line"),
        (3, "invalid_url"),
        (5, "duplicate_custom_id"),
    ]
    assert problems[0]["message"] == "この行は有効な JSON ではありません。"
    assert "'c1'" in problems[2]["message"]


def test_lines_for_two_models_do_not_match(context: Context) -> None:
    (problem,) = refuse(context, make_line(1) + make_line(2, body_model="n"))

    assert (problem["code"], problem["line"]) == ("mismatched_model", 2)
    assert problem["message"].startswith("The model 'n' for this request does not match")


def test_an_alias_is_the_model_it_stands_for(context: Context) -> None:
    batch = inputs.submit(context, make_line(1) + make_line(2, body_model="alias"))

    ingest.run(context, batch.id)

    assert {job.model for job in read_lines(context, batch)} == {"m"}


NO_JSON = [b"\x00\x00\x00", b'"' + b"\\" * 99, b"[1]", b"\xff{}", b'{"custom_id": \xef\xbb\xbf1}']


@pytest.mark.parametrize("bad", NO_JSON)
def test_what_is_no_json_fails_its_batch(context: Context, bad: bytes) -> None:
    (problem,) = refuse(context, make_line("first") + bad.rstrip() + b"\n" + make_line("last"))

    assert (problem["code"], problem["line"]) == ("invalid_json_line", 2)


def test_each_hostile_line_fails_alone(context: Context) -> None:
    batch = inputs.submit(context, hostile.mix(make_line))

    ingest.run(context, batch.id)

    stored = read_lines(context, batch)
    found = makers.reload(context.db, batch)
    bad = {job.line_no: job for job in stored if job.state == "failed"}
    told = {job.line_no: (job.custom_id, job.error and job.error["code"]) for job in bad.values()}
    assert found.status == "in_progress"
    assert (found.total, found.failed) == (2 * len(hostile.LINES) + 1, len(hostile.LINES))
    assert told == hostile.expected()
    assert {job.state for job in stored if job.line_no not in bad} == {"queued"}


def test_a_file_of_nothing_but_hostile_lines_is_ready_to_be_finalized(context: Context) -> None:
    batch = inputs.submit(context, hostile.LINES[0][0] + b"\n")

    ingest.run(context, batch.id)

    found = makers.reload(context.db, batch)
    assert (found.status, found.total, found.failed, found.model) == ("in_progress", 1, 1, None)


def test_a_hostile_line_may_not_share_its_custom_id(context: Context) -> None:
    (problem,) = refuse(context, make_line(1) + make_line(1).replace(b'"hi 1"', b"NaN"))

    assert (problem["code"], problem["line"]) == ("duplicate_custom_id", 2)


BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"body_temperature": 9}, "out_of_range", "temperature"),
    ({"body_temperature": "hot"}, "invalid_type", "temperature"),
    ({"body_max_tokens": 10**9}, "out_of_range", "max_tokens"),
    ({"body_seed": 10**30}, "out_of_range", "seed"),
    ({"body_nonsense": 1}, "unknown_parameter", "nonsense"),
    ({"extra": 1}, "unknown_parameter", "extra"),  # beside the body
    ({"body_stream_options": {"include_usage": True}}, "streaming_unsupported", "stream_options"),
    ({"body_messages": []}, "empty_messages", "messages"),
    ({"body_messages": "hi"}, "invalid_type", "messages"),
    ({"body_messages": [[[[[[1]]]]]]}, "invalid_type", "messages.0"),
]


@pytest.mark.parametrize(("change", "code", "param"), BODIES)
def test_a_bad_body_fails_its_line_alone(
    context: Context, change: dict[str, Any], code: str, param: str
) -> None:
    batch = inputs.submit(context, make_line(1) + make_line(2, **change) + make_line(3))

    ingest.run(context, batch.id)

    one, two, three = read_lines(context, batch)
    assert (one.state, two.state, three.state) == ("queued", "failed", "queued")
    assert two.error is not None
    assert (two.error["code"], two.error["param"], two.custom_id) == (code, param, "c2")
    json.dumps(two.error)
    assert makers.reload(context.db, batch).failed == 1


@pytest.mark.parametrize("depth", [200, 400, 600, 800, 900, 980])
def test_a_deeply_nested_body_fails_its_line_or_its_batch(context: Context, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    bad = make_line(2).replace(b'[{"role"', nested + b', "x": [{"role"')
    batch = inputs.submit(context, make_line(1) + bad + make_line(3))

    ingest.run(context, batch.id)

    found = makers.reload(context.db, batch)
    assert (found.status, found.failed) in {("in_progress", 1), ("failed", 0)}


def test_a_file_of_bad_bodies_alone_is_ready_to_be_finalized(context: Context) -> None:
    batch = inputs.submit(context, make_line(1, body_temperature=9))

    ingest.run(context, batch.id)

    found = makers.reload(context.db, batch)
    assert (found.status, found.total, found.failed) == ("in_progress", 1, 1)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_a_file_without_requests_fails(context: Context, content: bytes) -> None:
    (problem,) = refuse(context, content)

    assert (problem["code"], problem["line"], problem["param"]) == ("empty_file", None, None)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_tolerated(
    context: Context,
) -> None:
    content = b"\xef\xbb\xbf" + make_line(1) + b"\r\n\n" + make_line(2).strip() + b"\r\n"
    batch = inputs.submit(context, content + make_line(3).strip())

    ingest.run(context, batch.id)

    assert [(job.line_no, job.custom_id) for job in read_lines(context, batch)] == [
        (1, "c1"),
        (4, "c2"),
        (5, "c3"),
    ]
    assert makers.reload(context.db, batch).total == 3


def test_a_line_over_the_limit_fails_alone_and_its_neighbours_run(
    database: Database, tmp_path: Path
) -> None:
    limits = settings.Limits(max_line_bytes=300)
    context = inputs.make_context(database, tmp_path, limits=limits)
    long = make_line(2, body_user="x" * 1000)

    batch = inputs.submit(context, make_line(1) + long + make_line(3))
    ingest.run(context, batch.id)

    found = read_lines(context, batch)
    assert [(job.custom_id, job.state) for job in found] == [
        ("c1", "queued"),
        ("c2", "failed"),
        ("c3", "queued"),
    ]
    assert found[1].error
    assert found[1].error["code"] == "line_too_long"


def test_a_line_over_the_limit_must_have_an_id_of_its_own(
    database: Database, tmp_path: Path
) -> None:
    limits = settings.Limits(max_line_bytes=300)
    context = inputs.make_context(database, tmp_path, limits=limits)

    (problem,) = refuse(context, make_line(1) + make_line(1, body_user="x" * 1000))

    assert (problem["code"], problem["line"]) == ("duplicate_custom_id", 2)


def test_one_request_too_many_fails_the_batch(database: Database, tmp_path: Path) -> None:
    context = inputs.make_context(database, tmp_path, limits=settings.Limits(max_batch_lines=3))
    exact = inputs.submit(context, b"".join(make_line(n) for n in range(3)))
    ingest.run(context, exact.id)
    assert makers.reload(database, exact).total == 3

    (problem,) = refuse(context, b"".join(make_line(n) for n in range(4)))

    assert (problem["code"], problem["line"]) == ("too_many_tasks", None)


def test_the_first_thousand_problems_are_listed_and_the_rest_counted(context: Context) -> None:
    problems = refuse(context, b"x\n" * 1500)

    assert len(problems) == 1001
    assert problems[-1]["code"] == "more_problems"
    assert "500" in problems[-1]["message"]


@pytest.mark.parametrize("case", ["unknown", "foreign", "expired", "bytes gone"])
def test_a_file_that_the_tenant_may_not_use_fails_the_batch(context: Context, case: str) -> None:
    keys.create(context.db, "n", "other")
    cases: dict[str, dict[str, Any]] = {
        "foreign": {"tenant_id": "other"},
        "expired": {"expires_at": time.time() - 1},
    }
    changes = cases.get(case, {})
    file = inputs.add_input(context, make_line(1), **changes)
    if case == "bytes gone":
        (context.files / file.path).unlink()
    file_id = "file-nope" if case == "unknown" else file.id
    batch = makers.add_batch(context.db, input_file_id=file_id)

    ingest.run(context, batch.id)

    failed = makers.reload(context.db, batch)
    assert failed.status == "failed"
    assert failed.errors is not None
    (problem,) = failed.errors
    assert (problem["code"], problem["param"], problem["line"]) == (
        "invalid_request",
        "file_id",
        None,
    )
    assert problem["message"].startswith(f"Cannot find file {file_id}")


def test_a_completions_batch_needs_prompts(context: Context) -> None:
    endpoint = "/v1/completions"
    body = {"model": "m", "prompt": "once"}
    good = make_line(1, url=endpoint, body=body)
    batch = inputs.submit(context, good, endpoint=endpoint)
    ingest.run(context, batch.id)
    assert read_lines(context, batch)[0].request["prompt"] == "once"

    (problem,) = refuse(context, make_line(1, url=endpoint), endpoint=endpoint)

    assert (problem["code"], problem["param"]) == ("invalid_request", "body.prompt")


def test_a_batch_cancelled_before_its_check_gets_no_lines(context: Context) -> None:
    batch = inputs.submit(context, make_line(1))
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)

    ingest.run(context, batch.id)

    assert read_lines(context, batch) == []
    assert makers.reload(context.db, batch).status == "cancelling"


def test_the_rest_of_a_cancelled_batch_is_stored_cancelled_so_that_counts_add_up(
    context: Context,
) -> None:
    batch = inputs.submit(context, b"".join(make_line(n) for n in range(10)))
    batches.accept(context.db, batch.id, model="m", total=10)
    batches.add_lines(context.db, batch, makers.make_lines([1, 2, 3]), last_line=3)
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)

    ingest.run(context, batch.id)

    found = makers.reload(context.db, batch)
    assert {job.state for job in read_lines(context, batch)} == {"cancelled"}
    assert (found.total, found.completed, found.failed) == (10, 0, 10)


def test_deleting_the_input_file_in_the_middle_loses_no_line(context: Context) -> None:
    file = inputs.add_input(context, b"".join(make_line(n) for n in range(5)))
    batch = makers.add_batch(context.db, input_file_id=file.id)
    killed_after(context, batch, pieces=0)
    files.delete(context.db, DEFAULT_TENANT, file.id)
    (context.files / file.path).unlink()

    ingest.run(context, batch.id)

    assert len(read_lines(context, batch)) == 5
    assert list(context.files.iterdir()) == []


def test_bytes_that_are_lost_altogether_end_the_batch_with_what_was_read(
    context: Context,
) -> None:
    batch = makers.add_batch(context.db)
    batches.accept(context.db, batch.id, model="m", total=5)
    batches.add_lines(context.db, batch, makers.make_lines([1, 2]), last_line=2)

    ingest.run(context, batch.id)

    found = makers.reload(context.db, batch)
    assert (found.status, found.total) == ("in_progress", 2)
    assert found.errors is not None
    assert found.errors[0]["code"] == "input_lost"


def test_a_line_that_was_changed_after_the_check_fails_alone(context: Context) -> None:
    file = inputs.add_input(context, make_line(1) + make_line(2))
    batch = makers.add_batch(context.db, input_file_id=file.id)
    batches.accept(context.db, batch.id, model="m", total=2)
    (context.files / file.path).write_bytes(b"garbage\n" + make_line(2))

    ingest.run(context, batch.id)

    one, two = read_lines(context, batch)
    assert one.error is not None
    assert (one.error["code"], two.state) == ("internal_error", "queued")


@pytest.mark.parametrize("changes", [{}, {"body_temperature": 0}])
def test_a_line_that_cannot_be_stored_fails_alone(
    context: Context, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Whatever the checks of a body overlook; here they add half a surrogate pair."""
    parse = generation.parse

    def parse_badly(body: Any, **options: Any) -> dict[str, Any]:
        return parse(body, **options) | ({"user": "\ud800"} if "hi 2" in str(body) else {})

    monkeypatch.setattr(generation, "parse", parse_badly)
    content = b"".join(make_line(n, **changes) for n in (1, 2, 3))
    batch = inputs.submit(context, content)

    ingest.run(context, batch.id)

    one, two, three = read_lines(context, batch)
    assert (one.state, two.state, three.state) == ("queued", "failed", "queued")
    assert two.error is not None
    assert (two.error["code"], two.custom_id, two.request) == ("internal_error", "c2", {})
    assert makers.reload(context.db, batch).lines_ingested == 3


def test_every_kind_of_bad_line_has_a_text_in_every_language() -> None:
    source = Path(lines.__file__).read_text() + Path(ingest.__file__).read_text()
    named = set(re.findall(r'BadLine\(\s*"(\w+)"', source)) - {"invalid_request"}
    keys = named | set(re.findall(r'text=f?"(\w+)"', source))

    assert len(keys) > 15
    for locale in settings.LOCALES:
        texts = locales.texts(locale)
        assert {key for key in keys if f"ingest.{key}" not in texts} == set()


def test_an_unknown_batch_is_nobodys_error(context: Context) -> None:
    assert ingest.run(context, "batch_nope") == {"status": "unknown"}


def start_ingest(context: Context, batch: Batch, *options: str) -> subprocess.Popen[bytes]:
    """Ingest in a process of its own."""
    here = Path(__file__).parent
    script, folder = str(here / "run_ingest.py"), str(context.settings.data_dir)
    command = [sys.executable, script, str(context.db.url), folder, batch.id, *options]
    paths = f"{here}:{here.parent.parent}"
    return subprocess.Popen(command, env=settings.child_environ(PYTHONPATH=paths))


def killed_after(context: Context, batch: Batch, pieces: int) -> None:
    """Runs ingest in a process of its own that dies by SIGKILL after some pieces."""
    process = start_ingest(context, batch, str(pieces))
    assert process.wait(150) == -signal.SIGKILL


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_kill_at_any_piece_loses_and_doubles_no_line(context: Context, pieces: int) -> None:
    batch = inputs.submit(context, (make_line(n) for n in range(3300)))
    killed_after(context, batch, pieces)
    before = makers.reload(context.db, batch)
    assert (before.status, before.lines_ingested) == ("in_progress", pieces * 1000)

    ingest.run(context, batch.id)

    lines = read_lines(context, batch)
    assert [job.line_no for job in lines] == list(range(1, 3301))
    assert [job.custom_id for job in lines] == [f"c{n}" for n in range(3300)]
    assert makers.reload(context.db, batch).lines_ingested == 3300


def test_a_kill_by_the_clock_loses_and_doubles_no_line(context: Context) -> None:
    batch = inputs.submit(context, (make_line(n) for n in range(8000)))
    process = start_ingest(context, batch, "slowly")
    deadline = time.monotonic() + 120
    while makers.reload(context.db, batch).lines_ingested < 2000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert makers.reload(context.db, batch).lines_ingested < 8000

    ingest.run(context, batch.id)

    assert [job.line_no for job in read_lines(context, batch)] == list(range(1, 8001))


def test_memory_does_not_grow_with_the_file(context: Context) -> None:
    def peak(num_lines: int) -> int:
        batch = inputs.submit(
            context, (make_line(n, body_user="x" * 500) for n in range(num_lines))
        )
        tracemalloc.start()
        ingest.run(context, batch.id)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    small, large = peak(2_000), peak(12_000)

    assert large < small + 2_000_000  # 10,000 more lines are 8 MB; their hashes take 1 MB


@pytest.mark.parametrize(
    ("endpoint", "changes", "code", "param"),
    [
        (
            makers.ENDPOINT,
            {"body_response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
            "schema_invalid",
            "response_format.json_schema.schema",
        ),
        (makers.ENDPOINT, {"body_guided_json": {}}, "schema_invalid", "guided_json"),
        (makers.ENDPOINT, {"body_guided_regex": "("}, "grammar_failed", "guided_regex"),
        (
            "/v1/responses",
            {"body_text": {"format": {"type": "json_schema", "name": "s"}}},
            "schema_invalid",
            "text.format.schema",
        ),
    ],
)
def test_a_line_whose_guide_cannot_be_used_fails_alone_and_early(
    context: Context, endpoint: str, changes: dict[str, Any], code: str, param: str
) -> None:
    plain: dict[str, Any] = {"url": endpoint}
    if endpoint == "/v1/responses":
        plain |= {"body_messages": None, "body_input": "hi"}
    bad = _put_schema(changes, {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}})
    content = [_make_plain(1, plain), _make_plain(2, plain | bad), _make_plain(3, plain)]
    batch = inputs.submit(context, b"".join(content), endpoint=endpoint)

    ingest.run(context, batch.id)

    first, second, third = read_lines(context, batch)
    assert (first.state, second.state, third.state) == ("queued", "failed", "queued")
    assert second.error is not None
    assert (second.error["code"], second.error["param"]) == (code, param)


def _make_plain(number: int, changes: dict[str, Any]) -> bytes:
    record = json.loads(make_line(number, **changes))
    record["body"] = {name: value for name, value in record["body"].items() if value is not None}
    return json.dumps(record).encode() + b"\n"


def _put_schema(changes: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The same with the schema where this way of asking has it."""
    changed: dict[str, Any] = json.loads(json.dumps(changes))
    for name, value in changed.items():
        if name == "body_response_format":
            value["json_schema"]["schema"] = schema
        elif name == "body_text":
            value["format"]["schema"] = schema
        elif name == "body_guided_json":
            changed[name] = schema
    return changed
