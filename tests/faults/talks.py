"""Conversations of the load: a few at a time, and none so long that it outgrows the context."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from tests.faults.sent import Caller

NUM_TALKS = 4
_MOST_TURNS = 12
_MOST_OPEN = 3  # a session's jobs run one by one: more of them would hold the drain up


@dataclass
class Talk:
    """A session, and how many jobs were sent to it."""

    session_id: str
    num_sent: int = 0


class Talks:
    """The open sessions of several tenants. `count_open` says how many jobs of a session have not
    ended; it may raise where the database is away."""

    def __init__(self, callers: Sequence[Caller], count_open: Callable[[str], int]) -> None:
        self._count_open = count_open
        self._lock = threading.Lock()
        self._places = -(-NUM_TALKS // len(callers))
        self._talks: dict[str, list[Talk]] = {caller.tenant_id: [] for caller in callers}

    def choose(self, caller: Caller, http: httpx.Client, number: int) -> str | None:
        """The session that job `number` of this caller may go on with; None if it has to wait or
        cannot be opened now."""
        talk = self._find(caller, http, number % self._places)
        if talk is None or not self._has_room(talk):
            return None
        with self._lock:
            talk.num_sent += 1
        return talk.session_id

    def _find(self, caller: Caller, http: httpx.Client, place: int) -> Talk | None:
        with self._lock:
            mine = self._talks[caller.tenant_id]
            if place < len(mine) and mine[place].num_sent < _MOST_TURNS:
                return mine[place]
        made = _open(http)
        if made is None:
            return None
        with self._lock:
            mine[place : place + 1] = [made]
        return made

    def _has_room(self, talk: Talk) -> bool:
        try:
            return self._count_open(talk.session_id) < _MOST_OPEN
        except Exception:  # noqa: BLE001  the database is away
            return False


def _open(http: httpx.Client) -> Talk | None:
    try:
        answer = http.post("/v1/sessions", json={})
    except httpx.TransportError:
        return None
    return Talk(str(answer.json()["id"])) if answer.is_success else None
