"""Tables and files of `autoglm batches`."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.batches import output, tables


def make_attempt(number: int, outcome: str, evidence: dict[str, Any] | None) -> dict[str, Any]:
    times = {"claimed_at": 1.0, "ended_at": 2.0}
    return {
        "attempt": number,
        "slot": "here/cpu:0",
        "outcome": outcome,
        **times,
        "evidence": evidence,
    }


def test_a_line_shows_what_each_dead_worker_left(capsys: pytest.CaptureFixture[str]) -> None:
    left = {
        "cause": "hang",
        "stacks": "Thread 1:\n  File app/x.py, line 3 in step\x1b[2J",
        "log": [{"level": "INFO", "message": "Step 7 began."}],
    }
    attempts = [make_attempt(1, "crashed", left), make_attempt(2, "succeeded", None)]
    line = {"line": 4, "custom_id": "c", "status": "succeeded", "job_id": "job_1", "crashes": 1}

    tables.show_line(line | {"attempts": attempts})

    shown = capsys.readouterr().out
    assert "Attempt 1 ended with its worker: a step did not end. Left behind:" in shown
    assert "    File app/x.py, line 3 in step?[2J\n" in shown
    assert "  Step 7 began.\n" in shown
    assert "Attempt 2" not in shown


def test_a_result_is_one_line_for_every_reader(tmp_path: Path) -> None:
    line = {"cursor": "1", "text": "a\u2028b\x85c\u2029d"}
    path = tmp_path / "out.jsonl"

    assert output.write(iter([line]), path) == 1

    assert list(map(json.loads, path.read_text(encoding="utf-8").splitlines())) == [line]
