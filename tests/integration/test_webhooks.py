"""Webhooks: told once it is over, signed, tried again, and never sent where they must not go."""

import base64
import dataclasses
import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from app import settings
from app.errors import BadRequest
from app.models import batches, claims, deliveries, jobs, keys
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import BatchState
from app.wire import callbacks
from app.workers import foresight, outlet, webhooks
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.apis import Api

pytestmark = [pytest.mark.integration, pytest.mark.databases]
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
CLIENT = openai.OpenAI(api_key="none", webhook_secret=SECRET)


class Receiver(http.server.ThreadingHTTPServer):
    """A real HTTP server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}/hook?a=b"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers.items()), content))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from receiving()


def receiving() -> Iterator[Receiver]:
    """A receiver for as long as somebody iterates."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def make_options(receiver: Receiver, **changes: Any) -> settings.Webhooks:
    given: dict[str, Any] = {"secret": SECRET, "loopback": (receiver.host,)}
    return settings.Webhooks(**(given | {"first_pause_seconds": 0.01} | changes))


@pytest.fixture
def context(database: Database, tmp_path: Path, receiver: Receiver) -> Context:
    return inputs.make_context(database, tmp_path, webhooks=make_options(receiver))


def work(context: Context) -> int:
    """One round of a messenger that has just started: it knows nothing but the rows."""
    with ThreadPoolExecutor(2) as pool:
        return webhooks.Messenger(context).work(pool)


def end(db: Database, state: BatchState, **changes: Any) -> str:
    """A batch that ended in this state."""
    batch = makers.add_batch(db, **changes)
    if state == BatchState.FAILED:
        batches.refuse(db, batch.id, [])
        return batch.id
    batches.accept(db, batch.id, model=makers.MODEL, total=0)
    if state == BatchState.CANCELLED:
        batches.cancel(db, batch.tenant_id, batch.id)
    else:
        batches.start_finalizing(db, batch.id)
    assert batches.finish(db, batch.id, state, output_file_id=None, error_file_id=None)
    return batch.id


ENDS = [BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED]


@pytest.mark.parametrize("state", ENDS)
def test_openais_client_unwraps_what_is_told_of_a_batch(
    context: Context, receiver: Receiver, state: BatchState
):
    batch_id = end(context.db, state, webhook=receiver.url)

    work(context)

    ((path, headers, content),) = receiver.got
    event: Any = CLIENT.webhooks.unwrap(content, headers)
    assert path == "/hook?a=b"
    assert (event.type, event.data.id, event.object) == (f"batch.{state}", batch_id, "event")
    assert type(event).__name__ == f"Batch{state.capitalize()}WebhookEvent"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        CLIENT.webhooks.unwrap(content.replace(b"event", b"evenT"), headers)


def test_nothing_is_told_before_the_end_nor_twice_after_it(context: Context, receiver: Receiver):
    makers.add_batch(context.db, 1, webhook=receiver.url)
    assert work(context) == 0

    end(context.db, BatchState.COMPLETED, webhook=receiver.url)

    assert [work(context) for _ in range(3)] == [1, 0, 0]
    assert len(receiver.got) == 1


def test_a_batch_that_will_miss_its_window_is_told_once(context: Context, receiver: Receiver):
    batch = makers.add_batch(context.db, 1, webhook=receiver.url, window_seconds=0)
    makers.add_batch(context.db, 1, webhook=receiver.url)

    for _ in range(2):
        foresight.run(context)
        work(context)

    ((_, headers, content),) = receiver.got
    event: Any = CLIENT.webhooks.unwrap(content, headers)
    assert (event.type, event.data.id) == ("batch.at_risk", batch.id)


def test_a_job_is_told_with_its_state(context: Context, receiver: Receiver):
    job = makers.add_job(context.db, webhook=receiver.url)
    makers.add_job(context.db)
    holder = makers.add_worker(context.db)
    claims.settle(context.db, [makers.succeed(each) for each in makers.take(context.db, holder)])

    work(context)

    ((_, _, content),) = receiver.got
    assert b'"type": "job.succeeded"' in content
    assert job.id.encode() in content


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("stop", "completed"), ("length", "incomplete"), (None, "failed"), ("cancel", "cancelled")],
)
def test_a_background_response_is_told_in_openais_words(
    context: Context, receiver: Receiver, reason: str | None, kind: str
):
    options = make_options(receiver, endpoints=(f"http://{receiver.host}/all",))
    context = inputs.make_context(context.db, context.settings.data_dir, webhooks=options)
    job = makers.add_job(context.db, endpoint="/v1/responses", is_announced=True)
    if reason == "cancel":
        jobs.cancel(context.db, DEFAULT_TENANT, job.id)
    else:
        (taken,) = makers.take(context.db, makers.add_worker(context.db))
        done = makers.succeed(taken)
        if reason and done.result:
            done = dataclasses.replace(
                done, result=dataclasses.replace(done.result, finish_reason=reason)
            )
        claims.settle(context.db, [done if reason else makers.fail(taken)])

    work(context)

    ((path, headers, content),) = receiver.got
    event: Any = CLIENT.webhooks.unwrap(content, headers)
    assert path == "/all"
    assert event.type == f"response.{kind}"
    assert event.data.id == job.id.replace("job_", "resp_")


def test_a_delivery_that_fails_is_tried_again_with_the_same_event(
    context: Context, receiver: Receiver
):
    receiver.answers = [500, 302, 204]
    batch_id = end(context.db, BatchState.COMPLETED, webhook=receiver.url)

    for _ in range(3):
        makers.age(context.db, "deliveries", "next_at", 1)
        work(context)

    (told,) = deliveries.list_all(context.db, DEFAULT_TENANT, batch_id)
    assert (told.state, told.attempts, told.status_code) == ("delivered", 3, 204)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    assert len({content for _, _, content in receiver.got}) == 1
    assert len(receiver.got) == 3  # a redirect is not followed


def test_a_delivery_waits_longer_each_time_and_then_is_given_up(
    context: Context, receiver: Receiver
):
    slow = make_options(receiver, first_pause_seconds=100, max_attempts=3)
    context = inputs.make_context(context.db, context.settings.data_dir, webhooks=slow)
    receiver.answers = [500, 500, 500]
    batch_id = end(context.db, BatchState.COMPLETED, webhook=receiver.url)

    pauses = []
    for _ in range(3):
        assert work(context) == 1
        assert work(context) == 0
        (told,) = deliveries.list_all(context.db, DEFAULT_TENANT, batch_id)
        pauses.append(round(told.next_at - told.created_at, -2))
        makers.age(context.db, "deliveries", "next_at", 1)

    assert pauses[:2] == [100, 400]
    assert (told.state, told.attempts, told.status_code) == ("failed", 3, 500)
    assert work(context) == 0


def test_an_attempt_that_died_with_its_process_is_made_again(context: Context, receiver: Receiver):
    end(context.db, BatchState.COMPLETED, webhook=receiver.url)
    deliveries.announce(context.db, ())
    (lost,) = deliveries.take_due(context.db, limit=9, busy_seconds=60)

    assert work(context) == 0
    makers.age(context.db, "deliveries", "next_at", 1)
    assert work(context) == 1

    deliveries.record(context.db, lost, state="failed", status_code=None, reason="late")
    (told,) = deliveries.list_all(context.db, DEFAULT_TENANT, lost.object_id)
    assert (told.state, told.attempts) == ("delivered", 2)


def test_the_operators_endpoints_hear_of_every_batch_and_no_tenant_sees_that(
    context: Context, receiver: Receiver
):
    options = make_options(receiver, endpoints=(f"http://{receiver.host}/all",))
    context = inputs.make_context(context.db, context.settings.data_dir, webhooks=options)
    keys.create(context.db, "n", "other")
    batch_id = end(context.db, BatchState.COMPLETED, tenant_id="other", webhook=receiver.url)

    work(context)

    by_path = {path: (headers, content) for path, headers, content in receiver.got}
    own = callbacks.derive_secret(SECRET, "other", DEFAULT_TENANT)
    (told,) = deliveries.list_all(context.db, "other", batch_id)
    assert told.url == receiver.url
    CLIENT.webhooks.unwrap(by_path["/all"][1], by_path["/all"][0])
    CLIENT.webhooks.unwrap(by_path["/hook?a=b"][1], by_path["/hook?a=b"][0], secret=own)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        CLIENT.webhooks.unwrap(by_path["/hook?a=b"][1], by_path["/hook?a=b"][0])


def test_what_ended_while_webhooks_were_off_is_no_news(context: Context, receiver: Receiver):
    off = inputs.make_context(context.db, context.settings.data_dir)
    batch_id = end(context.db, BatchState.COMPLETED)
    work(off)

    options = make_options(receiver, endpoints=(receiver.url,))
    work(
        dataclasses.replace(
            context, settings=dataclasses.replace(context.settings, webhooks=options)
        )
    )

    assert receiver.got == []
    assert deliveries.list_all(context.db, DEFAULT_TENANT, batch_id) == []


PRIVATE = [
    *("127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_host_with_a_private_address_is_not_called(address: str):
    options = settings.Webhooks(secret=SECRET, allow=("hooks.test",))
    names = [answer("93.184.216.34"), answer(address)]

    with pytest.raises(outlet.Refused, match="webhook_address_private"):
        outlet.Outlet(options, lambda *_, **__: names).post("https://hooks.test/", b"", {})


def test_a_url_that_the_list_no_longer_has_is_not_called() -> None:
    """It was accepted under another list, or taken over by a batch that is run again."""
    options = settings.Webhooks(secret=SECRET, allow=("hooks.test",))

    with pytest.raises(BadRequest, match="webhook_not_allowed"):
        outlet.Outlet(options, refuse_to_resolve).post("https://left.test/", b"", {})


def refuse_to_resolve(*_: Any, **__: Any) -> Any:
    raise AssertionError


def answer(address: str) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))


def test_the_name_is_resolved_once_and_the_checked_address_is_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """A name server that turns to loopback after the check: nobody asks it a second time."""
    called: list[Any] = []

    def refuse(address: Any, **_: Any) -> Any:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    names = iter([[answer("93.184.216.34")], [answer("127.0.0.1")]])
    options = settings.Webhooks(secret=SECRET, allow=("hooks.test",))

    with pytest.raises(ConnectionRefusedError):
        outlet.Outlet(options, lambda *_, **__: next(names)).post("https://hooks.test/", b"", {})

    assert called == [("93.184.216.34", 443)]


def test_an_answer_that_drips_is_cut_off(receiver: Receiver):
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        options = settings.Webhooks(secret=SECRET, loopback=(host,), timeout_seconds=0.4)
        dripping = threading.Thread(target=_drip, args=(server,))
        dripping.start()
        with pytest.raises((OSError, http.client.HTTPException)):
            outlet.Outlet(options).post(f"http://{host}/", b"", {})
        dripping.join(60)
    assert not dripping.is_alive()


def _drip(server: socket.socket) -> None:
    """One byte of a header now and then, for longer than any test waits."""
    peer, _ = server.accept()
    with peer:
        for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 5000:
            try:
                peer.sendall(bytes([letter]))
            except OSError:
                return
            threading.Event().wait(0.05)


URLS = [
    ("http://hooks.test/", "webhook_url_invalid"),  # an allowed host, but not by https
    ("https://other.test/", "webhook_not_allowed"),
    ("https://hooks.test:8443/", "webhook_not_allowed"),
    ("https://hooks.test.evil.test/", "webhook_not_allowed"),
    ("https://2130706433/", "webhook_not_allowed"),
    ("https://evilwild.test/", "webhook_not_allowed"),
    ("https://user@hooks.test/", "webhook_url_invalid"),
    ("https://hooks.test/#x", "webhook_url_invalid"),
    ("https://hooks.test\\@other.test/", "webhook_url_invalid"),
    ("https://hooks.test/\r\nX: y", "webhook_url_invalid"),
    ("https://hooks.test:99999/", "webhook_url_invalid"),
    ("ftp://hooks.test/", "webhook_url_invalid"),
    ("file:///etc/passwd", "webhook_url_invalid"),
    ("https:///x", "webhook_url_invalid"),
    ("", "webhook_url_invalid"),
]


@pytest.mark.parametrize(("url", "code"), URLS)
def test_a_url_outside_the_list_is_refused(url: str, code: str):
    options = settings.Webhooks(secret=SECRET, allow=("hooks.test", "*.wild.test"))

    with pytest.raises(BadRequest, match=code):
        callbacks.check_url(url, options, param="webhook.url")


@pytest.mark.parametrize("url", ["https://hooks.test/a?b=c", "https://a.b.wild.test:443/"])
def test_a_url_of_the_list_is_accepted(url: str):
    options = settings.Webhooks(secret=SECRET, allow=("hooks.test", "*.wild.test"))

    assert callbacks.check_url(url, options, param="webhook.url") == url


def test_the_api_takes_a_webhook_and_shows_its_deliveries(
    database: Database, redis_url: str, tmp_path: Path, receiver: Receiver
):
    options = settings.Settings(
        models=(settings.Model("small", backend="fake"),),
        data_dir=tmp_path,
        webhooks=make_options(receiver),
    )
    api = Api(database, redis_url, tmp_path, options)
    job_id = api.submit(webhook={"url": receiver.url})
    refused = api.client.post(
        "/v1/jobs", json={"model": "small", "prompt": "x", "webhook": {"url": "https://no.test/"}}
    )
    api.client.post(f"/v1/jobs/{job_id}/cancel")
    work(Context(database, options))

    (told,) = api.client.get(f"/v1/jobs/{job_id}/deliveries").json["data"]
    assert (told["event"], told["status"], told["attempts"]) == ("job.cancelled", "delivered", 1)
    assert refused.status_code == 400
    assert refused.json["error"]["code"] == "webhook_not_allowed"
    assert refused.json["error"]["param"] == "webhook.url"
    assert api.client.get("/v1/jobs/job_nope/deliveries").status_code == 404


def test_without_a_secret_a_webhook_is_refused(database: Database, redis_url: str, tmp_path: Path):
    api = Api(database, redis_url, tmp_path)
    body = {"input_file_id": "f", "endpoint": makers.ENDPOINT, "completion_window": "24h"}

    answer = api.client.post("/v1/batches", json=body | {"webhook": {"url": "https://a.test/"}})

    assert answer.json["error"]["code"] == "webhooks_not_configured"
