"""What is given on the command line: a name leads to no other path, and what cannot be is refused."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner, Result

from app import cli

pytestmark = pytest.mark.integration

NAME, QUOTED = "a/b?c #%2F", "a%2Fb%3Fc%20%23%252F"


class Listener:
    """A server that knows nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        listener = self
        self.paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                listener.paths.append(self.path)
                body = b'{"error": {"code": "not_found", "message": "no"}}'
                self.send_response(404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def run(listener: Listener, *words: str) -> Result:
    return CliRunner().invoke(cli.main, [*words, "--url", listener.url, "--timeout", "5"])


VERBS = ("show", "watch", "results", "retry", "pause", "resume", "cancel", "explain")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        *((("batches", verb, NAME), f"/v1/batches/{QUOTED}") for verb in VERBS),
        (("batches", "line", NAME, NAME), f"/v1/batches/{QUOTED}/lines"),  # and its name as a query
        (("memory", "symbols", NAME), f"/v1/sessions/{QUOTED}/symbols"),
        (("memory", "turns", NAME), f"/v1/sessions/{QUOTED}/turns"),
        (("memory", "export", NAME), f"/v1/sessions/{QUOTED}/export"),
        (("memory", "pin", NAME, NAME), f"/v1/sessions/{QUOTED}/symbols/{QUOTED}/pin"),
        (("memory", "forget", "--scope", NAME, NAME), f"/v1/scopes/{QUOTED}/symbols/{QUOTED}"),
    ],
)
def test_a_name_is_one_part_of_a_path(
    listener: Listener, words: tuple[str, ...], path: str
) -> None:
    done = run(listener, *words)

    assert done.exit_code == 1, done.output
    assert [each.partition("?")[0].startswith(path) for each in listener.paths] == [True]


@pytest.mark.parametrize(
    "words",
    [
        ("batches", "show", ""),
        ("batches", "watch", " "),
        ("batches", "line", "b", ""),
        ("memory", "symbols", ""),
        ("memory", "forget", "s", ""),
    ],
)
def test_a_name_that_is_empty_is_refused(listener: Listener, words: tuple[str, ...]) -> None:
    """`forget` with one would forget everything."""
    done = run(listener, *words)

    assert (done.exit_code, listener.paths) == (2, [])


def test_a_status_that_no_batch_has_is_refused_with_those_that_there_are(
    listener: Listener,
) -> None:
    done = run(listener, "batches", "list", "--status", "nope")

    assert (done.exit_code, listener.paths) == (2, [])
    for status in ("nope", "in_progress", "cancelled", "paused"):
        assert status in done.output
