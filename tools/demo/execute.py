"""Runs answers in a process of their own: no network code, no files, little time and memory."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 5.0
_RUNNER = Path(__file__).with_name("sandbox.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Check:
    """One call, made when answer number `turn` has been run, and what it must return.

    `name` says which function; without it the last one that this answer defines is called.
    """

    args: tuple[Any, ...]
    value: Any
    turn: int = -1
    name: str | None = None


def find_fault(answers: list[str], checks: list[Check]) -> str | None:
    """What is wrong with the answers of a conversation, or None when every check holds."""
    job = json.dumps({"answers": answers, "checks": [vars(check) for check in checks]})
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _RUNNER],
                input=job,
                capture_output=True,
                text=True,
                cwd=folder,
                env={},
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "too slow"
    return (
        None if done.stdout == "right\n" else (done.stdout + done.stderr).strip()[-200:] or "died"
    )
