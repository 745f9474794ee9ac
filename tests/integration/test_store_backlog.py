"""The backlog is seen without a lock, and shared out fairly."""

import pytest

from app.models import backlog, bulk, workers
from app.models.database import Database
from app.models.states import WorkerState
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


@pytest.mark.parametrize(
    ("queued", "ready", "wanted", "share"),
    [
        (0, 1, 8, 0),
        (3, 1, 8, 3),
        (20, 1, 8, 8),
        (24, 2, 80, 12),
        (25, 2, 80, 13),
        (1, 3, 8, 1),
        (100, 2, 8, 8),
        (5, 0, 8, 5),
    ],
)
def test_a_worker_takes_its_share_and_no_more_than_it_wants(
    database: Database, queued: int, ready: int, wanted: int, share: int
) -> None:
    for number in range(ready):
        makers.add_worker(database, f"h/cpu:{number}")
    for _ in range(queued):
        makers.add_job(database)

    assert backlog.fair_share(database, makers.MODEL, wanted) == share


def test_only_jobs_and_ready_workers_of_the_model_count(database: Database) -> None:
    makers.add_worker(database, "h/cpu:0")
    makers.add_worker(database, "h/cpu:1", model="other")
    gone = makers.add_worker(database, "h/cpu:2")
    workers.update(database, gone, state=WorkerState.STOPPED.value)
    for _ in range(4):
        makers.add_job(database)
    makers.add_job(database, model="other")

    assert backlog.fair_share(database, makers.MODEL, 8) == 4


def test_looking_does_not_wait_for_a_writer(database: Database) -> None:
    makers.add_job(database)

    with database.write():
        assert backlog.fair_share(database, makers.MODEL, 8) == 1


def test_a_look_reads_the_queue_and_not_what_has_ended(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite reads this index anyway")
    makers.add_batch(database, 2000)
    bulk.analyze(database)
    asked = {"model": makers.MODEL, "wanted": 300}

    with database.read() as tx:
        shown = backlog.LOOK.compile(tx, compile_kwargs={"render_postcompile": True})
        plan = tx.exec_driver_sql(f"EXPLAIN {shown}", {**shown.params, **asked}).scalars().all()

    assert "ix_jobs_claim" in "".join(plan)
    assert "Seq Scan on jobs" not in "".join(plan)


def test_only_what_outranks_the_floor_is_urgent(database: Database) -> None:
    for priority in (-10, 0, 5):
        makers.add_job(database, priority=priority)
    makers.add_job(database, priority=9, model="other")

    counted = [
        backlog.count_urgent(database, makers.MODEL, above=floor, limit=2) for floor in (-10, 0, 5)
    ]

    assert counted == [2, 1, 0]
