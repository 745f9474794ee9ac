"""`autoglm up` says why its service cannot be used yet, once, and where it can be, once."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.cli.announcer import Announcer

URL = "http://127.0.0.1:1"


class Service:
    """An API whose health the test sets, and a clock that it moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reasons: list[str] | None = None  # nobody answers
        self.is_broken = False
        self.said: list[str] = []
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("app.cli.announcer.time", clock)
        transport = httpx.MockTransport(self._answer)
        real = httpx.Client

        def connect(**options: Any) -> httpx.Client:
            return real(transport=transport, **options)

        monkeypatch.setattr("app.cli.announcer.httpx.Client", connect)
        self.announcer = Announcer(URL, self._tell, on_ready=lambda: self.said.append("ready"))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.reasons is None:
            raise httpx.ConnectError("refused", request=request)
        if self.is_broken:
            return httpx.Response(500, json={"error": {"code": "internal_error"}})
        shown = [{"message": reason} for reason in self.reasons]
        return httpx.Response(503 if shown else 200, json={"reasons": shown} if shown else {})

    def _tell(self, key: str, **values: Any) -> None:
        self.said.append(f"{key} {values['reason']}")

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.announcer.look()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


def test_a_usual_start_says_nothing_but_that_it_is_ready(service: Service):
    service.wait(3)
    service.reasons = ["no worker is ready"]
    service.wait(8)
    service.reasons = []
    service.wait(30)

    assert service.said == ["ready"]


def test_an_error_without_reasons_is_not_taken_for_health(service: Service):
    service.reasons, service.is_broken = [], True
    service.wait(30)
    assert service.said == []

    service.is_broken = False
    service.wait(2)

    assert service.said == ["ready"]


def test_what_stays_in_the_way_is_told_once(service: Service):
    service.reasons = ["no worker is ready"]
    service.wait(5)
    service.reasons = ["the model cannot be loaded"]
    service.wait(9)
    assert service.said == []

    service.wait(60)

    assert service.said == ["up.not_ready the model cannot be loaded"]
