"""Clients: they submit with idempotency keys, repeat what was not answered, and remember every id."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from app import settings
from app.inference import fake
from app.inference.engine import Request, Sampling
from app.text import plain

_PAUSE_SECONDS = 0.2
_CLIENTS = 6
_ACCEPTED = 202


@dataclass(frozen=True)
class Sent:
    """One acknowledged submission."""

    job_id: str
    key: str
    body: dict[str, Any]
    is_cancelled: bool = False


@dataclass
class Answers:
    """How the service answered, for the report."""

    refused: int = 0  # 503, 429, 507
    broken: int = 0  # no answer at all
    wrong: list[str] = field(default_factory=list)  # anything else


class Load:
    """A few clients keep about `backlog` jobs open until `stop()`."""

    def __init__(self, url: str, seed: int, *, count_open: Callable[[], int], backlog: int) -> None:
        self._url = url
        self._random = random.Random(seed)
        self._seed = seed
        self._count_open = count_open
        self._backlog = backlog
        self._number = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.sent: list[Sent] = []
        self.answers = Answers()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after what is being sent now is acknowledged: an unanswered one is repeated."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "I1: a submission was never acknowledged"

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20, trust_env=False) as http:
            while not self._stop.is_set():
                if self._is_enough():
                    time.sleep(_PAUSE_SECONDS)
                    continue
                self._send_one(http)

    def _is_enough(self) -> bool:
        try:
            return self._count_open() >= self._backlog
        except Exception:  # noqa: BLE001  the database is away: submit all the same
            return False

    def _next(self) -> tuple[str, dict[str, Any], int]:
        with self._lock:
            self._number += 1
            number, dice = self._number, self._random.random()
        body = {"model": "fake", "prompt": f"job {self._seed}-{number}", "seed": number}
        return f"key-{self._seed}-{number}", body | {"max_tokens": 8}, int(dice * 100)

    def _send_one(self, http: httpx.Client) -> None:
        key, body, dice = self._next()
        job_id = self._insist(http, "/v1/jobs", body, key)
        if dice < 5:  # a client that did not see the first answer
            again = self._insist(http, "/v1/jobs", body, key)
            assert again == job_id, f"I10: {key} gave {job_id} and {again}"
        is_cancelled = 5 <= dice < 8 and self._cancel(http, job_id)
        with self._lock:
            self.sent.append(Sent(job_id, key, body, is_cancelled))

    def _insist(self, http: httpx.Client, path: str, body: dict[str, Any], key: str) -> str:
        """Repeats until the service says 202."""
        until = time.monotonic() + 110
        while True:
            try:
                answer = http.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.answers.broken += 1
            else:
                if answer.status_code == _ACCEPTED:
                    return str(answer.json()["id"])
                self._note(answer)
            assert time.monotonic() < until, f"I1: {key} was never acknowledged"
            time.sleep(_PAUSE_SECONDS)

    def _note(self, answer: httpx.Response) -> None:
        if answer.status_code in (429, 503, 507):
            self.answers.refused += 1
            assert answer.headers.get("Retry-After"), "a refusal without Retry-After"
        else:
            self.answers.wrong.append(f"{answer.status_code} {answer.text[:200]}")

    def _cancel(self, http: httpx.Client, job_id: str) -> bool:
        """Whether the service said that it will be cancelled."""
        try:
            answer = http.post(f"/v1/jobs/{job_id}/cancel")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and bool(answer.json()["cancel_requested"])


def foresee(body: dict[str, Any]) -> str:
    """The text that an undisturbed engine gives: every attempt must give the same."""
    engine = fake.build(settings.Model("fake", backend="fake"))
    prompt = plain.Bytes().prompt([{"role": "user", "content": body["prompt"]}])
    sampling = Sampling(max_tokens=body["max_tokens"], seed=body["seed"])
    engine.add(Request("r", tuple(prompt), sampling))
    while not (outputs := engine.step()):
        pass
    return outputs[0].text
