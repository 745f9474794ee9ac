"""What the worker processes share: the store, the configuration, and the way to Redis."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from app import queue
from app.errors import Stopped
from app.models.database import Database
from app.settings import Settings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """Handed to everything a worker process runs. Without `app` nothing is published.
    `stopping` is set when the process is to end."""

    db: Database
    settings: Settings
    app: Celery | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def files(self) -> Path:
        """The folder that `File.path` is relative to."""
        return self.settings.data_dir / "files"

    def require_running(self) -> None:
        """Raises Stopped("stopping") when the process is to end: for work that can be resumed."""
        if self.stopping.is_set():
            raise Stopped("stopping")

    def hint(self, model: str, job_ids: Sequence[str], *, enough: int = queue.FEW) -> bool:
        """Says that `model` has work; False when Redis did not take it."""
        ids, target = list(job_ids), queue.model_queue(model)
        return self.publish(queue.SHIFT_TASK, target, enough=enough, model=model, job_ids=ids)

    def publish(
        self,
        task: str,
        queue_name: str,
        *,
        enough: int = queue.MANY,
        trace_id: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Sends one message, unless `enough` wait already (queue.wake); a lost one is logged and
        left to the sweeper, which sees the rows."""
        if self.app is None:
            return False
        try:
            queue.wake(self.app, task, queue_name, kwargs, enough=enough, trace_id=trace_id)
        except queue.BROKER_ERRORS as error:
            _logger.warning("hint not published: %s", error, extra={"action": "hint_lost"})
            return False
        return True
