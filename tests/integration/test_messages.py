"""Hostile messages in Redis: each is logged and dropped, and the worker lives on and works."""

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import queue
from app.models.database import Database
from tests.integration import inputs, makers
from tests.integration.workplace import MODEL, Program, Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration


class _Trap:
    """A pickle that would end whoever loads it."""

    def __reduce__(self):
        return exit, (99,)


def make(body: Any = None, *, task: Any = queue.SHIFT_TASK, **changes: Any) -> dict[str, Any]:
    """A message as ours are, with the changes at its top; `body` is bytes, or becomes JSON."""
    body = [[], {"model": MODEL, "job_ids": []}, {}] if body is None else body
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    message: dict[str, Any] = {
        "body": base64.b64encode(raw).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": task, "id": "forged"},
        "properties": {
            "delivery_tag": "tag",
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "x"},
        },
    }
    return message | changes


HEADERS = {"task": queue.SHIFT_TASK, "id": "forged"}
CUT = json.dumps(make()).encode()[:-20]
HOSTILE: dict[str, Any] = {
    "no message": b"garbage",
    "no text": b"\xff\x00\xfe",
    "truncated JSON": CUT,
    "a number": 7,
    "a list": [1, 2],
    "deeply nested": b"[" * 100_000,
    "a long number": b"9" * 5000,
    "an unknown type": {"__type__": "unknown", "__value__": 1},
    "no properties": {"body": "x"},
    "properties of no use": make(properties=[]),
    "no delivery_tag": make(properties={"delivery_info": {"exchange": "", "routing_key": "x"}}),
    "no delivery_info": make(properties={"delivery_tag": "tag"}),
    "a body that is a number": make() | {"body": 7},
    "a body that is no base64": make() | {"body": "%"},
    "headers that are a list": make(headers=[1]),
    "no headers": make(headers=None),
    "no id": make(headers={"task": queue.SHIFT_TASK}),
    "a task that is a list": make(task=[1]),
    "an unknown task": make(task="os.system"),
    "an unknown task without id": make(headers={"task": "os.system"}),
    "an unknown content type": make() | {"content-type": "application/x-foo"},
    "a pickle": make(pickle.dumps(_Trap()))
    | {"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    "a pickle without a task": make(pickle.dumps(_Trap()), headers={})
    | {"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    "a body of truncated JSON": make(b'[[], {"model": '),
    "a body with too few parts": make([1]),
    "a body that is a word": make("word"),
    "arguments of no use": make([7, 7, 7]),
    "no embedded": make([[], {"model": MODEL, "job_ids": []}, 7]),
    "something to follow": make([[], {"model": MODEL, "job_ids": []}, {"errbacks": [1]}]),
    "a time limit of no use": make(headers={**HEADERS, "timelimit": "soon"}),
    "a time limit that kills": make(headers={**HEADERS, "timelimit": [0.001, None]}),
    "a time of no use": make(headers={**HEADERS, "eta": "soon"}),
    "an end of no use": make(headers={**HEADERS, "expires": [1]}),
    "an unknown compression": make(headers={**HEADERS, "compression": "application/x-foo"}),
    "fifty megabytes": make([[], {"surprise": "x" * 50_000_000}, {}], task="os.system"),
    "fifty megabytes of nothing": b"x" * 50_000_000,
}


def put(place: Workplace, target: str, message: Any) -> None:
    """Into the right end of a queue: it is read after what is there."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    with place.app.connection_for_write() as connection:
        connection.default_channel.client.lpush(target, raw)


def count_unread(place: Workplace, target: str) -> int:
    return queue.count_waiting(place.app, target)


@pytest.fixture(scope="module")
def served(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workplace, Program]]:
    folder = tmp_path_factory.mktemp("hostile")
    url = f"{redis_server}?virtual_host=7"
    with opened(module_database, url, folder, models=(fake_model(),)) as place:
        worker = place.start_worker()
        wait_for(lambda: place.wait_ready().shifts, "a shift that it asked for itself")
        yield place, worker


@pytest.mark.parametrize("name", HOSTILE)
def test_a_worker_drops_what_is_no_message_and_goes_on(
    served: tuple[Workplace, Program], name: str
) -> None:
    place, worker = served
    before = place.wait_ready()
    known = count_complaints(worker)

    put(place, queue.model_queue(MODEL), HOSTILE[name])
    wait_for(lambda: count_complaints(worker) > known, "a line in the log")
    job = place.add(name)
    place.hint([job])

    assert place.wait_ended(job)[0].state == "succeeded"
    assert worker.process.poll() is None
    assert place.wait_ready().epoch == before.epoch, "its child died"
    wait_for(lambda: count_unacked(place) == 0, "nothing left unacknowledged")


def count_complaints(worker: Program) -> int:
    """Lines of warning and worse, by us or by Celery."""
    levels = ("WARNING", "ERROR", "CRITICAL")
    return sum(worker.text.count(f'"level": "{level}"') for level in levels)


def count_unacked(place: Workplace) -> int:
    with place.app.connection_for_write() as connection:
        return int(connection.default_channel.client.hlen("unacked"))


def test_what_is_dropped_is_told_in_one_short_line(served: tuple[Workplace, Program]) -> None:
    place, worker = served
    known = len(worker.lines("message_dropped"))

    put(place, queue.model_queue(MODEL), {"forged": "\n" * 100_000})

    (line,) = wait_for(lambda: worker.lines("message_dropped")[known:], "the line")
    assert line["level"] == "ERROR"
    assert len(line["message"]) < 300


def test_a_control_process_drops_what_is_no_message_and_goes_on(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    models = (fake_model(makers.MODEL),)
    with opened(database, redis_url, tmp_path / "w", models=models) as place:
        control = place.start_control()
        wait_for(lambda: "ready." in control.text, "the control process")
        for name, message in HOSTILE.items():
            if "fifty" not in name:
                put(place, queue.CONTROL, message)

        place.context.files.mkdir(exist_ok=True)
        batch = inputs.submit(place.context, inputs.make_line(1))

        wait_for(lambda: makers.reload(database, batch).total == 1, "its own message to itself")
        assert control.process.poll() is None
        assert len(control.lines("message_dropped")) >= 10
