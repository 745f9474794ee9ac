"""A batch file as the control process stores it: beginnings together, identical lines once."""

import json
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.models import batches, claims, jobs, manifests
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Job
from app.workers import finalize, ingest
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration


def make_lines(*contents: str, **changes: Any) -> bytes:
    told = ([{"role": "user", "content": content}] for content in contents)
    return b"".join(
        make_line(number, body_messages=messages, **changes)
        for number, messages in enumerate(told, 1)
    )


def take(context: Context) -> list[Job]:
    return makers.take(context.db, makers.add_worker(context.db))


def test_lines_with_common_beginnings_are_claimed_together(
    database: Database, tmp_path: Path
) -> None:
    context = inputs.make_context(database, tmp_path)
    shared = ["a" * 200, "b" * 200]
    content = make_lines(*(shared[n % 2] + f" own {n}" for n in range(8)))
    ingest.run(context, inputs.submit(context, content).id)

    numbers = [(job.line_no or 0) % 2 for job in take(context)]

    assert sorted(numbers[:4]) in ([0] * 4, [1] * 4)
    assert len(set(numbers)) == 2


def test_without_the_settings_lines_run_in_file_order_each_by_itself(
    database: Database, tmp_path: Path
) -> None:
    options = settings.Batches(group_prefixes=False, reuse_answers=False)
    context = inputs.make_context(database, tmp_path, batches=options)
    content = make_lines("z" * 99, "b", "z" * 99, "b", "a", body_temperature=0)
    ingest.run(context, inputs.submit(context, content).id)

    assert [job.line_no for job in take(context)] == [1, 2, 3, 4, 5]


def test_the_files_show_whose_answer_a_line_has_and_keep_the_order_of_the_input(
    database: Database, tmp_path: Path
) -> None:
    context = inputs.make_context(database, tmp_path)
    content = make_lines("b", "same", "a", "same", body_temperature=0)
    batch = inputs.submit(context, content)
    ingest.run(context, batch.id)

    taken = take(context)
    claims.settle(database, [makers.succeed(job, f"re {job.line_no}") for job in taken])
    assert finalize.run(context, batch.id)["status"] == "completed"

    output = read_output(context, batch.id)
    bodies = [line["response"]["body"] for line in output]
    assert [line["custom_id"] for line in output] == ["c1", "c2", "c3", "c4"]
    texts = [body["choices"][0]["message"]["content"] for body in bodies]
    assert texts == ["re 1", "re 2", "re 3", "re 2"]
    assert ["reused_from" in body for body in bodies] == [False, False, False, True]
    second, fourth = output[1], output[3]
    assert bodies[3]["reused_from"] == {
        "custom_id": "c2",
        "job_id": second["id"].replace("batch_req_", "job_"),
        "request_id": second["response"]["request_id"],
    }
    assert bodies[3]["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    ids = [line["id"] for line in output] + [body["id"] for body in bodies]
    assert len({*ids, second["response"]["request_id"], fourth["response"]["request_id"]}) == 10
    check_manifest(context, batch.id, output)


def read_output(context: Context, batch_id: str) -> list[dict[str, Any]]:
    batch = batches.find(context.db, batch_id)
    assert batch is not None
    assert batch.output_file_id is not None
    name = batch.output_file_id.removeprefix("file-")
    return [json.loads(line) for line in (context.files / name).read_text().splitlines()]


def check_manifest(context: Context, batch_id: str, output: list[dict[str, Any]]) -> None:
    manifest = manifests.read(context.db, DEFAULT_TENANT, batch_id)
    assert sum(origin["answers"] for origin in manifest["origins"]) == len(output)


def test_a_control_process_that_dies_between_pieces_still_finds_the_twins(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = inputs.make_context(database, tmp_path)
    batch = inputs.submit(context, make_lines(*["same"] * 5, body_seed=1))
    monkeypatch.setattr(ingest, "_PIECE_LINES", 2)
    add_lines, calls = batches.add_lines, []

    def die_later(*args: Any, **named: Any) -> bool:
        calls.append(named)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return add_lines(*args, **named)

    monkeypatch.setattr(batches, "add_lines", die_later)
    with pytest.raises(KeyboardInterrupt):
        ingest.run(context, batch.id)
    (first,) = take(context)
    claims.settle(database, [makers.succeed(first)])
    ingest.run(context, batch.id)

    lines = jobs.list_lines(database, batch.id, after_line=0, limit=9)
    assert [job.state for job in lines] == ["succeeded"] * 5
    assert take(context) == []
