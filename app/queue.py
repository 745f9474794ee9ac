"""Redis hints: they wake workers and the control process. The rows are the truth.

A message may be lost, late or doubled; it carries ids only. One Celery queue per model, one per
slot (continuations), and `control`.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import kombu.exceptions
import redis
import redis.exceptions
from celery import Celery, signals

from app import log
from app.errors import SettingsError

_KOMBU_SOCKET = "redis+socket://"
CONTROL = "control"
SHIFT_TASK = "autoglm.shift"
INGEST_TASK = "autoglm.ingest"
FINALIZE_TASK = "autoglm.finalize"
BROKER_ERRORS = (kombu.exceptions.OperationalError, redis.exceptions.RedisError, OSError)

# What Flower asks. Every other command of Celery's would let a reader of the dashboard stop or
# starve a worker: pool_shrink, shutdown, cancel_consumer, revoke, terminate, ...
REMOTE_COMMANDS = frozenset(
    {
        "ping",
        "stats",
        "conf",
        "active_queues",
        "registered",
        "query_task",
        "active",
        "reserved",
        "scheduled",
        "revoked",
        "enable_events",
        "heartbeat",
    }
)

ONE = 1  # who takes what waits already looks for all work: enough for one reader
FEW = 8  # so many workers look at once; one more hint wakes nobody new
MANY = 256  # what the control process did not get around to; the sweeper says it again

_KEY_PREFIX = "autoglm:"
_IDS_PER_HINT = 100
_MOST_HINTS = 4 * FEW  # several publishers count at once, and what was not acknowledged comes back
_RETRY_SECONDS = 0.5
_logger = logging.getLogger(__name__)


def model_queue(model: str) -> str:
    """The queue whose messages wake any worker that serves `model`."""
    return f"model.{model}"


def slot_queue(slot: str) -> str:
    """The queue of one worker's own continuations."""
    return f"slot.{slot}"


def plain_url(redis_url: str) -> str:
    """The URL as Redis's own client wants it: kombu calls a socket otherwise."""
    if not redis_url.startswith(_KOMBU_SOCKET):
        return redis_url
    return "unix://" + redis_url.removeprefix(_KOMBU_SOCKET).replace("virtual_host=", "db=")


def check_url(redis_url: str) -> None:
    """SettingsError("redis_url_broken") for a URL that no client can be made of; it is not shown, as
    what breaks it may be its password."""
    url = plain_url(redis_url)
    if not url.startswith(("redis://", "rediss://", "unix://")):  # memory:// is kombu's alone
        return
    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, redis.RedisError) as error:
        raise SettingsError("redis_url_broken", param="redis.url") from error


def make_app(redis_url: str, *, hard_limit_seconds: float = 900.0, **conf: Any) -> Celery:
    """A Celery app with the settings that docs/reliability.md gives the reasons for. SettingsError
    for a broken URL."""
    check_url(redis_url)
    app = Celery("autoglm", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,  # a message outlives its reader until the shift has ended
        task_reject_on_worker_lost=False,  # one retry authority: the row's crash count
        worker_prefetch_multiplier=1,
        task_ignore_result=True,  # results live in the store
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        task_time_limit=hard_limit_seconds,
        task_soft_time_limit=None,
        task_create_missing_queues=True,
        task_default_queue=CONTROL,
        worker_proc_alive_timeout=600,  # model loading happens in the child's start
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,  # Flower asks through it: REMOTE_COMMANDS only
        worker_send_task_events=True,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_publish_retry=False,
        broker_transport_options={
            "visibility_timeout": int(2 * hard_limit_seconds + 600),
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "global_keyprefix": _KEY_PREFIX,
        },
        **conf,
    )
    return app


@signals.worker_init.connect
def _forget_commands(**_kwargs: Any) -> None:
    """Before a worker of this process listens; it answers other commands with an error."""
    from celery.worker.control import Panel  # registers them; needed nowhere but in a worker

    for name in set(Panel.data) - REMOTE_COMMANDS:
        del Panel.data[name]


def publish(
    app: Celery, task: str, queue_name: str, kwargs: dict[str, Any], *, trace_id: str | None = None
) -> None:
    """Sends one message now; raises one of BROKER_ERRORS when Redis does not take it."""
    headers = {"trace_id": trace_id or log.current_trace()}
    app.send_task(task, kwargs=kwargs, queue=queue_name, headers=headers, retry=False)


def wake(
    app: Celery,
    task: str,
    queue_name: str,
    kwargs: dict[str, Any],
    *,
    enough: int,
    trace_id: str | None = None,
) -> None:
    """Sends one message, unless `enough` wait in the queue already: they will be taken after now,
    and who takes one looks at the rows. So no wake-up is lost. Raises as `publish` does."""
    if count_waiting(app, queue_name) < enough:
        publish(app, task, queue_name, kwargs, trace_id=trace_id)


def trim(app: Celery, queue_names: Iterable[str]) -> None:
    """Leaves no more hints in a queue than would ever be of use: the ones that are taken first.
    Raises as `publish` does."""
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        for name in queue_names:
            client.ltrim(_KEY_PREFIX + name, -_MOST_HINTS, -1)  # kombu puts no prefix before it


def count_waiting(app: Celery, queue_name: str) -> int:
    """Messages in a queue; raises one of BROKER_ERRORS when Redis does not answer."""
    with app.connection_for_write() as connection:
        return int(connection.default_channel.client.llen(queue_name))


class Publisher:
    """Publishes hints from a thread of its own, so that no request ever waits for Redis.

    What it could not publish is forgotten: the sweeper sees the rows.
    """

    def __init__(self, app: Celery, *, capacity: int = 10_000) -> None:
        self._app = app
        self._pending: queue.Queue[Callable[[], None]] = queue.Queue(capacity)
        self._hints: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._started = False

    def hint(self, model: str, job_ids: Sequence[str]) -> None:
        """Says that `model` has work. Hints for one model that wait together become one message."""
        with self._lock:
            waiting = self._hints.setdefault(model, [])
            is_first = not waiting
            waiting.extend(job_ids[: max(0, _IDS_PER_HINT - len(waiting))])
        if is_first and not self._enqueue(lambda: self._send_hint(model)):
            with self._lock:
                self._hints.pop(model, None)  # so that the next hint is a first one again

    def control(self, task: str, **kwargs: Any) -> None:
        """Wakes the control process for one of its tasks."""
        trace_id = log.current_trace()
        self._enqueue(
            lambda: wake(self._app, task, CONTROL, kwargs, enough=MANY, trace_id=trace_id)
        )

    def _enqueue(self, send: Callable[[], None]) -> bool:
        self._ensure_thread()
        try:
            self._pending.put_nowait(send)
        except queue.Full:
            _logger.warning("hint dropped; the sweeper will find the rows")
            return False
        return True

    def _ensure_thread(self) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="publisher", daemon=True).start()

    def _run(self) -> None:
        while True:
            send = self._pending.get()
            try:
                send()
            except BROKER_ERRORS as error:
                _logger.warning("hint not published: %s", error, extra={"action": "hint_lost"})
                time.sleep(_RETRY_SECONDS)
            except Exception:  # the thread must outlive any one fault
                _logger.exception("publisher failed", extra={"action": "publisher_failed"})
                time.sleep(_RETRY_SECONDS)

    def _send_hint(self, model: str) -> None:
        with self._lock:
            job_ids = self._hints.pop(model, [])
        if job_ids:
            kwargs = {"model": model, "job_ids": job_ids}
            wake(self._app, SHIFT_TASK, model_queue(model), kwargs, enough=FEW)
