"""Redis without Redis: what the store's machine needs of Celery, and its faults."""

import contextlib
from collections import defaultdict, deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from kombu.exceptions import OperationalError


class Broker:
    """Queues in memory. `is_down` refuses everything, `restart()` forgets everything."""

    def __init__(self) -> None:
        self.queues: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self.is_down = False

    def send_task(self, task: str, *, kwargs: dict[str, Any], queue: str, **_options: Any) -> None:
        """As Celery.send_task."""
        self._require()
        self.queues[queue].append({"task": task, **kwargs})

    @contextlib.contextmanager
    def connection_for_write(self) -> Iterator[Any]:
        """As Celery's, as far as queue.count_waiting and queue.trim ask."""
        self._require()
        client = SimpleNamespace(llen=lambda name: len(self.queues[name]), ltrim=self._trim)
        yield SimpleNamespace(default_channel=SimpleNamespace(client=client))

    def restart(self) -> None:
        """Comes back empty, as without persistence."""
        self.queues.clear()
        self.is_down = False

    def pop(self, name: str) -> dict[str, Any] | None:
        """Delivers one message."""
        return self.queues[name].popleft() if self.queues[name] else None

    def _trim(self, key: str, first: int, _last: int) -> None:
        """As Redis's; here what is taken first stands left."""
        waiting = self.queues[key.removeprefix("autoglm:")]
        while len(waiting) > -first:
            waiting.pop()

    def _require(self) -> None:
        if self.is_down:
            raise OperationalError("down")
