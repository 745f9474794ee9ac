"""Finalize: output and error files from the rows, in input order, whole or not at all."""

import hashlib
import json
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.models import batches, claims, files, jobs, sweeps
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from app.workers import finalize, ingest
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


def read_file(context: Context, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    file = files.get(context.db, DEFAULT_TENANT, file_id)
    content = (context.files / file.path).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    assert file.purpose == "batch_output"
    return [json.loads(line) for line in content.splitlines()]


def ended_batch(context: Context, num_good: int, num_bad: int = 0, **changes: Any) -> Batch:
    """A batch whose good lines succeeded and whose bad ones failed, alternating as they can."""
    good = [make_line(n) for n in range(num_good)]
    bad = [make_line(f"bad{n}", body_temperature=9) for n in range(num_bad)]
    batch = inputs.submit(context, b"".join(good + bad), **changes)
    ingest.run(context, batch.id)
    inputs.settle_all(context)
    return makers.reload(context.db, batch)


def test_succeeded_lines_are_written_in_input_order_and_failed_ones_apart(
    context: Context,
) -> None:
    batch = ended_batch(context, 3, 2)

    summary = finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    output, errors = (read_file(context, i) for i in (done.output_file_id, done.error_file_id))
    assert (done.status, summary["lines"], summary["errors"]) == ("completed", 3, 2)
    assert [line["custom_id"] for line in output] == ["c0", "c1", "c2"]
    assert [line["custom_id"] for line in errors] == ["cbad0", "cbad1"]
    answer = output[0]["response"]
    assert (answer["status_code"], output[0]["error"]) == (200, None)
    assert answer["body"]["choices"][0]["message"]["content"] == "re c0"
    assert errors[0]["response"]["body"]["error"]["code"] == "out_of_range"
    assert done.finalizing_at is not None
    assert done.completed_at is not None


def test_a_clean_batch_has_no_error_file_and_a_failed_one_no_output(context: Context) -> None:
    clean, failed = ended_batch(context, 1), ended_batch(context, 0, 1)

    for batch in (clean, failed):
        finalize.run(context, batch.id)

    clean, failed = (makers.reload(context.db, batch) for batch in (clean, failed))
    assert (clean.status, clean.error_file_id) == ("completed", None)
    assert (failed.status, failed.output_file_id) == ("completed", None)
    assert clean.output_file_id is not None
    assert failed.error_file_id is not None


def test_a_batch_whose_lines_still_run_is_left_alone(context: Context) -> None:
    batch = inputs.submit(context, make_line(1))

    assert finalize.run(context, batch.id) == {"status": "not ready"}
    ingest.run(context, batch.id)
    assert finalize.run(context, batch.id) == {"status": "not ready"}

    assert makers.reload(context.db, batch).status == "in_progress"
    assert finalize.run(context, "batch_nope") == {"status": "not ready"}


def test_lines_that_ran_out_of_time_are_in_the_error_file_and_the_batch_is_expired(
    context: Context,
) -> None:
    batch = inputs.submit(context, make_line(1) + make_line(2))
    ingest.run(context, batch.id)
    (held,) = makers.take(context.db, makers.add_worker(context.db), limit=1)
    claims.settle(context.db, [makers.succeed(held)])
    makers.age(context.db, "jobs", "expires_at", 1)
    sweeps.expire_overdue(context.db)

    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    assert (done.status, done.expired_at is not None) == ("expired", True)
    assert [line["custom_id"] for line in read_file(context, done.output_file_id)] == ["c1"]
    (line,) = read_file(context, done.error_file_id)
    assert (line["response"], line["error"]["code"]) == (None, "batch_expired")
    assert line["error"]["message"].startswith("This request could not be executed")


def test_a_cancelled_batch_keeps_what_was_done(context: Context) -> None:
    """Of what is not done, a text tells whether it had begun."""
    batch = inputs.submit(context, b"".join(map(make_line, range(1, 5))))
    ingest.run(context, batch.id)
    held = makers.take(context.db, makers.add_worker(context.db), limit=3)
    claims.settle(context.db, [makers.succeed(held[0])])
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)
    claims.settle(context.db, [makers.succeed(held[1])])
    claims.release(context.db, [(held[2].id, held[2].attempt)])

    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    assert done.status == "cancelled"
    kept = read_file(context, done.output_file_id)
    assert [line["custom_id"] for line in kept] == ["c1", "c2"]
    errors = [line["error"] for line in read_file(context, done.error_file_id)]
    assert [error["code"] for error in errors] == ["batch_cancelled"] * 2
    assert "had begun" in errors[0]["message"]
    assert "was not executed" in errors[1]["message"]


def test_a_line_that_was_cancelled_alone_does_not_blame_its_batch(context: Context) -> None:
    batch = inputs.submit(context, b"".join(map(make_line, range(1, 4))))
    ingest.run(context, batch.id)
    (held,) = makers.take(context.db, makers.add_worker(context.db), limit=1)
    waiting = jobs.list_lines(context.db, batch.id, after_line=1, limit=1)[0]
    for job in (held, waiting):
        jobs.cancel(context.db, batch.tenant_id, job.id)
    claims.settle(context.db, [makers.succeed(held)])
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)

    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    errors = [line["error"] for line in read_file(context, done.error_file_id)]
    assert [each["code"] for each in errors] == ["job_cancelled"] * 2 + ["batch_cancelled"]
    assert waiting.id in errors[1]["message"]


def test_a_batch_cancelled_before_it_had_lines_ends_without_files(context: Context) -> None:
    batch = inputs.submit(context, make_line(1))
    batches.cancel(context.db, DEFAULT_TENANT, batch.id)

    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    assert (done.status, done.output_file_id, done.error_file_id) == ("cancelled", None, None)


def test_a_cancellation_that_comes_while_files_are_written_wins(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ended_batch(context, 2)
    list_lines = jobs.list_lines

    def cancel_first(*args: Any, **options: Any) -> Any:
        batches.cancel(context.db, DEFAULT_TENANT, batch.id)
        return list_lines(*args, **options)

    monkeypatch.setattr(jobs, "list_lines", cancel_first)
    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    assert done.status == "cancelled"
    assert len(read_file(context, done.output_file_id)) == 2


def test_finalizing_that_was_interrupted_is_repeated_without_a_trace(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ended_batch(context, 2, 1)
    monkeypatch.setattr(batches, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        finalize.run(context, batch.id)
    monkeypatch.undo()
    assert makers.reload(context.db, batch).status == "finalizing"
    before = sorted(path.name for path in context.files.iterdir())

    finalize.run(context, batch.id)

    done = makers.reload(context.db, batch)
    assert done.status == "completed"
    assert sorted(path.name for path in context.files.iterdir()) == before
    assert len(read_file(context, done.output_file_id)) == 2


def interrupt(*_args: Any, **_options: Any) -> bool:
    raise KeyboardInterrupt


def test_a_write_that_fails_leaves_nothing_behind(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ended_batch(context, 2)
    before = sorted(context.files.iterdir())

    def fill_disk(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_disk)
    with pytest.raises(OSError, match="No space"):
        finalize.run(context, batch.id)

    assert sorted(context.files.iterdir()) == before
    assert makers.reload(context.db, batch).output_file_id is None


def test_two_finalizers_at_once_make_one_pair_of_files(context: Context) -> None:
    batch = ended_batch(context, 300, 3)
    barrier = threading.Barrier(3)

    def run(_: int) -> None:
        barrier.wait()
        finalize.run(context, batch.id)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))

    done = makers.reload(context.db, batch)
    assert done.status == "completed"
    assert len(read_file(context, done.output_file_id)) == 300
    outputs, _ = files.list_page(context.db, DEFAULT_TENANT, limit=9, purpose="batch_output")
    assert len(outputs) == 2
    assert not list(context.files.glob("*.part"))


@pytest.mark.parametrize(("seconds", "expected"), [(7200, 7200), (None, 30 * 86_400)])
def test_result_files_expire_as_asked_for_or_with_the_retention(
    context: Context, seconds: int | None, expected: int
) -> None:
    batch = ended_batch(context, 1, output_expires_seconds=seconds)

    finalize.run(context, batch.id)

    file_id = makers.reload(context.db, batch).output_file_id
    assert file_id is not None
    file = files.get(context.db, DEFAULT_TENANT, file_id)
    assert file.expires_at == pytest.approx(time.time() + expected, abs=60)


def test_memory_does_not_grow_with_the_number_of_lines(context: Context) -> None:
    def peak(num_lines: int) -> int:
        batch = ended_batch(context, num_lines)
        tracemalloc.start()
        finalize.run(context, batch.id)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    small, large = peak(1000), peak(6000)

    assert large < small + 300_000  # 5,000 more lines are 3 MB
