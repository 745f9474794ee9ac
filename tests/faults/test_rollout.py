"""A new version, with a migration, is rolled out part by part under load: nobody's job notices."""

import itertools
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

import app
from app.models import migrate
from app.models.database import Database
from app.stack import ports
from tests.integration.workplace import Program, Workplace, fake_model, opened, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

VERSION = "99.0.0"
DEVICES = ("cpu:0", "cpu:1")
_START_SECONDS = 240
_MIGRATION = '''"""What only the next version needs."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("of_the_future", sa.Integer(), nullable=True))
    op.create_index("ix_of_the_future", "jobs", ["of_the_future"])
'''


def make_version(folder: Path) -> Path:
    """A copy of the program that is a version ahead, with its schema."""
    new, package = folder / "new", Path(app.__file__).parent
    left_out = shutil.ignore_patterns("__pycache__", "demo")
    shutil.copytree(package, new / "app", ignore=left_out)
    (new / "app" / "demo").symlink_to(package / "demo")
    names = new / "app" / "__init__.py"
    names.write_text(names.read_text().replace(app.__version__, VERSION))
    migration = new / "app" / "migrations" / "versions" / "v9999_next.py"
    migration.write_text(_MIGRATION.format(head=migrate.head_revision()))
    return new


class Client:
    """Submits to whichever API answers, with idempotency keys, until it is stopped."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = itertools.cycle(urls)
        self._number_of_urls = len(urls)
        self._stop = threading.Event()
        self.accepted: set[str] = set()
        self.refusals: list[httpx.Response] = []
        self.unanswered = 0  # by any API
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(240)

    def _run(self) -> None:
        with httpx.Client(timeout=100, trust_env=False) as http:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                self._insist(http, number)
                time.sleep(0.02)

    def _insist(self, http: httpx.Client, number: int) -> None:
        body = {"model": "fake", "prompt": f"job {number}", "max_tokens": 8}
        while not self._stop.is_set():
            answers = [self._send(http, body, number) for _ in range(self._number_of_urls)]
            self.unanswered += not any(answers)
            if any(answer and answer.status_code == 202 for answer in answers):
                return
            time.sleep(0.1)

    def _send(self, http: httpx.Client, body: dict[str, object], number: int):
        headers = {"Idempotency-Key": f"key-{number}"}
        try:
            answer = http.post(f"{next(self._urls)}/v1/jobs", json=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code == 202:
            self.accepted.add(answer.json()["id"])
        else:
            self.refusals.append(answer)
        return answer


@pytest.fixture
def place(database: Database, redis_url: str, tmp_path: Path) -> Iterator[Workplace]:
    models = (fake_model(step_seconds=0.02),)
    with opened(database, redis_url, tmp_path / "place", models=models, lease_seconds=15.0) as made:
        yield made


@pytest.mark.databases(long=True)
def test_a_rolling_restart_with_a_migration_costs_no_job_and_no_answer(
    place: Workplace, tmp_path: Path
) -> None:
    new = make_version(tmp_path)
    numbers = [ports.find_free() for _ in range(2)]
    parts = [("control",), *(("worker", "--device", device) for device in DEVICES)]
    parts += [("api", "--port", str(number)) for number in numbers]
    running = {part: place.start(*part) for part in parts}
    urls = [f"http://127.0.0.1:{number}" for number in numbers]
    wait_for(
        lambda: all(is_healthy(url) for url in urls) and are_ready(place), "all", _START_SECONDS
    )
    client = Client(urls)
    wait_for(lambda: len(client.accepted) > 20, "load")

    assert place.start("db", "upgrade", cwd=new).wait(240) == 0
    assert all(is_healthy(url) for url in urls), "the old version minds the new schema"
    for part, program in running.items():
        replace(place, part, program, new)
    late = len(client.accepted)
    wait_for(lambda: len(client.accepted) > late + 20, "load on the new version")
    client.stop()
    check(place, client)


def replace(place: Workplace, part: tuple[str, ...], old: Program, new: Path) -> None:
    """As a process manager does: SIGTERM, wait for the end, start the new one, wait until it serves."""
    old.process.send_signal(signal.SIGTERM)
    assert old.wait(240) == 0
    started = place.start(*part, cwd=new)
    if part[0] == "api":
        wait_for(lambda: is_healthy(f"http://127.0.0.1:{part[-1]}"), "the new API", _START_SECONDS)
    elif part[0] == "worker":
        wait_for(lambda: are_ready(place), "the new worker", _START_SECONDS)
    assert started.process.poll() is None


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def are_ready(place: Workplace) -> bool:
    return all((row := place.row(device)) and row.state == "ready" for device in DEVICES)


def check(place: Workplace, client: Client) -> None:
    asked = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
    wait_for(lambda: place.count(asked) == 0, "the end of all jobs", 300)
    with place.db.read() as tx:
        rows = tx.execute(sa.text("SELECT id, state FROM jobs")).all()
        states = {row.id: row.state for row in rows}
        made = list(tx.execute(sa.text("SELECT provenance FROM results")).scalars())
    assert client.unanswered == 0, "no API answered"
    assert client.accepted == states.keys()
    assert set(states.values()) == {"succeeded"}
    assert place.count("SELECT count(*) FROM attempts WHERE outcome = 'crashed'") == 0
    assert {answer.status_code for answer in client.refusals} <= {503}
    assert all(answer.headers.get("Retry-After") for answer in client.refusals)
    assert sum(f"fake/{VERSION}" in str(each) for each in made) >= 20
