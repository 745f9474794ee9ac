"""Clients: they submit with idempotency keys, repeat what was not answered, and remember every id."""

import contextlib
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
_PRIORITY = -20  # behind the jobs of faults and batches, which would wait for all of these
_LONGEST_SECONDS = 300.0  # an outage on a machine that others use too
_ACCEPTED = 202
_REFUSALS = (429, 503, 507)


@dataclass(frozen=True)
class Sent:
    """One acknowledged submission. `code` is the error that it must end with."""

    job_id: str
    key: str
    body: dict[str, Any]
    is_cancelled: bool = False
    code: str | None = None


@dataclass
class Answers:
    """How the service answered, for the report."""

    refused: int = 0  # 503, 429, 507
    broken: int = 0  # no answer at all
    statuses: list[int] = field(default_factory=list)  # of the refusals
    wrong: list[str] = field(default_factory=list)  # anything else


class Load:
    """A few clients keep about `backlog` jobs open until `stop()`."""

    def __init__(
        self,
        url: str,
        seed: int,
        *,
        model: str,
        count_open: Callable[[], int],
        backlog: int,
        key: str = "",
    ) -> None:
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        self._model = model
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
            thread.join(_LONGEST_SECONDS)
            assert not thread.is_alive(), "I1: a submission was never acknowledged"

    def _run(self) -> None:
        with self.open() as http:
            while not self._stop.is_set():
                if self._is_enough():
                    time.sleep(_PAUSE_SECONDS)
                    continue
                self._send_one(http)

    def submit(self, prompt: str, *, code: str | None = None, **more: Any) -> Sent:
        """One job beside the load; it must succeed, or fail with `code`."""
        key, body, _ = self.next()
        body |= {"prompt": f"{prompt} {body['prompt']}", **more}
        with self.open() as http:
            sent = Sent(self.insist(http, "/v1/jobs", body, key), key, body, code=code)
        self.note(sent)
        return sent

    def submit_cancelled(self, http: httpx.Client, wait_seconds: float) -> None:
        """One job that is cancelled after a while, whatever became of it."""
        key, body, _ = self.next()
        job_id = self.insist(http, "/v1/jobs", body, key)
        time.sleep(wait_seconds)
        self.note(Sent(job_id, key, body, is_cancelled=self.cancel(http, job_id)))

    def ask(self, http: httpx.Client, changes: dict[str, Any]) -> int:
        """The status of a submission that must be refused; repeated until there is an answer."""
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = http.post("/v1/jobs", json={"model": self._model, **changes})
                if answer.status_code not in _REFUSALS:
                    return answer.status_code
            assert time.monotonic() < until, "no answer"
            time.sleep(_PAUSE_SECONDS)

    def demand(self, path: str, **request: Any) -> dict[str, Any]:
        """Posts under an idempotency key until the service accepts."""
        headers = {"Idempotency-Key": self.next()[0]}
        answer = self._repeat(lambda http: http.post(path, headers=headers, **request))
        return dict(answer.json())

    def fetch(self, path: str) -> httpx.Response:
        """Reads until the service answers."""
        return self._repeat(lambda http: http.get(path))

    def _repeat(self, send: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
        until = time.monotonic() + _LONGEST_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError), self.open() as http:
                answer = send(http)
                if answer.is_success:
                    return answer
                assert answer.status_code in _REFUSALS, answer.text
            assert time.monotonic() < until, "no answer"
            time.sleep(_PAUSE_SECONDS)

    def note(self, sent: Sent) -> None:
        """Remembers what was acknowledged."""
        with self._lock:
            self.sent.append(sent)

    def open(self) -> httpx.Client:
        """A client of its own."""
        return httpx.Client(
            base_url=self._url,
            headers=self._headers,
            timeout=20,
            trust_env=False,
            verify=False,  # plain HTTP: reading all certificates takes long
        )

    def _is_enough(self) -> bool:
        try:
            return self._count_open() >= self._backlog
        except Exception:  # noqa: BLE001  the database is away: submit all the same
            return False

    def next(self) -> tuple[str, dict[str, Any], int]:
        with self._lock:
            self._number += 1
            number, dice = self._number, self._random.random()
        body = {"model": self._model, "prompt": f"job {self._seed}-{number}", "seed": number}
        return f"key-{self._seed}-{number}", body | {"max_tokens": 8}, int(dice * 100)

    def _send_one(self, http: httpx.Client) -> None:
        key, body, dice = self.next()
        body |= {"priority": _PRIORITY}
        job_id = self.insist(http, "/v1/jobs", body, key)
        if dice < 5:  # a client that did not see the first answer
            again = self.insist(http, "/v1/jobs", body, key)
            assert again == job_id, f"I10: {key} gave {job_id} and {again}"
        is_cancelled = 5 <= dice < 8 and self.cancel(http, job_id)
        self.note(Sent(job_id, key, body, is_cancelled))

    def insist(self, http: httpx.Client, path: str, body: dict[str, Any], key: str) -> str:
        """Repeats until the service says 202."""
        until = time.monotonic() + _LONGEST_SECONDS
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
        if answer.status_code in _REFUSALS:
            self.answers.refused += 1
            self.answers.statuses.append(answer.status_code)
            assert answer.headers.get("Retry-After"), "a refusal without Retry-After"
        else:
            self.answers.wrong.append(f"{answer.status_code} {answer.text[:200]}")

    def cancel(self, http: httpx.Client, job_id: str) -> bool:
        """Whether the service said that it will be cancelled."""
        try:
            answer = http.post(f"/v1/jobs/{job_id}/cancel")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and bool(answer.json()["cancel_requested"])


def foresee(body: dict[str, Any]) -> str:
    """The text that an undisturbed fake engine gives: every attempt must give the same."""
    engine = fake.build(settings.Model("fake", backend="fake"))
    prompt = plain.Bytes().prompt([{"role": "user", "content": body["prompt"]}])
    sampling = Sampling(
        max_tokens=body["max_tokens"],
        seed=body["seed"],
        ignore_eos=body.get("ignore_eos", False),
    )
    engine.add(Request("r", tuple(prompt), sampling))
    while not (outputs := engine.step()):
        pass
    return outputs[0].text
