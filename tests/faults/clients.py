"""What every client does: it numbers its requests, repeats what was not answered, and counts refusals."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.models import keys
from app.models.database import Database
from tests.faults.sent import Caller

PAUSE_SECONDS = 0.2
LONGEST_SECONDS = 300.0  # an outage on a machine that others use too
_ASK_SECONDS = 60.0
_TENANTS = (keys.DEFAULT_TENANT, "other")
_ACCEPTED = 202
REFUSALS = (429, 503, 507)


def enlist(db: Database) -> list[Caller]:
    """Two tenants with a key each: from now on every request needs one."""
    return [Caller(name, keys.create(db, "clients", name)[1]) for name in _TENANTS]


@dataclass
class Answers:
    """How the service answered, for the report."""

    refused: int = 0  # 503, 429, 507
    broken: int = 0  # no answer at all
    statuses: list[int] = field(default_factory=list)  # of the refusals
    wrong: list[str] = field(default_factory=list)  # anything else


class Clients:
    """Requests of the `callers` to one service, the first of them by default."""

    def __init__(self, url: str, seed: int, *, model: str, callers: Sequence[Caller]) -> None:
        self.callers = tuple(callers)
        self.answers = Answers()
        self._url = url
        self._model = model
        self._seed = seed
        self._random = random.Random(seed)
        self._number = 0
        self._lock = threading.Lock()

    def open(self, caller: Caller | None = None) -> httpx.Client:
        """A client of its own."""
        return httpx.Client(
            base_url=self._url,
            headers=(caller or self.callers[0]).headers,
            timeout=20,
            trust_env=False,
            verify=False,  # plain HTTP: reading all certificates takes long
        )

    def next(self) -> tuple[str, dict[str, Any], int]:
        """An idempotency key that nobody had yet, a body, and what dice of 100 sides show."""
        with self._lock:
            self._number += 1
            number, dice = self._number, self._random.random()
        body = {"model": self._model, "prompt": f"job {self._seed}-{number}", "seed": number}
        return f"key-{self._seed}-{number}", body | {"max_tokens": 8}, int(dice * 100)

    def insist(self, http: httpx.Client, path: str, body: Mapping[str, Any], key: str) -> str:
        """Repeats until the service says 202; the id."""
        return self.insist_timed(http, path, body, key)[0]

    def insist_timed(
        self, http: httpx.Client, path: str, body: Mapping[str, Any], key: str
    ) -> tuple[str, float]:
        """The id, and when (monotonic) the request was sent that was accepted."""
        until = time.monotonic() + LONGEST_SECONDS
        while True:
            asked_at = time.monotonic()
            try:
                answer = http.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.answers.broken += 1
            else:
                if answer.status_code == _ACCEPTED:
                    return str(answer.json()["id"]), asked_at
                self._count(answer)
            assert time.monotonic() < until, f"I1: {key} was never acknowledged"
            time.sleep(PAUSE_SECONDS)

    def _count(self, answer: httpx.Response) -> None:
        if answer.status_code in REFUSALS:
            self.answers.refused += 1
            self.answers.statuses.append(answer.status_code)
            assert answer.headers.get("Retry-After"), "a refusal without Retry-After"
        else:
            self.answers.wrong.append(f"{answer.status_code} {answer.text[:200]}")

    def ask(
        self, http: httpx.Client, body: Mapping[str, Any], key: str | None = None
    ) -> httpx.Response:
        """The answer to a submission that must be refused; repeated until there is one."""
        headers = {} if key is None else {"Idempotency-Key": key}
        until = time.monotonic() + _ASK_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                asked = {"model": self._model, **body}
                answer = http.post("/v1/jobs", json=asked, headers=headers)
                if answer.status_code not in REFUSALS:
                    return answer
            assert time.monotonic() < until, "no answer"
            time.sleep(PAUSE_SECONDS)

    def demand(self, path: str, **request: Any) -> dict[str, Any]:
        """Posts under an idempotency key until the service accepts."""
        headers = {"Idempotency-Key": self.next()[0]}
        answer = self._repeat(lambda http: http.post(path, headers=headers, **request))
        return dict(answer.json())

    def fetch(self, path: str) -> httpx.Response:
        """Reads until the service answers."""
        return self._repeat(lambda http: http.get(path))

    def _repeat(self, send: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
        until = time.monotonic() + LONGEST_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError), self.open() as http:
                answer = send(http)
                if answer.is_success:
                    return answer
                assert answer.status_code in REFUSALS, answer.text
            assert time.monotonic() < until, "no answer"
            time.sleep(PAUSE_SECONDS)

    def cancel(self, http: httpx.Client, job_id: str) -> bool:
        """Whether the service said that it will be cancelled."""
        try:
            answer = http.post(f"/v1/jobs/{job_id}/cancel")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and bool(answer.json()["cancel_requested"])
