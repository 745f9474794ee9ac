"""The whole service as processes of its own, with a proxy before Redis and before PostgreSQL."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil
import redis
import sqlalchemy as sa

from app import settings
from app.models.database import Database
from app.stack import ports
from app.wire.rows import Worker
from tests.conftest import find_redis
from tests.faults.toxics import Proxy
from tests.integration.workplace import Program, Workplace, fake_model, wait_for
from tests.postgres import running_postgres

DEVICES = ("cpu:0", "cpu:1")
SLOTS_PER_WORKER = 16
MODEL = fake_model(slots=SLOTS_PER_WORKER, step_seconds=0.03)
_START_SECONDS = 240  # the first start of everything at once, on a machine that others use too
LIMITS = {"lease_seconds": 5.0, "sweep_seconds": 0.5, "pulse_seconds": 0.5, "max_attempts": 12}


class Stage:
    """Redis, database, API, control and workers. What dies stays dead until it is started again."""

    def __init__(self, db: Database, folder: Path, seed: int, server: running_postgres | None):
        self.db = db  # past the proxies, for looking
        self.server = server
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._redis_port = ports.find_free()
        self.start_redis()
        self.redis_proxy = Proxy(("127.0.0.1", self._redis_port), seed)
        self.database_proxy = Proxy(("127.0.0.1", server.port), seed) if server else None
        self.api_port = ports.find_free()
        self.place = Workplace(
            db,
            f"redis://127.0.0.1:{self.redis_proxy.port}/0",
            folder / "place",
            models=(MODEL,),
            url=self._proxied_url(),
            server=settings.Server(port=self.api_port),
            **LIMITS,
        )
        self.programs: dict[str, Program] = {}

    def _proxied_url(self) -> str:
        if self.database_proxy is None:
            return self.db.url.render_as_string(hide_password=False)
        proxied = self.db.url.set(port=self.database_proxy.port)
        return proxied.render_as_string(hide_password=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def start(self) -> None:
        for name in ("control", "api", *DEVICES):
            self.start_program(name)
        self.wait_well(_START_SECONDS)

    def start_program(self, name: str) -> None:
        command = ("worker", "--device", name) if ":" in name else (name,)
        self.programs[name] = self.place.start(*command)

    def start_redis(self) -> None:
        self.redis = subprocess.Popen(
            [find_redis(), "--port", str(self._redis_port), "--save", "", "--appendonly", "no"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def close(self) -> None:
        self.place.close()
        self.redis.kill()
        self.redis.wait()
        for proxy in (self.redis_proxy, self.database_proxy):
            if proxy is not None:
                proxy.close()

    # What can be seen.

    def worker(self, device: str) -> Worker:
        row = self.place.row(device)
        assert row is not None
        return row

    def ask(self, question: str, **values: object) -> int:
        with self.db.read() as tx:
            return int(tx.execute(sa.text(question), values).scalar_one() or 0)

    def count_open(self) -> int:
        return self.ask("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")

    def count_running(self, row: Worker | None = None) -> int:
        asked = "SELECT count(*) FROM jobs WHERE state = 'running'"
        if row is None:
            return self.ask(asked)
        return self.ask(f"{asked} AND slot = :s AND epoch = :e", s=row.slot, e=row.epoch)

    def wait_well(self, seconds: float = 180) -> None:
        """API, Redis and every worker answer again."""

        def is_well() -> bool:
            self._revive()
            try:
                answer = httpx.get(f"{self.url}/health", trust_env=False, timeout=5)
            except httpx.TransportError:
                return False
            return answer.status_code == 200 and all(
                (row := self.place.row(device)) and row.state == "ready" for device in DEVICES
            )

        wait_for(is_well, "a healthy service", seconds)

    def _revive(self) -> None:
        """What a process manager does: Celery ends a worker that Redis answers with an error."""
        for name, program in list(self.programs.items()):
            if program.process.poll() is not None:
                self.start_program(name)

    def wait_busy(self, device: str, number: int) -> Worker:
        """The worker once it runs at least so many jobs."""

        def look() -> Worker | None:
            row = self.worker(device)
            is_busy = row.state == "ready" and row.in_shift
            return row if is_busy and self.count_running(row) >= number else None

        return wait_for(look, f"{number} jobs on {device}", 180)

    def redis_client(self) -> "redis.Redis":
        return redis.Redis(port=self._redis_port)


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
