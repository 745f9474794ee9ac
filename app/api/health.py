"""Whether this service can serve: a thread asks once a second, requests read its last report."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import AutoglmError, Unavailable
from app.models import disks, migrate, workers
from app.models.database import Database
from app.models.states import WorkerState
from app.settings import Settings
from app.wire.rows import Worker

PROBE_SECONDS = 1.0
_STALE_SECONDS = 10.0

_logger = logging.getLogger(__name__)

Ping = Callable[[], None]
"""Returns when Redis answers; raises Unavailable, within a second or two, when it does not."""


@dataclass(frozen=True)
class Reason:
    """One thing that keeps the service from serving."""

    component: str
    code: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What the last probe found, and when (time.monotonic)."""

    dependencies: tuple[Reason, ...]
    workers: tuple[Reason, ...]
    probed_at: float


class Pulses:
    """Judges workers by this process's own clock: live is whose pulse was seen to advance."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._seen: dict[str, tuple[int, int]] = {}
        self._advanced_at: dict[str, float] = {}

    def observe(self, found: Sequence[Worker], now: float) -> list[Worker]:
        """Takes note of all workers; returns the live ones."""
        for worker in found:
            mark = (worker.epoch, worker.pulse)
            before = self._seen.setdefault(worker.slot, mark)
            if mark != before:
                self._seen[worker.slot] = mark
                self._advanced_at[worker.slot] = now
        return [worker for worker in found if self._is_live(worker, now)]

    def _is_live(self, worker: Worker, now: float) -> bool:
        advanced_at = self._advanced_at.get(worker.slot)
        return advanced_at is not None and now - advanced_at <= self._lease_seconds


class Health:
    """The probes of one process. `start` begins them; `stop` ends them."""

    def __init__(self, settings: Settings, db: Database, ping: Ping) -> None:
        self._db = db
        self._ping = ping
        self._folders = {"data_dir": settings.data_dir}
        if db.path is not None:
            self._folders["database.url"] = db.path.parent
        self._models = tuple(model.name for model in settings.models)
        self._pulses = Pulses(settings.worker.lease_seconds)
        self._head = migrate.head_revision()
        self._report = Report((Reason("api", "starting"),), (), time.monotonic())
        self._stopping = threading.Event()

    def start(self) -> None:
        """Probes now, and then every second in a thread."""
        self.probe()
        threading.Thread(target=self._run, name="health", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread within a second; safe to call from a signal handler."""
        self._stopping.set()

    def explain_not_ready(self) -> list[Reason]:
        """Why disk, database or Redis cannot be used; empty when they can."""
        return [*self._stale(), *self._report.dependencies]

    def explain_unhealthy(self) -> list[Reason]:
        """Why jobs cannot be served; empty when they can."""
        return [*self.explain_not_ready(), *self._report.workers]

    def probe(self) -> None:
        """Asks everything once and keeps the report."""
        dependencies = (*self._check_disks(), *self._check_database(), *self._check_redis())
        self._report = Report(dependencies, tuple(self._check_workers()), time.monotonic())

    def _run(self) -> None:
        while not self._stopping.wait(PROBE_SECONDS):
            try:
                self.probe()
            except Exception:  # the edge of this thread: it must outlive any surprise
                _logger.exception("health probe failed", extra={"action": "probe_failed"})

    def _stale(self) -> Iterator[Reason]:
        age = time.monotonic() - self._report.probed_at
        if age > _STALE_SECONDS:
            yield Reason("api", "probe_stalled", {"seconds": round(age)})

    def _check_disks(self) -> Iterator[Reason]:
        """A full disk comes first: it may be why Redis takes nothing, too."""
        full = [name for name, folder in self._folders.items() if disks.is_full(folder)]
        if full:
            yield Reason("disk", "disk_full", {"places": full})

    def _check_database(self) -> Iterator[Reason]:
        try:
            found = migrate.read_revision(self._db)
        except AutoglmError as error:
            yield Reason("database", error.code, error.values)
            return
        if not migrate.is_usable(found, self._head):
            values = {"found": found or "empty", "wanted": self._head}
            yield Reason("database", "database_not_migrated", values)

    def _check_redis(self) -> Iterator[Reason]:
        try:
            self._ping()
        except Unavailable as error:
            yield Reason("redis", error.code, error.values)

    def _check_workers(self) -> Iterator[Reason]:
        try:
            live = self._pulses.observe(workers.list_all(self._db), time.monotonic())
        except Exception:  # noqa: BLE001  # a missing table or database is reported above
            live = []
        for name in self._models:
            yield from _judge(name, [worker for worker in live if worker.model == name])


def _judge(model: str, live: Sequence[Worker]) -> Iterator[Reason]:
    """Nothing if one live worker is ready for the model, else why none is."""
    states = {worker.state for worker in live}
    if WorkerState.READY in states:
        return
    component = f"worker:{model}"
    if WorkerState.LOADING in states:
        yield Reason(component, "worker_loading", {"model": model})
        return
    failed = [worker for worker in live if worker.state == WorkerState.FAILED]
    for worker in failed:
        values = {"model": model, "slot": worker.slot, "reason": worker.reason or "?"}
        yield Reason(component, "worker_load_failed", values)
    if not failed:
        yield Reason(component, "no_worker", {"model": model})
