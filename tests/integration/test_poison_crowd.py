"""One job that kills its worker among 63 that do not: it goes alone, and they all succeed."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models.database import Database
from app.wire.rows import Job
from tests.integration.workplace import Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration
CROWD = 64
MAX_ATTEMPTS = 3
CRASHED = "SELECT count(*) FROM attempts WHERE outcome = 'crashed'"


@pytest.mark.databases(long=True)
def test_a_poisonous_job_in_a_full_engine_fails_alone_and_its_neighbours_succeed(
    database: Database, redis_url: str, tmp_path: Path
):
    models = (fake_model(slots=CROWD, step_seconds=0.01),)
    changes = {"max_attempts": MAX_ATTEMPTS, "shift_seconds": 60.0}
    with opened(database, redis_url, tmp_path / "w", models=models, **changes) as place:
        neighbours = [place.add(f"number {number}", max_tokens=100) for number in range(CROWD - 1)]
        poison = place.add("[[crash]]")
        worker = place.start_worker()
        wait_for(lambda: place.count(CRASHED), "the first death")
        struck = place.count(CRASHED + " AND attempt = 1")
        place.start_worker("cpu:1")

        ended = place.wait_ended(poison)[0]
        others = place.wait_ended(*neighbours)

        assert struck > CROWD // 2, "it was in no company"
        assert (ended.state, ended.attempt) == ("failed", MAX_ATTEMPTS)
        assert ended.error
        assert ended.error["code"] == "worker_crashed"
        assert place.count_attempts(poison, "crashed") == MAX_ATTEMPTS
        assert count_company(place, poison) == [struck, 1, 1]
        assert {job.state for job in others} == {"succeeded"}
        assert max(job.attempt for job in others) <= 2
        assert worker.process.poll() is None


def count_company(place: Workplace, job: Job) -> list[int]:
    """How many jobs died with the worker of each of its attempts, itself included."""
    asked = sa.text(
        "SELECT mine.attempt, count(*) FROM attempts mine JOIN attempts other"
        " ON other.slot = mine.slot AND other.epoch = mine.epoch AND other.outcome = 'crashed'"
        " WHERE mine.job_id = :job GROUP BY mine.attempt ORDER BY mine.attempt"
    )
    with place.db.read() as tx:
        return [number for _, number in tx.execute(asked, {"job": job.id})]
