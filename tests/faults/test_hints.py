"""A hint wakes a worker for rows that are there: it is sent after the commit, never before."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from app import queue
from app.models import jobs
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.integration.apis import Api

pytestmark = [pytest.mark.integration, pytest.mark.databases]


class Looking(queue.Publisher):
    """Looks, at the moment of the hint, with a connection of its own, for what the hint promises."""

    def __init__(self, db: Database, real: queue.Publisher) -> None:
        super().__init__(real._app)
        self._db = db
        self.seen: list[int] = []

    def hint(self, model: str, job_ids: Sequence[str]) -> None:
        stored = jobs.list_page(self._db, DEFAULT_TENANT, limit=100)[0]
        self.seen.append(len({*job_ids} & {job.id for job in stored}))
        super().hint(model, job_ids)


def test_a_hint_is_published_after_the_commit(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    looking: list[Looking] = []

    def watch(publisher: queue.Publisher) -> queue.Publisher:
        looking.append(Looking(database, publisher))
        return looking[0]

    api = Api(database, redis_url, tmp_path, watch=watch)
    for _ in range(3):
        api.submit()

    assert looking[0].seen == [1, 1, 1], "I15: a hint was sent before its job was stored"
