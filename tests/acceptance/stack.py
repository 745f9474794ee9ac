"""The whole service as a user starts it: `autoglm up` on free loopback ports."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from app import settings
from app.models.database import Database
from app.stack import ports
from tests.integration.workplace import is_running, read_lines, wait_for

START_SECONDS = 300.0
ENGLISH = {"Accept-Language": "en"}


class Stack:
    """One `autoglm up`. `folder` holds its data directory, its configuration and its own log."""

    def __init__(self, folder: Path, config: dict[str, Any], *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data_dir = folder / "data"
        self.log = folder / "up.log"
        self.port, self.flower_port = ports.find_free(), ports.find_free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.flower_url = f"http://127.0.0.1:{self.flower_port}"
        self._config = folder / "config.json"
        self._config.write_text(json.dumps(config))
        self._options = options
        self.http = httpx.Client(base_url=self.url, headers=ENGLISH, timeout=100, trust_env=False)

    def start(self, **environ: str) -> None:
        """Starts it where it may leave nothing: home, temporary files and working directory are
        empty folders of its own."""
        self.outside = {name: self.folder / name.lower() for name in ("HOME", "TMPDIR", "CWD")}
        for path in self.outside.values():
            path.mkdir(exist_ok=True)
        places = {name: str(path) for name, path in self.outside.items()}
        self.process = launch(self.log, self.arguments, **places | environ)

    @property
    def arguments(self) -> list[str]:
        own = ["--config", str(self._config), "--data-dir", str(self.data_dir)]
        given = ["--port", str(self.port), "--flower-port", str(self.flower_port)]
        return [*own, *given, *self._options]

    def ask_health(self) -> httpx.Response | None:
        """The answer of /health; None while nobody listens."""
        try:
            return self.http.get("/health")
        except httpx.TransportError:
            return None

    def wait_healthy(self, seconds: float = START_SECONDS) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            answer = self.ask_health()
            return answer is not None and answer.status_code == 200

        wait_for(look, "/health 200", seconds)

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The supervisor's log lines of one action."""
        return read_lines(self.log, action)

    def read_log(self, name: str) -> str:
        """The log of one supervised process."""
        return (self.data_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def find_pid(self, name: str) -> int:
        """The process that the supervisor started last under this name."""
        return int(
            next(x["pid"] for x in reversed(self.lines("start_process")) if x["name_of"] == name)
        )

    def list_pids(self) -> set[int]:
        """Every process of this service, the supervisor too."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            return {root.pid, *(each.pid for each in root.children(recursive=True))}
        return set()

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=headers)

    def submit(self, **body: Any) -> str:
        """Submits a job; its id."""
        answer = self.post("/v1/jobs", {"model": "fake", "prompt": "hi"} | body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def read_job(self, job_id: str, *, wait: int = 0) -> dict[str, Any]:
        return dict(
            self.http.get(f"/v1/jobs/{job_id}", params={"wait": wait} if wait else {}).json()
        )

    def database(self) -> Database:
        return Database(f"sqlite:///{self.data_dir / 'autoglm.db'}")

    def interrupt(self, seconds: float = 120.0) -> int:
        """Ctrl-C; asserts that nothing is left running. The exit status."""
        before = self.list_pids()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(seconds)
        assert not [pid for pid in before if is_running(pid)]
        return status

    def end(self) -> None:
        """Leaves nothing, whatever happened."""
        self.http.close()
        for pid in self.list_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def launch(log: Path, arguments: Sequence[str], **environ: str) -> subprocess.Popen[bytes]:
    """Starts `autoglm up` in a session of its own."""
    english = {"LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8", "OMP_NUM_THREADS": "1"}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", *arguments],
            cwd=environ.pop("CWD", None),
            env=settings.child_environ(**english, **environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def try_launch(log: Path, arguments: Sequence[str], **environ: str) -> int | None:
    """The exit status of an `autoglm up` that should refuse; None, and it is ended, if it runs."""
    process = launch(log, arguments, **environ)
    try:
        return process.wait(120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(120)
        return None


@contextlib.contextmanager
def running(folder: Path, config: dict[str, Any], *options: str, **environ: str) -> Iterator[Stack]:
    stack = Stack(folder, config, *options)
    stack.start(**environ)
    try:
        yield stack
    finally:
        stack.end()


def fake_config(*, worker: dict[str, Any] | None = None, **fake: Any) -> dict[str, Any]:
    """A configuration with one fake model and quick pulses."""
    quick = {"pulse_seconds": 0.3, "lease_seconds": 10, "sweep_seconds": 0.5, "shift_seconds": 5}
    return {
        "models": {"fake": {"backend": "fake", "max_sequences": 8, "fake": fake}},
        "worker": quick | (worker or {}),
        "devices": ["cpu"],
    }
