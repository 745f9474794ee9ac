"""The API as it runs: gunicorn with threads, in a process of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, NotFoundError, OpenAI

from app import settings

START = ["config", "database", "interfaces", "health"]
WAITERS = 200
HEALTH_SECONDS = 2.0  # a busy machine's; whoever waited for a free thread would wait 55 s


class Server:
    """`autoglm api` on a free port of this machine."""

    def __init__(self, folder: Path, options: settings.Settings) -> None:
        self.port = options.server.port
        self.log = folder / "api.log"
        self.folder = folder / "cwd"
        self.folder.mkdir()
        environ = {**os.environ, **settings.environment(options), "HOME": str(self.folder)}
        environ.pop("XDG_RUNTIME_DIR", None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [_program(), "api"],
                cwd=self.folder,
                env=environ,
                stderr=log,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                self.ask("GET", "/health/live")
                break
            except OSError:
                time.sleep(0.1)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        headers = {"Content-Type": "application/json", "Accept-Language": "en"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content)

    def open_poll(self, job_id: str, seconds: int) -> socket.socket:
        """Sends a long poll and does not read its answer."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        path = f"/v1/jobs/{job_id}?wait={seconds}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().rpartition("\n")[0].splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


def _program() -> str:
    return str(Path(sys.executable).with_name("autoglm"))


def find_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def options(database_url: str, redis_url: str, tmp_path: Path) -> settings.Settings:
    return settings.Settings(
        server=settings.Server(port=find_port()),
        database=settings.Database(url=database_url),
        redis=settings.Redis(url=redis_url),
        models=(settings.Model("small", backend="fake"),),
        limits=settings.Limits(max_file_bytes=300_000),
        data_dir=tmp_path / "data",
    )


@pytest.fixture
def server(options: settings.Settings, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, options)
    yield server
    server.stop()


NOT_HTTP = [
    (b"nonsense\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
    (b"GET /v1/models HTTP/1.1\r\nHo st: x\r\n\r\n", 400, "bad_request"),
    (b"GET /v1/files?a=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (5000 * b"a"), 414, "uri_too_long"),
    (b"GET /v1/models HTTP/1.1\r\nA: %s\r\n\r\n" % (9000 * b"a"), 431, "headers_too_large"),
    (b"GET /v1/models HTTP/1.1\r\n%s\r\n" % (101 * b"A: a\r\n"), 431, "headers_too_large"),
    (
        b"GET / HTTP/1.1\r\nTransfer-Encoding: moo\r\n\r\n",
        501,
        "transfer_encoding_unsupported",
    ),
    (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: moo\r\n\r\n", 417, "expectation_unsupported"),
]


def test_what_is_no_request_is_refused_in_json(server: Server) -> None:
    for sent, status, code in NOT_HTTP:
        answer, body = send(server.port, sent)

        shown = (
            answer.status,
            body["error"]["code"],
            body["error"]["type"],
            body["error"]["param"],
        )
        assert shown == (status, code, "invalid_request_error", None), sent[:60]
        assert body["error"]["message"]
        assert answer.headers["Content-Type"] == "application/json"
        named = answer.headers["x-request-id"]
        (line,) = (line for line in server.lines if line.get("request_id") == named)
        assert (line["status"], line["peer"]) == (status, "127.0.0.1")
        assert "moo" in line["message"] or b"moo" not in sent

    ai = OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="k", max_retries=0)
    with ai, pytest.raises(APIStatusError) as caught:
        ai.files.list(after=5000 * "a")
    assert (caught.value.status_code, caught.value.code) == (414, "uri_too_long")
    assert server.ask("GET", "/health/live")[0] == 200


_HEAD = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: %s\r\n\r\n"
)
_JSON = _HEAD % b"application/json"
_FORM = (_HEAD % b"multipart/form-data; boundary=b").replace(b"/v1/jobs", b"/v1/files")
BROKEN_BODIES = [
    (_JSON + b"zz\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    (_FORM + b"zz\r\n--b\r\n0\r\n\r\n", 400, "bad_request"),
    (_JSON + b"2\r\n{}xx0\r\n\r\n", 400, "bad_request"),
    (_JSON + b"2;=\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    (_JSON + b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", 400, "bad_request"),
    (_JSON + b"2\r\n{}\r\n0\r\nA: b\nC: d\r\n", 400, "bad_request"),
    (_JSON + b"2\r\n{}\r\n0\r\n%s\r\n" % (101 * b"A: a\r\n"), 431, "headers_too_large"),
    (_JSON + b"2\r\n{}\r\n0\r\nA: b", 400, "bad_request"),
    (_JSON + b"9\r\n{}", 400, "bad_request"),
]


def test_a_broken_chunked_body_is_the_clients_fault(server: Server) -> None:
    for sent, status, code in BROKEN_BODIES:
        answer, body = send(server.port, sent, ends=not sent.endswith(b"\n"))

        shown = (answer.status, body["error"]["code"], body["error"]["type"])
        assert shown == (status, code, "invalid_request_error"), sent[-60:]
    assert "Traceback" not in server.log.read_text()
    assert server.ask("GET", "/health/live")[0] == 200


def send(port: int, content: bytes, *, ends: bool = False) -> tuple[http.client.HTTPResponse, Any]:
    """The answer to these bytes, which may be no request at all, and its body. `ends`: no more are
    to come."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer, json.loads(answer.read())


def test_it_starts_in_order_logs_in_json_and_writes_nothing_elsewhere(server: Server) -> None:
    status, report = server.ask("GET", "/health")

    steps = [line["step"] for line in server.lines if line.get("action") == "start"]
    assert steps == START
    assert (status, report["status"]) == (503, "unhealthy")
    assert [reason["code"] for reason in report["reasons"]] == ["no_worker"]
    assert server.ask("GET", "/health/ready") == (200, {"status": "healthy"})
    assert server.stop() == 0
    assert list(server.folder.iterdir()) == []


def test_200_waiting_clients_leave_health_quick_and_are_let_go_when_it_stops(
    server: Server,
) -> None:
    _, job = server.ask("POST", "/v1/jobs", {"model": "small", "prompt": "x"})
    polls = [server.open_poll(job["id"], 55) for _ in range(WAITERS)]
    wait_for_threads(server, WAITERS)

    taken = sorted(measure_health(server) for _ in range(40))

    assert taken[len(taken) // 2] < HEALTH_SECONDS
    assert taken[int(len(taken) * 0.9)] < HEALTH_SECONDS
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 50
    answers = [poll.recv(12) for poll in polls]
    for poll in polls:
        poll.close()
    assert answers == [b"HTTP/1.1 200"] * WAITERS


def wait_for_threads(server: Server, number: int) -> None:
    """Until the serving process runs at least so many threads: the polls are in their handlers."""
    (child,) = (
        Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    )
    deadline = time.monotonic() + 60
    while len(list(Path(f"/proc/{child}/task").iterdir())) < number:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)


def measure_health(server: Server) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    connection.connect()
    started = time.monotonic()
    connection.request("GET", "/health")
    connection.getresponse().read()
    taken = time.monotonic() - started
    connection.close()
    return taken


def test_a_dead_redis_is_reported_and_jobs_are_still_accepted(
    database_url: str, tmp_path: Path, options: settings.Settings
) -> None:
    gone = settings.Redis(url=f"redis+socket://{tmp_path}/gone.sock")
    server = Server(tmp_path, replace_redis(options, gone))

    try:
        status, report = server.ask("GET", "/health/ready")
        submitted, job = server.ask("POST", "/v1/jobs", {"model": "small", "prompt": "x"})
        listed, _ = server.ask("GET", f"/v1/jobs/{job['id']}")
    finally:
        server.stop()

    assert (status, report["reasons"][0]["code"]) == (503, "redis_unavailable")
    assert (submitted, listed) == (202, 200)


def replace_redis(options: settings.Settings, redis: settings.Redis) -> settings.Settings:
    return settings.Settings(**{**vars(options), "redis": redis})


def test_the_official_client_uploads_creates_lists_downloads_and_cancels(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/v1"
    content = b'{"custom_id": "1"}\n' * 10_000
    with OpenAI(base_url=url, api_key="any", max_retries=0, _strict_response_validation=True) as ai:
        file = ai.files.create(file=("in.jsonl", content), purpose="batch")
        assert ai.files.wait_for_processing(file.id).status == "processed"
        assert ai.files.content(file.id).content == content
        made = [
            ai.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"n": str(number)},
            )
            for number in range(3)
        ]
        assert [batch.id for batch in ai.batches.list(limit=2)] == [b.id for b in made][::-1]
        assert ai.batches.cancel(made[0].id).status == "cancelling"
        assert ai.batches.retrieve(made[1].id).metadata == {"n": "1"}
        assert [model.id for model in ai.models.list()] == ["small"]
        assert ai.files.delete(file.id).deleted
        with pytest.raises(NotFoundError) as caught:
            ai.files.retrieve(file.id)
    assert caught.value.code == "file_not_found"
    assert caught.value.request_id


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_upload_over_the_limit_is_413_also_without_a_length(
    server: Server, options: settings.Settings, is_chunked: bool
) -> None:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )
    body = head + b"x" * 400_000 + b"\r\n--b--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    content = iter([body[:100_000], body[100_000:]]) if is_chunked else body
    connection.request("POST", "/v1/files", content, headers, encode_chunked=is_chunked)
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    connection.close()

    assert (answer.status, error["code"]) == (413, "file_too_large")
    assert list((options.data_dir / "files").iterdir()) == []


def test_importing_the_api_leaves_torch_out(tmp_path: Path) -> None:
    code = (
        "import sys, app.api.wsgi, app.api.server, app.cli.api;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("changes", "status", "part"),
    [
        ({"AUTOGLM_SERVER__HOST": "0.0.0.0"}, 2, "autoglm keys create"),
        ({"AUTOGLM_REDIS__URL": None}, 2, "redis.url"),
        ({"AUTOGLM_DATABASE__URL": "sqlite:////dev/null/x.db"}, 2, "its folder exists"),
        ({"AUTOGLM_DATABASE__URL": None}, 1, "autoglm db upgrade"),
    ],
)
def test_what_cannot_be_served_is_refused_before_the_start_with_the_remedy(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    changes: dict[str, str | None],
    status: int,
    part: str,
) -> None:
    given: dict[str, str | None] = {
        "AUTOGLM_DATABASE__URL": database_url,
        "AUTOGLM_REDIS__URL": redis_url,
        "AUTOGLM_DATA_DIR": str(tmp_path / "data"),
        "AUTOGLM_SERVER__PORT": str(find_port()),
        "LANG": "en_US.UTF-8",
        **changes,
    }
    clean = {name: value for name, value in os.environ.items() if name[:8] != "AUTOGLM_"}
    environ = {**clean, **{name: value for name, value in given.items() if value is not None}}

    done = subprocess.run(
        [_program(), "api"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == status
    assert part in done.stderr
    assert "Traceback" not in done.stderr
