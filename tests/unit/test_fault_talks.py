"""The load's sessions: a few for each tenant, bounded in length and in jobs that wait."""

from collections import Counter

import httpx
import pytest

from tests.faults.sent import Caller
from tests.faults.talks import NUM_TALKS, Talks

_CALLERS = (Caller("a", "secret a"), Caller("b", "secret b"))


def _open(status: int = 201) -> httpx.Client:
    """A service that numbers its sessions."""
    made = Counter[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        owner = request.headers["Authorization"][-1]
        made[owner] += 1
        return httpx.Response(status, json={"id": f"{owner}{made[owner]}"})

    return httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))


def _choose(talks: Talks, http: httpx.Client, caller: Caller, numbers: range) -> Counter[str]:
    http.headers.update(caller.headers)
    return Counter(str(talks.choose(caller, http, number)) for number in numbers)


def test_each_tenant_has_its_share_of_the_sessions():
    talks, http = Talks(_CALLERS, lambda _id: 0), _open()

    found = [_choose(talks, http, caller, range(10)) for caller in _CALLERS]

    assert [set(each) for each in found] == [{"a1", "a2"}, {"b1", "b2"}]
    assert sum(map(len, found)) == NUM_TALKS


def test_a_session_that_is_long_enough_makes_room_for_the_next():
    talks, http = Talks(_CALLERS[:1], lambda _id: 0), _open()

    found = _choose(talks, http, _CALLERS[0], range(NUM_TALKS * 30))

    assert max(found.values()) == 12
    assert sum(found.values()) == NUM_TALKS * 30
    assert "None" not in found


@pytest.mark.parametrize("num_open", [3, 4])
def test_a_session_with_enough_open_jobs_gets_no_more(num_open: int):
    talks, http = Talks(_CALLERS, lambda _id: num_open), _open()

    assert _choose(talks, http, _CALLERS[0], range(5)) == {"None": 5}


def test_a_session_that_cannot_be_opened_or_counted_is_left_alone():
    def fail(_id: str) -> int:
        raise ConnectionError

    assert _choose(Talks(_CALLERS, fail), _open(), _CALLERS[0], range(2)) == {"None": 2}
    assert _choose(Talks(_CALLERS, lambda _: 0), _open(503), _CALLERS[0], range(2)) == {"None": 2}
