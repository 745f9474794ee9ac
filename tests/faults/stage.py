"""The whole service as processes of its own, with a proxy before Redis and before PostgreSQL."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import redis
import sqlalchemy as sa

from app import settings
from app.errors import Unavailable
from app.models.database import Database
from app.stack import ports
from app.wire.rows import Worker
from tests.conftest import find_redis
from tests.faults.clocks import Clock
from tests.faults.toxics import Proxy
from tests.integration.workplace import Program, Workplace, fake_model, wait_for
from tests.postgres import running_postgres

T = TypeVar("T")
CONTROLS = ("control", "control-2")
STRUCK = ("cpu:0", "cpu:1", "cpu:2")  # whose workers and children are killed in turn
DEVICES = (*STRUCK, "cpu:3")  # the last one has jobs in flight while those start again
# Few sequences, of half a second: a death makes suspects of about a dozen jobs, each to
# be run alone, and an undisturbed load leaves the machine room for starting programs.
MODEL = fake_model(slots=6, max_context=4096, step_seconds=0.05)
LOOK_SECONDS = 0.25  # between looks for what takes a while: a dozen strands look at once
PATIENCE_SECONDS = 600  # for what must come to pass, on a machine that others use too
_PATIENCE_SECONDS = 60
MAX_ATTEMPTS = 3
SWEEP_SECONDS = 0.5
STEP_TIMEOUT_SECONDS = 2.0
LEASE_SECONDS = 6.0
_LOCK_SECONDS = 3.0  # statements and idle transactions end before the short lease does


@dataclass(frozen=True)
class Set:
    """What a stage is made of: the database, what runs PostgreSQL, the model, and
    on which clock our processes are."""

    db: Database
    folder: Path
    seed: int
    server: running_postgres | None = None
    model: settings.Model = MODEL
    clock: Clock | None = None
    lease_seconds: float = LEASE_SECONDS
    step_timeout_seconds: float = STEP_TIMEOUT_SECONDS


class Stage:
    """Redis, database, API, control and workers. What dies is started again, as a process manager
    does, unless a fault keeps it down."""

    devices: Sequence[str] = DEVICES

    def __init__(self, made: Set):
        self.db, self.server, self.folder = made.db, made.server, made.folder  # past the proxies
        self.model, self.clock = made.model, made.clock
        self.folder.mkdir(parents=True, exist_ok=True)
        self._redis_port = ports.find_free()
        self.start_redis()
        self.proxies = self._open_proxies(made.seed)
        self.api_port = ports.find_free()
        self.place = self._make_place(made)
        self.programs: dict[str, Program] = {}
        self.store_lock = threading.Lock()  # faults of the store that must not meet
        self._lock = threading.RLock()
        self._held: set[str] = set()
        self._closed = threading.Event()
        self._manager = threading.Thread(target=self._manage, daemon=True)

    def _open_proxies(self, seed: int) -> dict[str, Proxy]:
        """Before Redis, and before PostgreSQL."""
        made = {"redis": Proxy(("127.0.0.1", self._redis_port), seed)}
        if self.server is not None:
            made["database"] = Proxy(("127.0.0.1", self.server.port), seed)
        return made

    def _make_place(self, made: Set) -> Workplace:
        return Workplace(
            self.db,
            self._redis_url(),
            self.folder / "place",
            models=(self.model,),
            url=self._database_url(),
            server=self._server(),
            statement_timeout_seconds=_LOCK_SECONDS if self.server else 30.0,
            lease_seconds=made.lease_seconds,
            sweep_seconds=SWEEP_SECONDS,
            pulse_seconds=0.4,
            step_timeout_seconds=made.step_timeout_seconds,
            max_attempts=MAX_ATTEMPTS,
        )

    def _redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.proxies['redis'].port}/0"

    def _database_url(self) -> str:
        proxy = self.proxies.get("database")
        proxied = self.db.url.set(port=proxy.port) if proxy else self.db.url
        return proxied.render_as_string(hide_password=False)

    def _server(self) -> settings.Server:
        return settings.Server(port=self.api_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def start(self) -> None:
        for name in (*CONTROLS, "api", *self.devices):
            self.start_program(name)
        self._manager.start()
        self.wait_well()

    def start_program(self, name: str) -> None:
        command = ("worker", "--device", name) if ":" in name else (name.partition("-")[0],)
        with self._lock:
            self.programs[name] = self.place.start(
                *command, **(self.clock.environ if self.clock else {})
            )

    @contextlib.contextmanager
    def held_down(self, name: str) -> Iterator[Program]:
        """The program, which nobody else starts meanwhile; it is started again at the end."""
        with self._lock:
            self._held.add(name)
        try:
            yield self.programs[name]
        finally:
            if self.programs[name].process.poll() is not None:
                self.start_program(name)
            with self._lock:
                self._held.discard(name)

    def _manage(self) -> None:
        """What a process manager does: Celery ends a worker that Redis answers with an error."""
        while not self._closed.wait(0.3):
            with self._lock:
                for name in set(self.programs) - self._held:
                    if self.programs[name].process.poll() is not None:
                        self.start_program(name)

    def start_redis(self, *options: str) -> None:
        """Empty and without persistence, unless `options` say otherwise."""
        chosen = options or ("--save", "", "--appendonly", "no")
        self.redis = subprocess.Popen(
            [*self._redis_command(), "--port", str(self._redis_port), *chosen],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def _redis_command(self) -> Sequence[str]:
        return [find_redis()]

    def close(self) -> None:
        self._closed.set()
        if self._manager.is_alive():
            self._manager.join()
        self.place.close()
        self.redis.kill()
        self.redis.wait()
        for proxy in self.proxies.values():
            proxy.close()

    # What can be seen.

    def worker(self, device: str) -> Worker:
        row = insist(lambda: self.find_row(device))
        assert row is not None
        return row

    def find_row(self, device: str) -> Worker | None:
        return self.place.row(device)

    def ask(self, question: str, **values: object) -> int:
        """The number that one SQL question gives."""
        rows = self.list_rows(question, **values)
        return int(rows[0][0] or 0)

    def change(self, statement: str, **values: object) -> None:
        """What an operator with a database shell does."""

        def write() -> None:
            with self.db.write() as tx:
                tx.execute(sa.text(statement), values)

        insist(write)

    def list_rows(self, question: str, **values: object) -> Sequence[Sequence[Any]]:
        def look() -> Sequence[Sequence[Any]]:
            with self.db.read() as tx:
                return [tuple(row) for row in tx.execute(sa.text(question), values)]

        return insist(look)

    def count_open(self) -> int:
        return self.ask("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")

    def count_talk(self, session_id: str) -> int:
        """Jobs of one session that have not ended."""
        asked = "SELECT count(*) FROM jobs WHERE session_id = :id AND finished_at IS NULL"
        return self.ask(asked, id=session_id)

    def count_running(self, row: Worker | None = None) -> int:
        asked = "SELECT count(*) FROM jobs WHERE state = 'running'"
        if row is None:
            return self.ask(asked)
        return self.ask(f"{asked} AND slot = :s AND epoch = :e", s=row.slot, e=row.epoch)

    def wait_answering(self) -> None:
        """The API answers again; some worker may still be starting."""
        wait_for(
            lambda: self._is_answering("/health/live"),
            "the API",
            PATIENCE_SECONDS,
            every=LOOK_SECONDS,
        )

    def ask_alive(self, seconds: float) -> None:
        """Returns once the API said that it lives; raises httpx.TransportError."""
        self._fetch("/health/live", seconds)

    def _fetch(self, path: str, seconds: float) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False, verify=False, timeout=seconds)

    def _is_answering(self, path: str) -> bool:
        try:
            answer = self._fetch(path, 5)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def wait_well(self, seconds: float = PATIENCE_SECONDS) -> None:
        """API, Redis and every worker answer again."""

        def is_well() -> bool:
            return self._is_answering("/health") and len(self.list_ready()) == len(self.devices)

        wait_for(is_well, "a healthy service", seconds, every=LOOK_SECONDS)

    def list_ready(self) -> list[Worker]:
        """Those workers that take jobs now."""
        rows = [insist(partial(self.find_row, device)) for device in self.devices]
        return [row for row in rows if row and row.state == "ready"]

    def wait_busy(self, device: str, number: int) -> Worker:
        """The worker once it runs at least so many jobs."""

        def look() -> Worker | None:
            row = self.worker(device)
            is_busy = row.state == "ready" and row.in_shift
            return row if is_busy and self.count_running(row) >= number else None

        return wait_for(look, f"{number} jobs on {device}", PATIENCE_SECONDS, every=LOOK_SECONDS)

    def redis_client(self) -> "redis.Redis":
        return redis.Redis(port=self._redis_port)


def insist(look: Callable[[], T]) -> T:
    """Asks until the database answers: it may be what a fault struck."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return look()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def kill_tree(pid: int) -> None:
    """A process and all below it, at once."""
    family: Sequence[psutil.Process] = []
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def seconds_since(moment: float) -> float:
    return round(time.monotonic() - moment, 3)
