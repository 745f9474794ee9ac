"""The growing text of streamed jobs: one thread and two queries at a time for all streams."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Unavailable
from app.models import chunks, jobs
from app.models.database import Database
from app.wire.rows import Chunk

POLL_SECONDS = 0.05
_PAUSE_SECONDS = 0.5  # after a query that failed

_logger = logging.getLogger(__name__)


class Subscription:
    """What one stream has been handed and not taken yet."""

    def __init__(self) -> None:
        self.cursor = 0  # the id of the last chunk that was handed over
        self._news = threading.Event()
        self._chunks: list[Chunk] = []
        self._has_ended = False
        self._lock = threading.Lock()

    def put(self, gained: list[Chunk], *, has_ended: bool) -> None:
        """Hands over chunks in order; an end is the last thing that is."""
        with self._lock:
            self._chunks += gained
            self.cursor = gained[-1].id if gained else self.cursor
            self._has_ended = self._has_ended or has_ended
        if gained or has_ended:
            self._news.set()

    def take(self, seconds: float) -> tuple[list[Chunk], bool]:
        """What came since the last call, waiting up to `seconds` for something, and whether the
        job has ended or the API stops."""
        self._news.wait(seconds)
        with self._lock:
            self._news.clear()
            gained, self._chunks = self._chunks, []
            return gained, self._has_ended


class Feed:
    """Follows jobs. Its thread runs only while somebody does."""

    def __init__(self, db: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._db = db
        self._poll_seconds = poll_seconds
        self._followed: list[tuple[str, Subscription]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._is_running = False

    @contextmanager
    def follow(self, job_id: str) -> Iterator[Subscription]:
        """A subscription to a job's chunks and its end."""
        entry = (job_id, Subscription())
        with self._lock:
            self._followed.append(entry)
            if not self._is_running:
                threading.Thread(target=self._run, name="feed", daemon=True).start()
                self._is_running = True
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._followed.remove(entry)

    def stop(self) -> None:
        """Ends every stream within one poll; safe to call from a signal handler."""
        self._stopping.set()

    def _run(self) -> None:
        while followed := self._list_followed():
            try:
                self._look(followed)
            except Unavailable as error:
                _logger.warning("streams: %s", error, extra={"action": "poll_failed"})
                self._stopping.wait(_PAUSE_SECONDS)
            except Exception:  # the thread must outlive any one fault
                _logger.exception("streams", extra={"action": "poll_failed"})
                self._stopping.wait(_PAUSE_SECONDS)
            self._stopping.wait(self._poll_seconds)

    def _list_followed(self) -> list[tuple[str, Subscription]]:
        with self._lock:
            self._is_running = bool(self._followed)
            return list(self._followed)

    def _look(self, followed: list[tuple[str, Subscription]]) -> None:
        """Ends are asked for first: a job that has ended gains nothing more."""
        if self._stopping.is_set():
            ended = {job_id for job_id, _ in followed}
            gained: list[Chunk] = []
        else:
            ended = jobs.find_terminal(self._db, [job_id for job_id, _ in followed])
            gained = chunks.read(self._db, _join_cursors(followed))
        for job_id, subscription in followed:
            fresh = [c for c in gained if c.job_id == job_id and c.id > subscription.cursor]
            subscription.put(fresh, has_ended=job_id in ended)


def _join_cursors(followed: list[tuple[str, Subscription]]) -> dict[str, int]:
    cursors: dict[str, int] = {}
    for job_id, subscription in followed:
        cursors[job_id] = min(subscription.cursor, cursors.get(job_id, subscription.cursor))
    return cursors
