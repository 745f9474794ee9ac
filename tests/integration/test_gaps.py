"""Programs that die between a commit and telling anybody of it: the rows alone must be enough."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import queue, settings
from app.models import batches, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from tests.integration import inputs, makers
from tests.integration.inputs import make_line
from tests.integration.patches import STATUS, as_environ, as_script
from tests.integration.test_api_server import find_port
from tests.integration.test_webhooks import Receiver, make_options, receiving
from tests.integration.workplace import Program, Workplace, fake_model, opened, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.databases]
DYING = f"import os\ndef die(*_given, **_named): os._exit({STATUS})\n"
DYING_API = DYING + "from app.queue import Publisher\nPublisher.hint = Publisher.control = die"
DYING_CONTROL = DYING + (
    "from app.workers import context, ingest\ningest._PIECE_LINES = 2\ncontext.Context.hint = die"
)
DYING_WORKER = DYING + (
    "from app.models import claims\n"
    "settle = claims.settle\n"
    "claims.settle = lambda *given: die(settle(*given))"
)


@pytest.fixture
def place(database: Database, redis_url: str, tmp_path: Path) -> Iterator[Workplace]:
    models = (fake_model(makers.MODEL),)
    own = settings.Server(port=find_port())
    with opened(database, redis_url, tmp_path / "w", models=models, server=own) as made:
        made.model = makers.MODEL
        made.context.files.mkdir()
        yield made


def send(place: Workplace, path: str, body: dict[str, Any]) -> httpx.Response:
    """One request under one key, as a client sends it again that saw no answer."""
    url = f"http://127.0.0.1:{place.settings.server.port}{path}"
    headers = {"Idempotency-Key": "the client's own"}
    return httpx.post(url, json=body, headers=headers, timeout=100, trust_env=False)


def start_api(place: Workplace, **options: Any) -> Program:
    program = place.start("api", **options)

    def is_answering() -> bool:
        with contextlib.suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{place.settings.server.port}/health/live"
            return httpx.get(url, trust_env=False).status_code == 200
        return False

    wait_for(is_answering, "the API")
    return program


def count_messages(place: Workplace) -> int:
    names = (queue.model_queue(place.model), queue.CONTROL)
    return sum(queue.count_waiting(place.app, name) for name in names)


def die_and_repeat(place: Workplace, path: str, body: dict[str, Any], table: str) -> str:
    """The client's request ends without an answer, its rows are there, nobody was told, and
    another API gives it the same object. Returns its id."""
    dying = start_api(place, script=as_script(DYING_API))
    with pytest.raises(httpx.TransportError):
        send(place, path, body)
    assert place.count(f"SELECT count(*) FROM {table}") == 1
    assert count_messages(place) == 0
    dying.end()

    start_api(place)
    answers = [send(place, path, body) for _ in range(2)]

    assert {answer.is_success for answer in answers} == {True}
    assert place.count(f"SELECT count(*) FROM {table}") == 1
    assert count_messages(place) == 0
    (name,) = {answer.json()["id"] for answer in answers}
    return str(name)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/responses"])
def test_a_job_whose_api_died_before_its_hint_is_run(place: Workplace, path: str) -> None:
    place.start_worker()
    place.wait_idle()
    content = {"input": "hi", "background": True} if "responses" in path else {"prompt": "hi"}

    name = die_and_repeat(place, path, {"model": place.model, **content}, "jobs")
    (made,) = jobs.list_page(place.db, DEFAULT_TENANT, limit=10)[0]
    assert made.state == "queued"
    place.start_control()

    (ended,) = place.wait_ended(made)
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    assert path == "/v1/responses" or ended.id == name


def test_a_batch_whose_api_died_before_its_message_is_run(place: Workplace) -> None:
    file = inputs.add_input(place.context, make_line(1) + make_line(2))
    body = {"input_file_id": file.id, "endpoint": makers.ENDPOINT, "completion_window": "24h"}

    name = die_and_repeat(place, "/v1/batches", body, "batches")
    place.start_worker()
    place.start_control()

    wait_completed(place, name, num_lines=2)


def wait_completed(place: Workplace, batch_id: str, num_lines: int) -> Batch:
    """The batch once it is over: every line ran once and stands in its output once."""

    def look() -> Batch | None:
        found = batches.find(place.db, batch_id)
        return found if found and found.status == "completed" else None

    batch = wait_for(look, "a completed batch")
    assert (batch.completed, batch.failed, batch.total) == (num_lines, 0, num_lines)
    ended = jobs.list_lines(place.db, batch_id, after_line=0, limit=100)
    assert [job.custom_id for job in ended] == [f"c{n}" for n in range(1, num_lines + 1)]
    assert {(job.state, job.attempt, job.crashes) for job in ended} == {("succeeded", 1, 0)}
    assert place.count("SELECT count(*) FROM results") == num_lines
    return batch


def test_lines_whose_control_process_died_before_their_hint_are_run(place: Workplace) -> None:
    """It dies behind its first piece: the next one goes on where it stopped."""
    dying = place.start("control", script=as_script(DYING_CONTROL))
    batch = inputs.submit(place.context, (make_line(number) for number in range(1, 6)))

    assert dying.wait() == STATUS
    assert batches.count_lines(place.db, batch.id) == 2
    assert queue.count_waiting(place.app, queue.model_queue(place.model)) == 0
    place.start_worker()
    place.start_control()

    wait_completed(place, batch.id, num_lines=5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from receiving()


@pytest.fixture
def telling(
    database: Database, redis_url: str, tmp_path: Path, receiver: Receiver
) -> Iterator[Workplace]:
    """A place that tells of what has ended."""
    models, told = (fake_model(makers.MODEL),), make_options(receiver)
    with opened(database, redis_url, tmp_path / "w", models=models, webhooks=told) as made:
        made.model = makers.MODEL
        made.context.files.mkdir()
        yield made


def test_a_batch_whose_worker_died_with_the_last_result_is_told_once(
    telling: Workplace, receiver: Receiver, tmp_path: Path
) -> None:
    telling.start_control()
    batch = inputs.submit(telling.context, make_line(1), webhook=receiver.url)

    worker = telling.start_worker(**as_environ(DYING_WORKER, tmp_path / "patch"))
    wait_completed(telling, batch.id, num_lines=1)

    wait_told(telling, receiver, batch.id)
    assert not worker.lines("settle"), "it lived on"
    assert telling.wait_ready(beyond=1).state == "ready"


def test_a_job_whose_worker_died_with_its_result_is_told_once(
    telling: Workplace, receiver: Receiver, tmp_path: Path
) -> None:
    telling.start_control()
    job = telling.add(webhook=receiver.url)

    worker = telling.start_worker(**as_environ(DYING_WORKER, tmp_path / "patch"))
    (ended,) = telling.wait_ended(job)

    wait_told(telling, receiver, job.id)
    assert not worker.lines("settle"), "it lived on"
    assert telling.wait_ready(beyond=1).state == "ready"
    assert telling.get(job) == ended
    assert (ended.state, ended.attempt, ended.crashes) == ("succeeded", 1, 0)


def wait_told(place: Workplace, receiver: Receiver, object_id: str) -> None:
    """Until the receiver's taking of it is stored; it was told nothing else."""
    done = (
        f"SELECT count(*) FROM deliveries WHERE state = 'delivered' AND object_id = '{object_id}'"
    )
    wait_for(lambda: place.count(done) == 1, "what is told")
    assert place.count("SELECT count(*) FROM deliveries") == 1
    assert len(receiver.got) == 1
