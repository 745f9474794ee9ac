"""Calls that wait for their answer, and clients that do not: with a key the job outlives its connection and
its API, without one it is cancelled."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from app import settings
from app.models import chunks, claims, jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Chunk, Job
from tests.integration import makers
from tests.integration.test_api_server import find_port
from tests.integration.test_docker_stop import connect, is_answering
from tests.integration.workplace import Program, Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration

CHAT, TEXT, REPLY = "/v1/chat/completions", "/v1/completions", "/v1/responses"
SAID: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    TEXT: {"prompt": "hi"},
    REPLY: {"input": "hi"},
}
KINDS = pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def place(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    """An API without a worker: jobs end when a test ends them."""
    folder = tmp_path_factory.mktemp("keyed")
    own = settings.Server(port=find_port())
    models = (fake_model(makers.MODEL),)
    with opened(module_database, redis_server, folder, server=own, models=models) as place:
        start(place)
        yield place


def start(place: Workplace) -> Program:
    program = place.start("api")
    wait_for(lambda: is_answering(place.settings.server.port), "the API")
    return program


def ask(
    place: Workplace, key: str | None, path: str, *, is_streamed: bool
) -> http.client.HTTPConnection:
    body = {"model": makers.MODEL, "stream": is_streamed, **SAID[path]}
    headers = {"Content-Type": "application/json"}
    connection = connect(place.settings.server.port)
    connection.request(
        "POST",
        path,
        json.dumps(body),
        headers if key is None else {**headers, "Idempotency-Key": key},
    )
    return connection


def find_newest(place: Workplace, beyond: int = 0) -> Job:
    """The newest job, once there is one with a number above `beyond`."""

    def look() -> str | None:
        asked = sa.text("SELECT id FROM jobs WHERE seq > :seq ORDER BY seq DESC LIMIT 1")
        with place.db.read() as tx:
            found = tx.execute(asked, {"seq": beyond}).scalar_one_or_none()
        return None if found is None else str(found)

    return jobs.get(place.db, DEFAULT_TENANT, wait_for(look, "a job"))


def count_jobs(place: Workplace, key: str) -> int:
    return place.count("SELECT count(*) FROM jobs WHERE idempotency_key = :key", key=key)


def find_last(place: Workplace) -> int:
    return place.count("SELECT coalesce(max(seq), 0) FROM jobs")


def hang_up(place: Workplace, connection: http.client.HTTPConnection) -> None:
    """Returns when the API has let go of the connection."""
    port = connection.sock.getsockname()[1]
    connection.close()
    program = psutil.Process(place.programs[-1].pid)

    def is_served() -> bool:
        served = [
            each
            for process in (program, *program.children(recursive=True))
            for each in process.net_connections(kind="tcp")
        ]
        return any(port in each.raddr[1:] for each in served)

    wait_for(lambda: not is_served(), "the API to let go")


def finish(place: Workplace, job: Job) -> None:
    """Ends the job as a worker would."""
    taken = makers.take(place.db, makers.add_worker(place.db))
    assert [each.id for each in taken] == [job.id]
    claims.settle(place.db, [makers.succeed(each) for each in taken])


def read(connection: http.client.HTTPConnection) -> tuple[int, str]:
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


@KINDS
@pytest.mark.parametrize("path", [CHAT, TEXT, REPLY])
def test_a_keyed_job_outlives_its_connection_and_the_next_call_gets_its_answer(
    place: Workplace, path: str, is_streamed: bool
) -> None:
    key, last = f"hang-up {path} {is_streamed}", find_last(place)
    first = ask(place, key, path, is_streamed=is_streamed)
    job = find_newest(place, last)

    hang_up(place, first)

    assert (place.get(job).state, place.get(job).cancel_requested) == ("queued", False)
    second = ask(place, key, path, is_streamed=is_streamed)
    finish(place, job)
    status, content = read(second)
    assert (status, "done" in content) == (200, True), content
    late = ask(place, key, path, is_streamed=is_streamed)
    assert read(late) == (200, content)
    assert count_jobs(place, key) == 1


@KINDS
@pytest.mark.parametrize("path", [CHAT, REPLY])
def test_a_job_without_a_key_is_cancelled_with_its_connection(
    place: Workplace, path: str, is_streamed: bool
) -> None:
    last = find_last(place)
    connection = ask(place, None, path, is_streamed=is_streamed)
    job = find_newest(place, last)

    hang_up(place, connection)

    assert place.get(job).state == "cancelled"


@pytest.mark.parametrize("key", ["in the middle", None])
def test_a_stream_that_is_left_in_the_middle_is_told_again_from_its_beginning(
    place: Workplace, key: str | None
) -> None:
    last = find_last(place)
    first = ask(place, key, CHAT, is_streamed=True)
    find_newest(place, last)
    (job,) = makers.take(place.db, makers.add_worker(place.db))
    chunks.add(place.db, [Chunk(job.id, job.attempt, 0, 0, "do")])
    sent = first.getresponse()
    while b'"do"' not in sent.readline():
        pass

    hang_up(place, first)

    assert place.get(job).cancel_requested is (key is None)
    if key is not None:
        second = ask(place, key, CHAT, is_streamed=True)
        claims.settle(place.db, [makers.succeed(job)])
        assert read_deltas(read(second)[1]) == "done"


def read_deltas(content: str) -> str:
    frames = [line.removeprefix("data: ") for line in content.splitlines() if "{" in line]
    choices = [json.loads(frame)["choices"] for frame in frames]
    return "".join(each[0]["delta"].get("content") or "" for each in choices if each)


@KINDS
def test_of_two_waiters_with_one_key_one_may_leave(place: Workplace, is_streamed: bool) -> None:
    key, last = f"two {is_streamed}", find_last(place)
    leaves = ask(place, key, CHAT, is_streamed=is_streamed)
    job = find_newest(place, last)
    stays = ask(place, key, CHAT, is_streamed=is_streamed)

    hang_up(place, leaves)
    finish(place, job)

    status, content = read(stays)
    assert (status, "done" in content) == (200, True), content
    assert count_jobs(place, key) == 1


def test_keyed_jobs_outlive_their_api_and_the_next_one_answers_them(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    own, models = settings.Server(port=find_port()), (fake_model(makers.MODEL),)
    with opened(database, redis_url, tmp_path / "w", server=own, models=models) as place:
        program, calls = start(place), {}
        for key, is_streamed in (("whole", False), ("streamed", True), (None, False)):
            last = find_last(place)
            call = ask(place, key, CHAT, is_streamed=is_streamed)
            calls[key] = (call, find_newest(place, last))

        program.stop_by("SIGTERM")

        for call, _ in calls.values():
            status, content = read(call)
            assert (status, json.loads(content)["error"]["code"]) == (503, "stopping")
        program.wait()
        states = {key: place.get(job).state for key, (_, job) in calls.items()}
        assert states == {"whole": "queued", "streamed": "queued", None: "cancelled"}
        start(place)
        again = [
            ask(place, "whole", CHAT, is_streamed=False),
            ask(place, "streamed", CHAT, is_streamed=True),
        ]
        taken = makers.take(database, makers.add_worker(database))
        claims.settle(database, [makers.succeed(each) for each in taken])
        for status, content in map(read, again):
            assert (status, "done" in content) == (200, True), content
        assert place.count("SELECT count(*) FROM jobs") == len(calls)
