"""Real worker and control processes over a real database and a real Redis."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
import sqlalchemy as sa

from app import queue, settings
from app.models import jobs, workers
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import TERMINAL
from app.wire.rows import Job, NewJob, Worker
from app.workers.context import Context

T = TypeVar("T")
MODEL = "fake"
HOST = "here"
WAIT_SECONDS = 300.0  # a busy machine starts a program in minutes
WAYS = ("SIGTERM to the parent", "SIGTERM to the group", "SIGTERM twice", "SIGQUIT")
FAST = settings.Worker(
    host=HOST,
    shift_seconds=5.0,
    pulse_seconds=0.2,
    lease_seconds=8.0,  # a busy machine keeps a pulse waiting for seconds
    sweep_seconds=0.3,
    load_backoff_seconds=0.2,
)


def wait_for(
    look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS, *, every: float = 0.05
) -> T:
    """The first true answer of `look`, asked `every` so many seconds."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)
    return found


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def read_lines(log: Path, action: str) -> list[dict[str, Any]]:
    """The JSON lines of one action in a log."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("action") == action:
                found.append(entry)
    return found


def fake_model(name: str = MODEL, *, path: str | None = None, slots: int = 8, **fake: Any) -> Any:
    """A model of the fake engine."""
    return settings.Model(
        name,
        backend="fake",
        path=path,
        max_sequences=slots,
        max_context=fake.pop("max_context", None),
        fake=settings.Fake(**fake),
    )


class Program:
    """One `autoglm` process in a session of its own; its log is JSON lines. `script` is what
    Python runs as `autoglm`, from `cwd`; `prefix` is put before."""

    def __init__(
        self,
        command: Sequence[str],
        environ: dict[str, str],
        log: Path,
        script: Sequence[str] = ("-m", "app.cli"),
        cwd: str | Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, *script, *command],
                env=settings.child_environ(**environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The log lines of one action."""
        return read_lines(self._log, action)

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """The exit status."""
        return self.process.wait(seconds)

    def stop_by(self, way: str) -> None:
        """One of WAYS, or SIGTERM."""
        if way == "SIGTERM to the group":
            os.killpg(self.pid, signal.SIGTERM)
            return
        self.process.send_signal(signal.SIGQUIT if way == "SIGQUIT" else signal.SIGTERM)
        if way == "SIGTERM twice":
            time.sleep(0.2)
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Leaves nothing of the session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class Workplace:
    """One store, one Redis, one configuration; `close` ends every process that was started."""

    def __init__(self, db: Database, redis_url: str, folder: Path, **changes: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.model = MODEL
        self.db = db
        self.folder = folder
        url = changes.pop("url", db.url.render_as_string(hide_password=False))
        limit = changes.pop("statement_timeout_seconds", 30.0)
        self.settings = settings.Settings(
            models=changes.pop("models", (fake_model(),)),
            server=changes.pop("server", settings.Server()),
            webhooks=changes.pop("webhooks", settings.Webhooks()),
            worker=dataclasses.replace(FAST, **changes),
            redis=settings.Redis(redis_url),
            database=settings.Database(url=url, statement_timeout_seconds=limit),
            data_dir=folder,
        )
        self.app = queue.make_app(redis_url)
        self.context = Context(db, self.settings, self.app)
        self.programs: list[Program] = []

    def close(self) -> None:
        for program in self.programs:
            program.end()
        self.app.close()

    def start(
        self,
        *command: str,
        script: Sequence[str] = ("-m", "app.cli"),
        cwd: str | Path | None = None,
        **environ: str,
    ) -> Program:
        """Starts an `autoglm` command; `cwd` is where Python finds the program."""
        log = self.folder / f"{command[0]}-{len(self.programs)}.log"
        given = settings.environment(self.settings) | environ
        program = Program(command, given, log, script, cwd)
        self.programs.append(program)
        return program

    def start_worker(self, device: str = "cpu:0", **environ: str) -> Program:
        return self.start("worker", "--device", device, **environ)

    def start_control(self) -> Program:
        return self.start("control")

    def row(self, device: str = "cpu:0") -> Worker | None:
        return workers.get(self.db, f"{self.settings.worker.host}/{device}")

    def wait_row(self, device: str = "cpu:0", *, epoch: int = 1) -> Worker:
        """The worker's row once it has this epoch."""

        def look() -> Worker | None:
            row = self.row(device)
            return row if row and row.epoch == epoch else None

        return wait_for(look, f"epoch {epoch}")

    def wait_idle(self, device: str = "cpu:0") -> Worker:
        """The worker's row once nothing runs, by a pulse that came after this was asked."""
        asked = time.time()

        def look() -> Worker | None:
            row = self.wait_ready(device)
            is_idle = row.in_flight == 0 and not row.in_shift
            return row if is_idle and row.pulsed_at > asked else None

        return wait_for(look, "an idle worker")

    def wait_ready(self, device: str = "cpu:0", *, beyond: int = 0) -> Worker:
        """The worker's row once it is ready, under an epoch above `beyond`."""

        def look() -> Worker | None:
            row = self.row(device)
            return row if row and row.state == "ready" and row.epoch > beyond else None

        return wait_for(look, "a ready worker")

    def add(self, prompt: str = "hi", *, max_tokens: int = 8, **changes: Any) -> Job:
        """Stores a job and tells nobody."""
        request = {
            "messages": [{"role": "user", "content": prompt}],
            "sampling": {"max_tokens": max_tokens, "ignore_eos": True},
        }
        fields = {
            "tenant_id": DEFAULT_TENANT,
            "key_id": None,
            "model": self.model,
            "request": request,
        }
        return jobs.create(self.db, NewJob(**(fields | changes)))[0]

    def hint(self, made: Sequence[Job] = ()) -> None:
        assert self.context.hint(self.model, [job.id for job in made])

    def get(self, job: Job) -> Job:
        return jobs.get(self.db, DEFAULT_TENANT, job.id)

    def wait_running(self, *made: Job) -> None:
        wait_for(lambda: all(self.get(job).state == "running" for job in made), "running jobs")

    def wait_ended(self, *made: Job, seconds: float = WAIT_SECONDS) -> list[Job]:
        """The jobs in their terminal states."""

        def look() -> list[Job] | None:
            found = [self.get(job) for job in made]
            return found if all(job.state in TERMINAL for job in found) else None

        return wait_for(look, "ended jobs", seconds)

    def states(self, *made: Job) -> list[str]:
        return [self.get(job).state for job in made]

    def count(self, question: str, **values: Any) -> int:
        """The number that one SQL question gives."""
        with self.db.read() as tx:
            return int(tx.execute(sa.text(question), values).scalar_one())

    def count_attempts(self, job: Job, outcome: str) -> int:
        asked = "SELECT count(*) FROM attempts WHERE job_id = :job AND outcome = :outcome"
        return self.count(asked, job=job.id, outcome=outcome)


@contextlib.contextmanager
def opened(db: Database, redis_url: str, folder: Path, **changes: Any) -> Iterator[Workplace]:
    place = Workplace(db, redis_url, folder, **changes)
    try:
        yield place
    finally:
        place.close()
