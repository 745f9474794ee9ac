"""The load: clients that keep jobs of several tenants open, some of them in sessions, and remember every id."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from tests.faults import invariants
from tests.faults.clients import LONGEST_SECONDS, PAUSE_SECONDS, REFUSALS, Clients
from tests.faults.sent import Caller, Line, Sent, foresee
from tests.faults.talks import Talks

__all__ = ["Load", "Sent", "foresee"]
_CLIENTS = 6
_PRIORITY = -20  # behind the jobs of faults and batches, which would wait for all of these
_UNKNOWN = 404


class Load(Clients):
    """A few clients keep about `backlog` jobs open until `stop()`. They belong to the `callers` in
    turn; with `count_talk`, a tenth of the jobs goes on with one of a few sessions."""

    def __init__(
        self,
        url: str,
        seed: int,
        *,
        model: str,
        count_open: Callable[[], int],
        backlog: int,
        key: str = "",
        callers: Sequence[Caller] = (),
        count_talk: Callable[[str], int] | None = None,
    ) -> None:
        super().__init__(url, seed, model=model, callers=callers or (Caller(key=key),))
        self._count_open = count_open
        self._backlog = backlog
        self._stop = threading.Event()
        self._talks = Talks(self.callers, count_talk) if count_talk else None
        self.sent: list[Sent] = []
        self.lines: dict[tuple[str, str], Line] = {}  # by batch and custom id
        owners = [self.callers[number % len(self.callers)] for number in range(_CLIENTS)]
        self._threads = [
            threading.Thread(target=self._run, args=(owner,), daemon=True) for owner in owners
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after what is being sent now is acknowledged: an unanswered one is repeated."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LONGEST_SECONDS)
            assert not thread.is_alive(), "I1: a submission was never acknowledged"

    def expect(self) -> invariants.Expected:
        """What was acknowledged until now: rows that are read later must agree with it."""
        with self._lock:
            sent = list(self.sent)
        return invariants.Expected(
            accepted={each.job_id for each in sent},
            cancelled={each.job_id for each in sent if each.is_cancelled},
        )

    def note(self, sent: Sent) -> None:
        """Remembers what was acknowledged."""
        with self._lock:
            self.sent.append(sent)

    def submit(self, prompt: str, *, code: str | None = None, **more: Any) -> Sent:
        """One job beside the load; it must succeed, or fail with `code`."""
        key, body, _ = self.next()
        body |= {"prompt": f"{prompt} {body['prompt']}", **more}
        with self.open() as http:
            job_id, asked_at = self.insist_timed(http, "/v1/jobs", body, key)
        sent = Sent(job_id, key, body, code=code, caller=self.callers[0], asked_at=asked_at)
        self.note(sent)
        return sent

    def submit_cancelled(self, http: httpx.Client, wait_seconds: float) -> Sent:
        """One job that is cancelled after a while, whatever became of it."""
        key, body, _ = self.next()
        job_id = self.insist(http, "/v1/jobs", body, key)
        time.sleep(wait_seconds)
        is_cancelled = self.cancel(http, job_id)
        sent = Sent(job_id, key, body, is_cancelled, may_be_cancelled=True, caller=self.callers[0])
        self.note(sent)
        return sent

    def note_lines(self, batch_id: str, lines: Mapping[str, Line]) -> None:
        """Remembers what a batch was made of; its lines by their custom ids."""
        with self._lock:
            self.lines |= {(batch_id, custom_id): line for custom_id, line in lines.items()}

    def _run(self, caller: Caller) -> None:
        with self.open(caller) as http:
            while not self._stop.is_set():
                if self._is_enough():
                    time.sleep(PAUSE_SECONDS)
                    continue
                try:
                    self._send_one(http, caller)
                except Exception as error:  # noqa: BLE001  a thread's end is not seen
                    self.answers.wrong.append(repr(error))

    def _is_enough(self) -> bool:
        try:
            return self._count_open() >= self._backlog
        except Exception:  # noqa: BLE001  the database is away: submit all the same
            return False

    def _send_one(self, http: httpx.Client, caller: Caller) -> None:
        key, body, dice = self.next()
        body |= {"priority": _PRIORITY}
        if self._talks is not None and dice >= 90:
            session_id = self._talks.choose(caller, http, dice)
            body |= {"session_id": session_id} if session_id else {}
        job_id = self.insist(http, "/v1/jobs", body, key)
        if dice < 5:  # a client that did not see the first answer
            again = self.insist(http, "/v1/jobs", body, key)
            assert again == job_id, f"I10: {key} gave {job_id} and {again}"
        if dice == 8:
            self._intrude(http, caller, job_id)
        is_unwanted = 5 <= dice < 8 or dice == 99
        is_cancelled = is_unwanted and self.cancel(http, job_id)
        self.note(Sent(job_id, key, body, is_cancelled, None, is_unwanted, caller))

    def _intrude(self, http: httpx.Client, owner: Caller, job_id: str) -> None:
        """Other tenants read and cancel the job: to them, there is none."""
        strangers = [each for each in self.callers if each.tenant_id != owner.tenant_id]
        for stranger in strangers:
            for method, action in (("GET", ""), ("POST", "/cancel")):
                with contextlib.suppress(httpx.TransportError):
                    url = f"/v1/jobs/{job_id}{action}"
                    answer = http.request(method, url, headers=stranger.headers)
                    is_hidden = answer.status_code in (_UNKNOWN, *REFUSALS)
                    assert is_hidden, f"I8: {stranger.tenant_id}: {method} {job_id}: {answer.text}"
