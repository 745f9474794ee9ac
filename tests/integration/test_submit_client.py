"""The HTTP client's patience: what it tries again, how long it waits, when it gives up."""

import datetime
import email.utils
import time
from collections.abc import Iterator

import pytest

from app import errors
from app.cli import client
from tests.integration.standin import Standin

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[Standin]:
    standin = Standin()
    standin.files["file-x"] = b"{}\n"
    standin.start()
    yield standin
    standin.stop()


def create(
    server: Standin, timeout: float | None = None
) -> tuple[dict[str, object], list[client.Pause]]:
    pauses: list[client.Pause] = []
    with client.Client(server.url, timeout=timeout, on_pause=pauses.append) as api:
        return api.create_batch("file-x", "/v1/completions", idempotency_key="k"), pauses


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_or_broken_server_is_tried_again(server: Standin, status: int) -> None:
    server.refusals["create"] = [(status, {})]

    batch, pauses = create(server)

    assert batch["id"] == "batch_0"
    assert [pause.reason for pause in pauses] == [f"HTTP {status}: Refused on purpose."]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_bad_input_is_not_tried_again(server: Standin, status: int) -> None:
    server.refusals["create"] = [(status, {})]

    with pytest.raises(errors.InputError) as caught:
        create(server)

    told = {"status": status, "message": "Refused on purpose.", "server_code": None}
    assert caught.value.values == told
    assert server.seen["create"] == 1


@pytest.mark.parametrize("status", [401, 403, 404, 409, 501])
def test_other_refusals_are_not_tried_again(server: Standin, status: int) -> None:
    server.refusals["create"] = [(status, {})]

    with pytest.raises(errors.RequestError):
        create(server)

    assert server.seen["create"] == 1


def test_the_servers_own_word_on_trying_again_is_final(server: Standin) -> None:
    server.refusals["create"] = [
        (409, {"x-should-retry": "true"}),
        (503, {"x-should-retry": "false"}),
    ]

    with pytest.raises(errors.RequestError) as caught:
        create(server)

    assert caught.value.values["status"] == 503
    assert server.seen["create"] == 2


def test_retry_after_in_seconds_is_honoured(server: Standin) -> None:
    server.refusals["create"] = [(429, {"Retry-After": "1"})]
    started = time.monotonic()

    _, pauses = create(server)

    assert [pause.seconds for pause in pauses] == [1.0]
    assert time.monotonic() - started >= 1.0


def test_retry_after_as_a_date_is_honoured(server: Standin) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
    server.refusals["create"] = [
        (503, {"Retry-After": email.utils.format_datetime(soon, usegmt=True)})
    ]

    _, pauses = create(server)

    assert 0.5 < pauses[0].seconds <= 5.0


def test_pauses_grow_while_the_server_stays_away(server: Standin) -> None:
    server.refusals["create"] = [(503, {})] * 3

    _, pauses = create(server)

    assert pauses[0].seconds < pauses[1].seconds < pauses[2].seconds


def test_patience_ends_after_the_timeout(server: Standin) -> None:
    server.stop()

    with pytest.raises(errors.Unavailable) as caught:
        create(server, timeout=0.8)

    assert caught.value.code == "server_unavailable"
    assert caught.value.values["seconds"] == 1


def test_a_dropped_connection_is_tried_again(server: Standin) -> None:
    answers = iter([False])
    server.misbehave["create"] = lambda: next(answers, True)

    batch, pauses = create(server)

    assert batch["id"] == "batch_0"
    assert len(pauses) == 1
    assert len(server.batches) == 1


def test_an_answer_that_is_no_object_is_explained(server: Standin) -> None:
    server.files["file-y"] = b"<html>"

    with client.Client(server.url) as api, pytest.raises(errors.RequestError) as caught:
        api.ask("GET", "/v1/files/file-y/content")

    assert caught.value.code == "server_unexpected"


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host", "http://", "http://[::1"])
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        client.normalize(url)

    assert caught.value.values == {"url": url}


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_address_may_end_in_the_version(url: str) -> None:
    assert client.normalize(url) == "http://h:1"


@pytest.mark.parametrize("key", ["two words", "line\nend", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        client.Client("http://127.0.0.1:1", api_key=key)

    assert key not in str(caught.value)
