"""Faults that clients bring: wrong, doubled, cancelled and endless requests."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.faults.injections import Injection, Scene, around
from tests.faults.sent import Caller, Sent
from tests.faults.stage import Stage
from tests.integration.workplace import wait_for

_TRIES = 10
_SOCKETS = 200
_CONFLICT = 409
_LONGEST_SECONDS = 10.0
_DYING_SECONDS = 1.0  # the connections of an API that is killed do not end all at one moment
_BEYOND_BYTES = 5_000  # more than the context of the stage's model


def double_hints(scene: Scene) -> Injection:
    """F07: the same hint many times."""

    def action() -> int:
        made = 0
        for _ in range(3):
            made += scene.stage.place.context.hint(scene.stage.model.name, [])
        return made

    return around(scene, "F07", action)


def repeat_request(scene: Scene) -> Injection:
    """F16: a client that saw no answer asks ten times at once; then it errs in its body."""

    def action() -> int:
        clients = scene.clients
        key, body, _ = clients.next()
        with ThreadPoolExecutor(_TRIES) as pool, clients.open() as http:
            asking = range(_TRIES)
            ids = list(pool.map(lambda _: clients.insist(http, "/v1/jobs", body, key), asking))
            clients.note(Sent(ids[0], key, body, caller=clients.callers[0]))
            assert len(set(ids)) == 1, f"I10: {key} made {len(set(ids))} jobs"
            wrong = clients.ask(http, body | {"prompt": "something else"}, key)
        assert wrong.status_code == _CONFLICT, f"I10: {key} took another body: {wrong.text}"
        return len(ids)

    return around(scene, "F16", action)


def exceed(scene: Scene) -> Injection:
    """F27: prompts beyond the context, no tokens, a million tokens: refused before any work."""
    wrong = (
        {"prompt": "x" * _BEYOND_BYTES},
        {"prompt": "x", "max_tokens": 0},
        {"prompt": "x", "max_tokens": 1_000_000},
    )

    def action() -> int:
        with scene.clients.open() as http:
            asked = [scene.clients.ask(http, body).status_code for body in wrong]
        assert set(asked) == {400}, f"F27: answered {asked}"
        return len(asked)

    return around(scene, "F27", action)


def cancel_anytime(scene: Scene) -> Injection:
    """F32: cancelled before its claim, while it runs, and when it may have ended."""

    def action() -> int:
        clients = scene.clients
        with clients.open() as http:
            waits = (0.0, 0.1, 0.3, 1.0)
            sent = [clients.submit_cancelled(http, seconds) for seconds in waits]
        return sum(each.is_cancelled for each in sent)

    return around(scene, "F32", action)


def crawl(scene: Scene) -> Injection:
    """F30: two hundred clients that stop in the middle of a request do not hold up the others."""

    def action() -> int:
        scene.clients.submit("beside slow ones")
        return wait_for(
            lambda: _crawl(scene.stage, scene.clients.callers[0]),
            "an API that lives on meanwhile",
            300,
        )

    return around(scene, "F30", action)


def _crawl(stage: Stage, caller: Caller) -> int:
    """How many held their connection while another client was answered in time. 0 if the API was
    away: that is another fault's doing, and it ends the connections, too."""
    made = [_dial(stage.api_port, caller) for _ in range(_SOCKETS)]
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(each) for each in made if each is not None]
        try:
            stage.ask_alive(_LONGEST_SECONDS)
        except httpx.ConnectError:
            return 0
        except httpx.TransportError as error:
            time.sleep(_DYING_SECONDS)
            num_held = sum(map(_is_open, held))
            if num_held:
                raise AssertionError(f"F30: {error!r} beside {num_held} slow clients") from error
            return 0
        return sum(map(_is_open, held))


def _is_open(held: socket.socket) -> bool:
    held.setblocking(False)
    try:
        return bool(held.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _dial(port: int, caller: Caller) -> socket.socket | None:
    headers = {"Host": "a", "Content-Length": "1000", **caller.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    try:
        made = socket.create_connection(("127.0.0.1", port), timeout=2)
        made.sendall(f"POST /v1/jobs HTTP/1.1\r\n{lines}\r\n{{".encode())
    except OSError:
        return None
    return made
