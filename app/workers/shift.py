"""A shift: one Celery task that feeds the engine until nothing is left or its time is up."""

import logging
import time
from collections.abc import Callable

from app.errors import EngineError
from app.inference.engine import Engine
from app.workers.clerk import Clerk
from app.workers.tally import Tally

_IDLE_SECONDS = 0.002
_FLUSH_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class Shift:
    """Runs one shift. `is_stopping` asks whether the process was told to end."""

    def __init__(
        self, engine: Engine, clerk: Clerk, *, seconds: float, is_stopping: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._clerk = clerk
        self._tray = clerk.tray
        self._until = time.monotonic() + seconds
        self._is_stopping = is_stopping
        self.is_stepping = False

    def run(self) -> Tally:
        """Admits, steps and delivers; returns when the backlog is empty, the time is up, or the
        process stops. Sequences still in flight stay in the engine for the next shift."""
        tally = self._clerk.tally = Tally()
        self._tray.open(self._engine.room)
        try:
            while not self._is_over():
                self._admit()
                self._cancel()
                self._step()
        finally:
            self._tray.close()
        self._clerk.flush(_FLUSH_SECONDS)
        return tally

    def _is_over(self) -> bool:
        is_done = self._engine.num_unfinished == 0 and self._tray.is_dry
        return is_done or self._is_stopping() or time.monotonic() >= self._until

    def _admit(self) -> None:
        for request in self._tray.take(self._engine.room):
            try:
                self._engine.add(request)
            except EngineError as error:
                self._tray.reject(request.id, error)

    def _cancel(self) -> None:
        for request_id in self._tray.doomed():
            self._engine.cancel(request_id)

    def _step(self) -> None:
        if self._engine.num_unfinished:
            self.is_stepping = True
            try:
                outputs = self._engine.step()
            finally:
                self.is_stepping = False
            self._tray.stream(self._engine.deltas())
            self._tray.give(outputs)
        else:
            time.sleep(_IDLE_SECONDS)
