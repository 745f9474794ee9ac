"""F29 of the fault matrix: uploads that are too much in one way or another cost neither memory nor disk."""

import contextlib
import gzip
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app import settings
from app.models.database import Database
from app.workers import ingest
from tests.integration import inputs, makers
from tests.integration.test_api_server import Server
from tests.integration.test_api_server import options as options  # a fixture
from tests.integration.test_api_server import server as server  # a fixture

pytestmark = pytest.mark.integration
PIECE = b"x" * 65_536
MOST_BYTES = 400 << 20  # sent to the server before it must have had enough
SPARE_BYTES = 48 << 20  # that the server's memory may grow by
FIELD = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(FIELD % b"purpose" + b"batch\r\n" + FILE, id="in the file"),
        pytest.param(FIELD % b"purpose", id="in a field"),
        pytest.param(b'--b\r\nContent-Disposition: form-data; name="', id="in a header"),
        pytest.param(b"", id="before the first part"),
    ],
)
def test_an_upload_without_an_end_is_cut_off_and_costs_neither_memory_nor_disk(
    server: Server, options: settings.Settings, start: bytes
) -> None:
    before = measure_memory(server)

    sent, answer = send_endlessly(server.port, start)

    assert sent < MOST_BYTES
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")) or not answer
    assert measure_memory(server) < before + SPARE_BYTES
    files = options.data_dir / "files"
    assert not files.exists() or list(files.iterdir()) == []
    assert server.ask("GET", "/v1/files")[1]["data"] == []


def measure_memory(server: Server) -> int:
    (child,) = psutil.Process(server.process.pid).children()
    return int(child.memory_info().rss)


def send_endlessly(port: int, start: bytes) -> tuple[int, bytes]:
    """How many bytes were taken, and what the server said (nothing, where it only hung up)."""
    head = (
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=100) as connection:
        connection.sendall(head)
        sent = 0
        with contextlib.suppress(ConnectionError):
            for piece in pieces(start):
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                sent += len(piece)
        return sent, read_answer(connection) if sent < MOST_BYTES else b""


def pieces(start: bytes) -> Iterator[bytes]:
    if start:
        yield start
    for _ in range(MOST_BYTES // len(PIECE)):
        yield PIECE


def read_answer(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionError:
        return b""


def test_a_packed_upload_is_refused_unread(server: Server, options: settings.Settings) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as bomb:
        for _ in range(200):
            bomb.write(PIECE)
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {packed.tell()}\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", server.port), timeout=100) as connection:
        connection.sendall(head.encode() + packed.getvalue())
        assert connection.recv(100).startswith(b"HTTP/1.1 415")

    files = options.data_dir / "files"
    assert not files.exists() or list(files.iterdir()) == []


def test_a_file_of_50001_lines_fails_its_batch_and_stores_no_job(
    database: Database, tmp_path: Path
) -> None:
    context = inputs.make_context(database, tmp_path)
    assert context.settings.limits.max_batch_lines == 50_000
    batch = inputs.submit(context, (inputs.make_line(number) for number in range(50_001)))

    ingest.run(context, batch.id)

    ended = makers.reload(database, batch)
    assert (ended.status, ended.lines_ingested) == ("failed", 0)
    assert [error["code"] for error in ended.errors or ()] == ["too_many_tasks"]
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one() == 0
