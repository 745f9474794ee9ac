"""Long polls: one thread and one query at a time for all clients that wait for a job's end."""

import logging
import threading
from collections import defaultdict

from app.errors import Unavailable
from app.models import jobs
from app.models.database import Database

POLL_SECONDS = 0.05
_PAUSE_SECONDS = 0.5  # after a query that failed

_logger = logging.getLogger(__name__)


class Notifier:
    """Blocks callers until their job has ended. Its thread runs only while somebody waits."""

    def __init__(self, db: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._db = db
        self._poll_seconds = poll_seconds
        self._waiters: dict[str, list[threading.Event]] = defaultdict(list)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._is_running = False

    @property
    def num_waiting(self) -> int:
        """How many callers are blocked now."""
        with self._lock:
            return sum(map(len, self._waiters.values()))

    def wait(self, job_id: str, seconds: float) -> bool:
        """Returns when the job has ended or is gone, or when this stops: then True. False after
        `seconds`."""
        ended = self._register(job_id)
        try:
            return ended.wait(seconds)
        finally:
            self._forget(job_id, ended)

    def pause(self, seconds: float) -> bool:
        """Waits; True at once when this stops, so that an open stream does not hold up the end."""
        return self._stopping.wait(seconds)

    def stop(self) -> None:
        """Lets every caller go within one poll; safe to call from a signal handler."""
        self._stopping.set()

    def _register(self, job_id: str) -> threading.Event:
        ended = threading.Event()
        with self._lock:
            if not self._is_running:
                threading.Thread(target=self._run, name="notifier", daemon=True).start()
                self._is_running = True  # only now: a thread that could not start is tried again
            self._waiters[job_id].append(ended)
        return ended

    def _forget(self, job_id: str, ended: threading.Event) -> None:
        with self._lock:
            self._waiters[job_id].remove(ended)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def _run(self) -> None:
        while job_ids := self._list_waiting():
            self._release(self._find_ended(job_ids))
            self._stopping.wait(self._poll_seconds)

    def _list_waiting(self) -> list[str]:
        with self._lock:
            self._is_running = bool(self._waiters)
            return list(self._waiters)

    def _find_ended(self, job_ids: list[str]) -> set[str]:
        if self._stopping.is_set():
            return set(job_ids)
        try:
            return jobs.find_terminal(self._db, job_ids)
        except Unavailable as error:
            _logger.warning("waiting clients: %s", error, extra={"action": "poll_failed"})
        except Exception:  # the thread must outlive any one fault
            _logger.exception("waiting clients", extra={"action": "poll_failed"})
        self._stopping.wait(_PAUSE_SECONDS)
        return set()

    def _release(self, job_ids: set[str]) -> None:
        with self._lock:
            for ended in (e for job_id in job_ids for e in self._waiters.get(job_id, ())):
                ended.set()
