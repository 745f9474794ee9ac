"""Looks at a service while it runs: each moment must hold by itself, and against the one before."""

from tests.faults import invariants
from tests.faults.load import Load
from tests.faults.stage import MAX_ATTEMPTS, Stage, insist


class Watch:
    """Reads every row in one transaction, as often as it is told to."""

    def __init__(self, stage: Stage, clients: Load) -> None:
        self._stage = stage
        self._clients = clients
        self._before: invariants.Snapshot | None = None
        self.num_looks = 0

    def look(self) -> None:
        """AssertionError with the name of the invariant that does not hold. What clients know is
        asked first: who is acknowledged later need not be among the rows."""
        expected = self._clients.expect()
        now = insist(lambda: invariants.read(self._stage.db))
        invariants.check(now, expected, max_attempts=MAX_ATTEMPTS)
        if self._before is not None:
            invariants.check_step(self._before, now)
        self._before = now
        self.num_looks += 1
