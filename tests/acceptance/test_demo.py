"""`make demo`: the whole way of a job in one command, on the shipped model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import settings

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_demo_answers_its_examples_in_order_shows_sessions_and_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "demo"

    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo", "--folder", str(folder)],
        cwd=ROOT,
        env=settings.child_environ(LANG="en_US.UTF-8", LC_ALL="en_US.UTF-8"),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    asked, answered = (
        read_jsonl(ROOT / "examples/batch.jsonl"),
        read_jsonl(folder / "results.jsonl"),
    )
    assert [each["custom_id"] for each in answered] == [each["custom_id"] for each in asked]
    assert all(each["response"]["status_code"] == 200 for each in answered)
    for line in asked:
        assert line["body"]["messages"][-1]["content"] in done.stdout
    assert done.stderr.count("A session in") == 3
    left = [each for each in psutil.process_iter(["cmdline"]) if str(folder) in str(each.info)]
    assert not left


def test_the_demo_says_where_the_logs_are_when_the_service_cannot_start(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo", "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        env=settings.child_environ(LANG="en_US.UTF-8", AUTOGLM_SERVER__THREADS="none"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 1
    assert str(tmp_path / "demo") in done.stderr
    assert "AUTOGLM_SERVER__THREADS" in (tmp_path / "demo" / "up.log").read_text()
