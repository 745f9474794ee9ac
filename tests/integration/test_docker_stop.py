"""`docker stop` of each service under load: SIGTERM to its program (the init passes it on), SIGKILL
after the compose file's grace period. Each must end by itself before, and no job may lose by it.

The waits inside are shortened; what the compose file gives beyond them is the limit here, too.
"""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app import queue, settings
from app.api import server
from app.errors import Stopped
from app.models import batches
from app.models.database import Database
from app.wire.rows import Batch
from app.workers import control, finalize
from tests.conftest import find_redis
from tests.integration import inputs, makers
from tests.integration.inputs import make_line
from tests.integration.test_api_server import find_port
from tests.integration.workplace import MODEL, Program, Workplace, fake_model, opened, wait_for
from tests.unit.test_deploy import SERVICES, seconds, settings_of

pytestmark = pytest.mark.integration
STEP_SECONDS = 1.0
LINES = 6_000
API_GRACE_SECONDS = 6
# So long that it takes seconds on any machine: the signal comes in the middle.
SLOW = """
import time
from app.intake import lines
from app.models import batches
def slow(place, name, seconds):
    function = getattr(place, name)
    def call(*given, **named):
        time.sleep(seconds)
        return function(*given, **named)
    setattr(place, name, call)
"""
SLOWED = {
    "checks": "slow(lines.Survey, 'take', 0.003)\n",
    "stores": "slow(batches, 'add_lines', 1.0)\n",
}
MAIN = "from app.cli import main; main()"
BOUNDARY = "b"


def find_grace(service: str) -> float:
    return seconds(SERVICES[service]["stop_grace_period"])


def stop(program: Program, limit: float, way: str = "SIGTERM") -> float:
    """The seconds that it took to end in order; fails beyond `limit`, where Docker would kill."""
    started = time.monotonic()
    program.stop_by(way)
    assert program.wait(limit) == 0
    return time.monotonic() - started


@pytest.mark.databases(long=True)
@pytest.mark.parametrize("prompt", ["slow steps", "[[spin]]"])
def test_a_worker_in_the_middle_of_a_step_ends_in_time_and_gives_its_jobs_back(
    database: Database, redis_url: str, tmp_path: Path, prompt: str
) -> None:
    """[[spin]] is a step that never ends, in native code: the worst moment for a stop."""
    spare = find_grace("worker") - settings_of("worker").worker.step_timeout_seconds
    models = (fake_model(step_seconds=STEP_SECONDS),)
    timeout = 2.0 if prompt == "[[spin]]" else 30.0  # a step that is only slow is not cut
    changes = {"step_timeout_seconds": timeout, "shift_seconds": 300.0}
    with opened(database, redis_url, tmp_path / "w", models=models, **changes) as place:
        worker = place.start_worker()
        place.wait_ready()
        made = [place.add(prompt, max_tokens=60), place.add("later", max_tokens=2)]
        place.hint(made)
        place.wait_running(made[0])
        wait_for(lambda: (row := place.row()) and row.step >= (prompt != "[[spin]]"), "a step")

        took = stop(worker, timeout + spare)

        ended = [place.get(job) for job in made]
        assert took < timeout + spare
        assert {job.state for job in ended} == {"queued"}
        assert ended[0].crashes == (prompt == "[[spin]]"), "a stop is no crash, a hang is one"
        if prompt != "[[spin]]":
            place.start_worker()
            assert place.wait_ended(made[1])[0].state == "succeeded"
            assert place.get(made[0]).state == "running"


@pytest.mark.databases(long=True)
@pytest.mark.parametrize(
    ("moment", "way"),
    [
        ("checks", "SIGTERM"),
        ("stores", "SIGTERM"),
        ("stores", "SIGQUIT"),
        pytest.param("stores", "SIGTERM twice", marks=pytest.mark.long),
    ],
)
def test_a_control_process_in_a_large_file_ends_at_once_and_the_next_one_goes_on(
    database: Database, redis_url: str, tmp_path: Path, moment: str, way: str
) -> None:
    spare = find_grace("control") - control._STOP_SECONDS
    models = (fake_model(makers.MODEL),)
    with opened(database, redis_url, tmp_path / "w", models=models) as place:
        first = place.start("control", script=("-c", SLOW + SLOWED[moment] + MAIN))
        wait_for(lambda: "ready." in first.text, "the control process")
        batch = submit(place)

        def is_reached() -> bool:
            if moment == "checks":
                return any(place.context.files.glob(".ingest-*"))
            return makers.reload(database, batch).lines_ingested > 0

        wait_for(is_reached, moment, every=0.01)
        took = stop(first, spare, way)

        left = makers.reload(database, batch)
        assert took < spare
        assert left.lines_ingested < LINES, "it went on to the end"
        assert (left.status == "validating") == (moment == "checks")
        place.start_control()
        wait_for(lambda: batches.count_lines(database, batch.id) == LINES, "all lines")
        assert place.count("SELECT count(*) FROM jobs WHERE state <> 'queued'") == 0


def submit(place: Workplace) -> Batch:
    place.context.files.mkdir(exist_ok=True)
    batch = inputs.submit(place.context, (make_line(number) for number in range(LINES)))
    place.context.publish(queue.INGEST_TASK, queue.CONTROL, batch_id=batch.id)
    return batch


@pytest.mark.databases
def test_files_that_are_being_written_at_a_stop_leave_nothing_and_are_written_later(
    database: Database, tmp_path: Path
) -> None:
    context = inputs.make_context(database, tmp_path)
    batch = makers.add_batch(database, num_lines=3)
    inputs.settle_all(context)

    context.stopping.set()
    with pytest.raises(Stopped):
        finalize.run(context, batch.id)

    assert list(context.files.iterdir()) == []
    assert finalize.run(inputs.make_context(database, tmp_path), batch.id)["lines"] == 3


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Iterator[tuple[Workplace, Program]]:
    """An API that gives requests in flight six seconds."""
    code = f"from app.api import server; server.GRACE_SECONDS = {API_GRACE_SECONDS}\n"
    script = ("-c", code + MAIN)
    own = settings.Server(port=find_port())
    with opened(database, redis_url, tmp_path / "w", server=own) as place:
        program = place.start("api", script=script)
        wait_for(lambda: is_answering(own.port), "the API")
        yield place, program


def is_answering(port: int) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(connect(port)) as connection:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    return False


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


@pytest.mark.databases(long=True)
def test_an_api_answers_whom_it_can_and_cuts_off_what_does_not_end(
    api: tuple[Workplace, Program],
) -> None:
    place, program = api
    port = place.settings.server.port
    spare = find_grace("open-autoglm") - server.GRACE_SECONDS
    job = place.add("waits")
    poll, completion, stream = connect(port), connect(port), connect(port)
    poll.request("GET", f"/v1/jobs/{job.id}?wait=55")
    ask(completion)
    ask(stream, stream=True)
    late, stuck = begin_upload(port), begin_upload(port)
    wait_for(lambda: place.count("SELECT count(*) FROM jobs") == 3, "all requests")
    wait_for(lambda: len(list(place.context.files.glob(".*.part"))) == 2, "both uploads")

    started = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    late.sendall(b'{"custom_id": "1"}\n\r\n--b--\r\n')

    assert b" 200 " in late.recv(100)
    assert poll.getresponse().status == 200
    refused = completion.getresponse()
    assert (refused.status, refused.getheader("Retry-After")) == (503, "2")
    assert stream.getresponse().read()
    assert program.wait(API_GRACE_SECONDS + spare) == 0
    assert time.monotonic() - started < API_GRACE_SECONDS + spare
    assert place.get(job).state == "queued"
    assert place.count("SELECT count(*) FROM jobs WHERE state = 'failed'") == 0
    assert place.count("SELECT count(*) FROM files") == 1
    for each in (late, stuck, poll, completion, stream):
        each.close()


def ask(connection: http.client.HTTPConnection, **changes: object) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **changes}
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)


def begin_upload(port: int) -> socket.socket:
    """All of an upload but its last line; so much that the server begins to write it."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    ) + b'{"custom_id": "0"}\n' * 20_000
    rest = len(b'{"custom_id": "1"}\n\r\n--b--\r\n')
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body) + rest}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(head.encode() + body)
    return connection


def test_redis_ends_in_time_under_load_and_keeps_every_message(tmp_path: Path) -> None:
    command = start_redis(tmp_path)
    client = redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"))
    wait_for(lambda: can_ping(client), "redis")
    for number in range(200):
        client.rpush("hints", *(f"{number}-{index}" for index in range(100)))

    command.send_signal(signal.SIGTERM)
    assert command.wait(find_grace("redis")) == 0

    again = start_redis(tmp_path)
    wait_for(lambda: can_ping(client), "redis again")
    assert client.llen("hints") == 20_000
    client.close()
    again.kill()
    again.wait()


def start_redis(folder: Path) -> "subprocess.Popen[bytes]":
    """A server with the options that the compose file gives it."""
    options = SERVICES["redis"]["command"][1:]
    own = ("--port", "0", "--unixsocket", str(folder / "redis.sock"), "--dir", str(folder))
    return subprocess.Popen([find_redis(), *options, *own], stdout=subprocess.DEVNULL)


def can_ping(client: "redis.Redis") -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False
