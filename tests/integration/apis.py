"""A whole API in this process, over a real database and a real Redis, and ways to end its jobs."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from celery import Celery
from werkzeug.serving import make_server

from app import queue, settings
from app.api import factory, ping
from app.models import claims, workers
from app.models.database import Database
from app.models.states import JobState
from app.wire.rows import Outcome, Problem, Result

MODELS = (
    settings.Model("small", backend="fake", aliases=("nick",), max_context=200),
    settings.Model("large", backend="fake"),
)
PROVENANCE = {"weights_sha256": "ab" * 32, "model": "small", "engine": "fake/1"}


class Api:
    """The app with its parts; `client` asks it in English."""

    def __init__(
        self,
        db: Database,
        redis_url: str,
        folder: Path,
        options: settings.Settings | None = None,
        *,
        watch: Callable[[queue.Publisher], queue.Publisher] = lambda publisher: publisher,
    ) -> None:
        self.db = db
        self.settings = options or settings.Settings(models=MODELS, data_dir=folder)
        self.celery: Celery = queue.make_app(redis_url)
        publisher = watch(queue.Publisher(self.celery))
        self.app = factory.create_app(self.settings, db, publisher, ping=ping.make_ping(redis_url))
        self.app.testing = False  # failures must be answered, not raised
        self.url = ""
        self.client: Any = self.app.test_client()
        self.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Listens on a free port of loopback, at `url`, for clients that want a real server."""
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def submit(self, **body: object) -> str:
        """Submits a job; returns its id."""
        answer = self.client.post("/v1/jobs", json={"model": "small", "prompt": "hi", **body})
        assert answer.status_code == 202, answer.text
        return str(answer.json["id"])

    def work(self, job_id: str, *, text: str = "done", problem: Problem | None = None) -> None:
        """Claims every waiting job as a worker would, and ends this one."""
        identity = workers.Identity("here/cpu:0", "small", "here", 1, 1)
        holder, _ = workers.enroll(self.db, identity, max_attempts=3)
        claimed = claims.claim(self.db, holder, "small", limit=100, may_isolate=True)
        job = next(job for job in claimed if job.id == job_id)
        result = Result(text, "stop", 5, 2, 0, PROVENANCE)
        state = JobState.FAILED if problem else JobState.SUCCEEDED
        messages = job.request.get("messages")
        outcome = Outcome(
            job.id,
            job.attempt,
            state,
            result=None if problem else result,
            problem=problem,
            messages=messages,
        )
        claims.settle(self.db, [outcome])


def wait_until(is_true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.02)
    return False
