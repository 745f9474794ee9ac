"""The thread behind long polls, over a real database."""

import threading
import time

from app.api.notifier import Notifier
from app.models import jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.integration import makers

UNSENDABLE = "\ud800"  # half a character: no database takes it


def test_waiting_goes_on_after_a_question_that_could_not_be_asked(database: Database) -> None:
    notifier = Notifier(database)
    job = makers.add_job(database)
    jobs.cancel(database, DEFAULT_TENANT, job.id)
    fault = threading.Thread(target=notifier.wait, args=[UNSENDABLE, 0.3])
    fault.start()

    started = time.monotonic()
    notifier.wait(job.id, 100)

    assert time.monotonic() - started < 60
    fault.join()
    assert notifier.num_waiting == 0
