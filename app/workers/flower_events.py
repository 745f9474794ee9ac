"""Shows model loads in Flower, which otherwise knows tasks only."""

import contextlib
import traceback
import uuid

from celery import Celery

from app import queue

_TASK = "autoglm.load"


def report_load(app: Celery | None, node: str, model: str, outcome: Exception | float) -> None:
    """Sends the events of a task `autoglm.load`: SUCCESS with its seconds, or FAILURE with the
    exception. Without Redis nothing is sent; the worker row has it all."""
    if app is None:
        return
    uid = str(uuid.uuid4())
    with contextlib.suppress(*queue.BROKER_ERRORS), app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, hostname=node)
        dispatcher.send(
            "task-received", uuid=uid, name=_TASK, args="()", kwargs=f"{{'model': {model!r}}}"
        )
        dispatcher.send("task-started", uuid=uid)
        if isinstance(outcome, Exception):
            lines = "".join(traceback.format_exception(outcome))
            dispatcher.send("task-failed", uuid=uid, exception=repr(outcome), traceback=lines)
        else:
            result = repr({"model": model, "seconds": round(outcome, 2)})
            dispatcher.send("task-succeeded", uuid=uid, result=result, runtime=outcome)
        dispatcher.close()
