"""The parent's side of a method: its process, and what it answers."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app import settings
from bench.shapes import Shape
from bench.workloads import Job

_LOGS = Path("var/bench/logs")

MODULES = {
    "generate": "bench.methods.generate",
    "static": "bench.methods.static",
    "transformers_cb": "bench.methods.continuous",
    "ours": "bench.methods.bare",
    "ours_unshared": "bench.methods.bare",
    "vllm": "bench.methods.vllm",
}


@dataclass(frozen=True)
class Answer:
    """What one run took. `digest` is the same for the same tokens in the same order."""

    seconds: float
    tokens: int
    digest: str = ""


class Method(Protocol):
    """Something that can run jobs while everything else stands still."""

    versions: dict[str, str]

    def run(self, jobs: Sequence[Job]) -> Answer: ...


class Child:
    """A method in a process of its own, with one thread for each core; between runs it waits."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        self.versions: dict[str, str] = self._read()

    def run(self, jobs: Sequence[Job]) -> Answer:
        """Raises RuntimeError where it died or made another number of tokens."""
        assert self._process.stdin is not None
        lines = [[list(job.prompt), job.answer] for job in jobs]
        self._process.stdin.write(json.dumps(lines) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if error := answer.get("error"):
            raise RuntimeError(error)
        return Answer(**answer)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of this method has died: see {self._log}")
        return dict(json.loads(line))


@contextlib.contextmanager
def start(
    method: str, shape: Shape, options: dict[str, Any], *, python: str | None = None
) -> Iterator[Child]:
    """The process of a method; `python` is the interpreter of a peer's own environment."""
    _LOGS.mkdir(parents=True, exist_ok=True)
    log = _LOGS / f"{method}.log"
    arguments = [str(shape.path), shape.dtype, json.dumps(options)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [python or sys.executable, "-m", MODULES[method], *arguments],
            env=settings.child_environ(OMP_NUM_THREADS=str(len(os.sched_getaffinity(0)))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )
    try:
        yield Child(process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
