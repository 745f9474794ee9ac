"""A file of 300 lines survives kill -9 of every part of the service, one after another."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.models import workers
from app.models.database import Database
from app.wire.rows import Worker
from tests.acceptance.stack import Stack, fake_config, running
from tests.integration.workplace import is_running, wait_for

pytestmark = pytest.mark.acceptance
LINES = 300


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    config = fake_config(step_seconds=0.06, tokens_per_job=8, worker={"max_attempts": 6})
    with running(tmp_path / "stack", config) as made:
        made.wait_healthy()
        yield made


@pytest.fixture
def database(stack: Stack) -> Iterator[Database]:
    db = stack.database()
    yield db
    db.close()


def test_every_line_ends_with_one_result_although_each_part_is_killed(
    stack: Stack, database: Database, tmp_path: Path
):
    source, results = tmp_path / "input.jsonl", tmp_path / "results.jsonl"
    _write_lines(source)
    client = _submit(stack, source, results)

    _kill_child(stack, database)
    _kill_parent(stack, database)
    _kill_part(stack, database, "redis")
    _kill_part(stack, database, "api")

    assert client.wait(400) == 0, (tmp_path / "submit.log").read_text()
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert [each["custom_id"] for each in found] == [f"line-{n}" for n in range(LINES)]
    assert {each["response"]["status_code"] for each in found} == {200}
    assert {_content(each) for each in found} != {""}
    assert _count(database, "SELECT count(*) FROM results") == LINES
    assert _count(database, "SELECT count(*) FROM jobs WHERE state = 'succeeded'") == LINES
    assert _count(database, "SELECT count(*) FROM batches") == 1
    assert stack.interrupt() == 0


def _content(line: dict[str, Any]) -> str:
    return str(line["response"]["body"]["choices"][0]["message"]["content"])


def _write_lines(path: Path) -> None:
    with path.open("w") as out:
        for number in range(LINES):
            body = {"model": "fake", "messages": [{"role": "user", "content": f"line {number}"}]}
            line = {
                "custom_id": f"line-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body | {"max_tokens": 8},
            }
            out.write(json.dumps(line) + "\n")


def _submit(stack: Stack, source: Path, results: Path) -> subprocess.Popen[bytes]:
    command = ["submit", str(source), "-o", str(results), "--url", stack.url]
    with (source.parent / "submit.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", *command],
            env=settings.child_environ(),
            stdout=log,
            stderr=log,
        )


def _kill_child(stack: Stack, db: Database) -> None:
    before, parent = _wait_busy(db), stack.find_pid("worker-cpu-0")
    assert before.parent_pid == parent
    crashed = _count_crashed(db)

    _kill(before.pid)

    after = _wait_next(db, before)
    assert after.pid != before.pid
    assert after.parent_pid == parent
    assert _count_crashed(db) > crashed, "nothing was in flight"


def _kill_parent(stack: Stack, db: Database) -> None:
    before = _wait_busy(db)
    crashed = _count_crashed(db)

    _kill(before.parent_pid)

    _wait_restart(stack, "worker-cpu-0", before.parent_pid)
    after = _wait_next(db, before)
    assert not is_running(before.pid)
    assert after.parent_pid == stack.find_pid("worker-cpu-0") != before.parent_pid
    assert _count_crashed(db) > crashed, "nothing was in flight"


def _kill_part(stack: Stack, db: Database, name: str) -> None:
    _wait_busy(db)
    pid = stack.find_pid(name)

    _kill(pid)

    _wait_restart(stack, name, pid)
    assert _count_open(db) > 0, "the batch ended before"


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(pid), f"the end of {pid}", 60)


def _wait_restart(stack: Stack, name: str, pid: int) -> None:
    def is_noted() -> bool:
        died = [line for line in stack.lines("process_died") if line["pid"] == pid]
        return bool(died) and stack.find_pid(name) != pid

    wait_for(is_noted, f"the restart of {name}")
    assert is_running(stack.find_pid(name))


def _wait_busy(db: Database) -> Worker:
    """The worker while jobs are in its engine and more wait."""

    def look() -> Worker | None:
        rows = workers.list_all(db)
        is_busy = bool(rows) and rows[0].in_flight > 0 and rows[0].in_shift
        running = _count(db, "SELECT count(*) FROM jobs WHERE state = 'running'")
        return rows[0] if is_busy and running else None

    return wait_for(look, "jobs in flight")


def _wait_next(db: Database, before: Worker) -> Worker:
    def look() -> Worker | None:
        row = workers.get(db, before.slot)
        return row if row and row.epoch > before.epoch else None

    return wait_for(look, "the next incarnation")


def _count_crashed(db: Database) -> int:
    return _count(db, "SELECT count(*) FROM attempts WHERE outcome = 'crashed'")


def _count_open(db: Database) -> int:
    return _count(db, "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")


def _count(db: Database, question: str) -> int:
    with db.read() as tx:
        return int(tx.exec_driver_sql(question).scalar_one())
