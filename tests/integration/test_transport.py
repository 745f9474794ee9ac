"""Connections to Redis that end, with work in hand: nothing of them stays open."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu.asynchronous import Hub

from app import queue
from app.models.database import Database
from app.stack import ports
from app.workers import messages
from tests.conftest import find_redis
from tests.faults.toxics import Proxy
from tests.integration.workplace import Program, fake_model, opened, wait_for

pytestmark = pytest.mark.integration
ROUNDS = 3
LOST = "Connection to broker lost"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    port = ports.find_free()
    command = [find_redis(), "--port", str(port), "--save", ""]
    with contextlib.ExitStack() as ends:  # the server is killed even if the proxy cannot be closed
        server = ends.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        ends.callback(server.kill)
        yield ends.enter_context(contextlib.closing(Proxy(("127.0.0.1", port), 1)))


@pytest.fixture
def app(proxy: Proxy) -> Iterator[Any]:
    made = queue.make_app(f"redis://127.0.0.1:{proxy.port}/0")
    messages.harden(made)
    wait_for(lambda: is_answering(made), "redis")
    yield made
    made.close()


def is_answering(app: Any) -> bool:
    with contextlib.suppress(*queue.BROKER_ERRORS):
        return queue.count_waiting(app, "m") >= 0
    return False


def is_listening(app: Any) -> bool:
    """Whether a worker answers a remote command: all of it has started again by then."""
    with contextlib.suppress(*queue.BROKER_ERRORS):
        return bool(app.control.ping(timeout=2))
    return False


def has_lost(worker: Program, times: int) -> bool:
    return worker.text.count(LOST) >= times


def count_sockets(pid: int | None = None) -> int:
    """Those too whose other end is gone."""
    folder, found = Path(f"/proc/{pid or os.getpid()}/fd"), 0
    for each in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(folder / each).startswith("socket:")
    return found


def receive(app: Any, connection: Any) -> Any:
    """One message of queue m, not acknowledged."""
    received: list[Any] = []
    connection.Producer().publish("x", routing_key="m")
    with app.amqp.TaskConsumer(connection, queues=[app.amqp.queues["m"]]) as consumer:
        consumer.on_message = received.append
        wait_for(lambda: drain(connection, received), "a message")
    return received[0]


def drain(connection: Any, received: list[Any]) -> bool:
    with contextlib.suppress(TimeoutError):
        connection.drain_events(timeout=1)
    return bool(received)


def wait_closed(before: int, pid: int | None = None) -> None:
    """The proxy's own ends, in this process, follow a moment later."""
    wait_for(lambda: count_sockets(pid) <= before, "closed sockets")


def count_unacked(app: Any) -> int:
    with app.connection_for_write() as connection:
        return int(connection.default_channel.client.hlen("unacked"))


def test_an_ended_connection_gives_back_what_it_held_and_leaves_nothing_open(app: Any) -> None:
    before = count_sockets()
    connection = app.connection_for_read()
    message = receive(app, connection)

    connection.close()

    wait_closed(before)
    assert (count_unacked(app), queue.count_waiting(app, "m")) == (0, 1)
    assert message is not None


def test_what_is_acknowledged_after_its_connection_was_lost_leaves_nothing_open(
    app: Any, proxy: Proxy
) -> None:
    before = count_sockets()
    connection = app.connection_for_read()
    message = receive(app, connection)
    proxy.set("down")
    connection.collect()
    wait_closed(before)
    proxy.set(None)
    assert count_unacked(app) == 1, "nothing could be given back"

    message.ack()

    assert count_unacked(app) == 0
    wait_closed(before)


@pytest.mark.parametrize("answer", ["ack", "reject"])
def test_a_message_whose_answer_was_lost_frees_its_place(
    app: Any, proxy: Proxy, answer: str
) -> None:
    connection = app.connection_for_read()
    connection.default_channel.basic_qos(0, 1, False)
    message = receive(app, connection)
    assert not message.channel.qos.can_consume()

    proxy.set("down")
    with pytest.raises(queue.BROKER_ERRORS):
        getattr(message, answer)()

    assert message.channel.qos.can_consume()
    proxy.set(None)
    connection.collect()


def test_an_event_loop_lets_go_of_a_lost_connection(app: Any, proxy: Proxy) -> None:
    hub, before = Hub(), count_sockets()
    connection = app.connection_for_read()
    message = receive(app, connection)
    connection.channel()  # as the one of the remote commands
    connection.transport.register_with_event_loop(connection.connection, hub)
    assert hub.on_tick

    proxy.set("reset_peer")
    connection.collect()

    assert hub.on_tick == set()
    wait_closed(before)
    assert message is not None
    hub.timer.clear()
    hub.close()


@pytest.mark.parametrize("toxic", ["reset_peer", "down"])
def test_a_worker_keeps_no_file_of_a_connection_that_was_lost_in_a_shift(
    proxy: Proxy, app: Any, database: Database, tmp_path: Path, toxic: str
) -> None:
    url = f"redis://127.0.0.1:{proxy.port}/0"
    endless = fake_model(step_seconds=0.05, max_context=100_000)
    with opened(database, url, tmp_path / "w", models=(endless,), shift_seconds=600) as place:
        worker = place.start_worker()
        place.wait_idle()
        job = place.add(max_tokens=50_000)
        place.hint([job])
        place.wait_running(job)
        wait_for(lambda: is_listening(app), "a worker that listens")
        before = count_sockets(worker.pid)

        for _ in range(ROUNDS):
            known = worker.text.count(LOST)
            proxy.set(toxic)
            wait_for(partial(has_lost, worker, known + 1), "the loss")
            proxy.set(None)
            wait_for(lambda: is_listening(app), "a worker that listens again")

        wait_closed(before, worker.pid)
        assert place.get(job).state == "running"
