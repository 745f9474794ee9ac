"""The backlog is seen without a lock."""

from app.models import backlog
from app.models.database import Database
from tests.integration import makers


def test_a_queued_job_is_seen_for_its_own_model_alone(database: Database) -> None:
    assert not backlog.has_queued(database, "m")

    makers.add_job(database)

    assert backlog.has_queued(database, makers.MODEL)
    assert not backlog.has_queued(database, "other")


def test_looking_does_not_wait_for_a_writer(database: Database) -> None:
    makers.add_job(database)

    with database.write():
        assert backlog.has_queued(database, makers.MODEL)
