"""Faults that clients bring: poisonous, wrong, doubled, cancelled and forged requests."""

import contextlib
import pickle
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from kombu import messaging

from app import queue
from tests.faults.injections import MIN_IN_FLIGHT, Inject, Injection, Scene, around, wait_crowded
from tests.faults.load import Sent
from tests.faults.stage import LOOK_SECONDS, MAX_ATTEMPTS, PATIENCE_SECONDS, Stage
from tests.integration.workplace import wait_for

_TRIES = 10
_COMPANY = MIN_IN_FLIGHT + 2
_CALLERS = 4
_COMPANY_TOKENS = 24  # over a second: they run yet when the last one is submitted
_SOCKETS = 100
_LONGEST_SECONDS = 10.0
_DYING_SECONDS = 1.0  # the connections of an API that is killed do not end all at one moment
_BEYOND_BYTES = 5_000  # more than the context of the stage's model


def poison(kind: str, marker: str) -> Inject:
    """F03 and F04 (kills its worker), F22 (never returns): fails after exactly max_attempts, all
    but the first alone."""

    def inject(scene: Scene) -> Injection:
        wait_crowded(scene.stage)
        stage, moment = scene.stage, time.monotonic()
        _bring_company(scene)
        sent = scene.clients.submit(marker, code="worker_crashed")
        wait_for(
            lambda: _read_state(stage, sent) == "failed",
            f"the end of {marker}",
            PATIENCE_SECONDS,
            every=LOOK_SECONDS,
        )
        first, *later = _list_crashes(stage, sent)
        for slot, epoch, _, _ in later:
            company = _count_crashed(stage, slot, epoch)
            assert company == 1, f"I11: {kind}: a suspect ran beside {company - 1} others"
        assert len(later) + 1 == MAX_ATTEMPTS, f"I4: {kind} crashed {len(later) + 1} times"
        in_flight = _count_crashed(stage, first[0], first[1])
        hung = max(ended - claimed for _, _, claimed, ended in later)
        return Injection(kind, moment, in_flight, len(later) + 1, round(hung, 3))

    return inject


def _bring_company(scene: Scene) -> None:
    """Jobs that go before the load's and its suspects: whoever takes the next one has these, too,
    also a worker that another fault has just left without any."""
    with ThreadPoolExecutor(_CALLERS) as pool:
        asking = [
            pool.submit(
                scene.clients.submit, "company", max_tokens=_COMPANY_TOKENS, ignore_eos=True
            )
            for _ in range(_COMPANY)
        ]
    for each in asking:
        each.result()


def _read_state(stage: Stage, sent: Sent) -> object:
    return stage.list_rows("SELECT state FROM jobs WHERE id = :id", id=sent.job_id)[0][0]


def _list_crashes(stage: Stage, sent: Sent) -> list[tuple[str, int, float, float]]:
    """(slot, epoch, claimed at, ended at) of each attempt that died, the first one first."""
    asked = (
        "SELECT slot, epoch, claimed_at, ended_at FROM attempts "
        "WHERE job_id = :id AND outcome = 'crashed' ORDER BY attempt"
    )
    return [tuple(row) for row in stage.list_rows(asked, id=sent.job_id)]


def _count_crashed(stage: Stage, slot: str, epoch: int) -> int:
    asked = "SELECT count(*) FROM attempts WHERE slot = :s AND epoch = :e AND outcome = 'crashed'"
    return stage.ask(asked, s=slot, e=epoch)


def spoil(kind: str, marker: str, code: str) -> Inject:
    """F23 (out of memory alone) and F26 (NaN): that request fails with its code, its neighbours
    do not; the worker lives."""

    def inject(scene: Scene) -> Injection:
        wait_crowded(scene.stage)
        stage, moment = scene.stage, time.monotonic()
        _bring_company(scene)
        sent = scene.clients.submit(marker, code=code)
        wait_for(
            lambda: _read_state(stage, sent) == "failed",
            f"the end of {marker}",
            PATIENCE_SECONDS,
            every=LOOK_SECONDS,
        )
        return Injection(kind, moment, _count_company(stage, sent), 1)

    return inject


def _count_company(stage: Stage, sent: Sent) -> int:
    """Jobs that the same worker had at some time while it had this one."""
    asked = (
        "SELECT count(*) FROM jobs o JOIN jobs j ON j.slot = o.slot AND j.epoch = o.epoch "
        "WHERE j.id = :id AND o.claimed_at <= j.finished_at "
        "AND (o.finished_at IS NULL OR o.finished_at >= j.claimed_at)"
    )
    return stage.ask(asked, id=sent.job_id)


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
            ids = set(pool.map(lambda _: clients.insist(http, "/v1/jobs", body, key), asking))
        assert len(ids) == 1, f"I10: {key} made {len(ids)} jobs"
        clients.note(Sent(ids.pop(), key, body))
        return _TRIES

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
            asked = [scene.clients.ask(http, body) for body in wrong]
        assert set(asked) == {400}, f"F27: answered {asked}"
        return len(asked)

    return around(scene, "F27", action)


def cancel_anytime(scene: Scene) -> Injection:
    """F32: cancelled before its claim, while it runs, and when it may have ended."""

    def action() -> int:
        clients = scene.clients
        with clients.open() as http:
            for wait_seconds in (0.0, 0.1, 0.3, 1.0):
                clients.submit_cancelled(http, wait_seconds)
        return 4

    return around(scene, "F32", action)


class _Trap:
    """A pickle that would end whoever loads it."""

    def __reduce__(self):
        return exit, (99,)


def forge_messages(scene: Scene) -> Injection:
    """F35: an unknown task, wrong arguments, a pickle, five megabytes, and no message at all."""
    stage = scene.stage
    app, target = stage.place.app, queue.model_queue(stage.model.name)

    def action() -> int:
        app.send_task("os.system", args=["true"], queue=target)
        app.send_task(queue.SHIFT_TASK, kwargs={"surprise": 1}, queue=target)
        app.send_task("none", args=["x" * 5_000_000], queue=target)
        with app.connection_for_write() as connection:
            messaging.Producer(connection).publish(
                pickle.dumps(_Trap()),
                routing_key=target,
                content_type="application/x-python-serialize",
                content_encoding="binary",
            )
            if scene.dice.random() < 0.3:  # Celery breaks off; a process manager starts it again
                connection.default_channel.client.lpush(target, b"garbage")
        return 4

    return around(scene, "F35", lambda: _repeat(action))


def _repeat(action: Callable[[], int]) -> int:
    """Until Redis takes it: another fault may have struck it."""
    until = time.monotonic() + 60
    while True:
        try:
            return action()
        except queue.BROKER_ERRORS:
            assert time.monotonic() < until
            time.sleep(0.5)


def crawl(scene: Scene) -> Injection:
    """F30: a hundred clients that stop in the middle of a request do not hold up the others."""

    def action() -> int:
        scene.clients.submit("beside slow ones")
        return wait_for(lambda: _crawl(scene.stage), "an API that lives on meanwhile", 300)

    return around(scene, "F30", action)


def _crawl(stage: Stage) -> int:
    """How many held their connection while another client was answered in time. 0 if the API was
    away: that is another fault's doing, and it ends the connections, too."""
    made = [_dial(stage.api_port) for _ in range(_SOCKETS)]
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


def _dial(port: int) -> socket.socket | None:
    try:
        made = socket.create_connection(("127.0.0.1", port), timeout=2)
        made.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
    except OSError:
        return None
    return made
