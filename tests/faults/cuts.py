"""The hosts that hold no worker: each is cut off once, for longer than a lease, while jobs run."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tests.faults import injections
from tests.faults.injections import Injection
from tests.faults.load import Load

if TYPE_CHECKING:
    from tests.faults.hosts import Hosts

_MORE_SECONDS = 5.0  # than the lease: whoever could not beat meanwhile has lost it
_LOOK_SECONDS = 0.5

Proof = Callable[[], int]
"""What shows, at this moment, that the host is away; 0 if nothing does."""


def _watch_api(stage: "Hosts", _clients: Load) -> Proof:
    """Nobody reaches the API, and workers go on."""
    ended = stage.count_ended()
    return lambda: 0 if stage.can_reach() else stage.count_ended() - ended


def _watch_redis(stage: "Hosts", clients: Load) -> Proof:
    """The API says that it is not ready, and yet jobs are accepted and run."""
    ended, sent = stage.count_ended(), len(clients.sent)

    def prove() -> int:
        gained = min(stage.count_ended() - ended, len(clients.sent) - sent)
        return gained if stage.is_unready() else 0

    return prove


def _watch_database(stage: "Hosts", _clients: Load) -> Proof:
    """The API lives, and says that it is not ready."""
    return lambda: int(stage.is_unready())


HOSTS = {"api": _watch_api, "redis": _watch_redis, "database": _watch_database}


def strike_each(stage: "Hosts", clients: Load) -> Iterator[Injection]:
    """`recovered_seconds` of each is the time from the healed link until the API, Redis and all
    workers are well."""
    for host, watch in HOSTS.items():
        injections.wait_busy(stage)
        in_flight, moment = stage.count_running(), time.monotonic()
        prove, evidence = watch(stage, clients), 0
        stage.net.cut(host)
        try:
            while time.monotonic() < moment + stage.lease_seconds + _MORE_SECONDS:
                time.sleep(_LOOK_SECONDS)
                evidence = max(evidence, prove())
        finally:
            stage.net.heal(host)
        healed = time.monotonic()
        stage.wait_well()
        recovered = time.monotonic() - healed
        yield Injection(f"partition {host}", moment, in_flight, evidence, recovered)
