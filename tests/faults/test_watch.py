"""A look at a running service fails by the name of each invariant that its rows break."""

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from app.models import claims, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.faults.invariants import Expected
from tests.faults.stage import MAX_ATTEMPTS
from tests.faults.watch import Watch
from tests.integration import makers

pytestmark = pytest.mark.databases


class Service:
    """A worker runs two jobs; a job, two turns of a session and a line of a batch have succeeded, a
    line waits. `expected` is what clients know."""

    def __init__(self, db: Database) -> None:
        self.db = db
        holder = makers.add_worker(db)
        session_id = sessions.create(db, DEFAULT_TENANT, None).id
        early, _ = (makers.add_job(db, session_id=session_id) for _ in range(2))
        alone = makers.add_job(db)
        for _ in range(2):  # the second turn waits for the first one
            claims.settle(db, [makers.succeed(job) for job in makers.take(db, holder)])
        batch = makers.add_batch(db, 2)
        claims.settle(db, [makers.succeed(job) for job in makers.take(db, holder, limit=1)])
        first, second = (makers.add_job(db, priority=9) for _ in range(2))
        makers.take(db, holder, limit=2)
        self.expected = Expected({early.id, alone.id, first.id, second.id})
        self.ids = {"early": early.id, "alone": alone.id, "first": first.id, "batch": batch.id}
        stage, clients = SimpleNamespace(db=db), SimpleNamespace(expect=lambda: self.expected)
        self.watch = Watch(stage, clients)  # type: ignore[arg-type]

    def plant(self, *statements: str) -> None:
        """Writes past the store; `:early` and so on stand for ids."""
        with self.db.write() as tx:
            for statement in statements:
                used = {name: value for name, value in self.ids.items() if f":{name}" in statement}
                tx.execute(sa.text(statement), used)


@pytest.fixture
def service(database: Database) -> Service:
    return Service(database)


def _crash(attempt: int) -> str:
    columns = "job_id, attempt, outcome, ended_at"
    return f"INSERT INTO attempts ({columns}) VALUES (:first, {attempt}, 'crashed', 1)"


def test_a_service_in_order_is_looked_at_twice(service: Service):
    service.watch.look()
    service.plant("UPDATE jobs SET cancel_requested = true WHERE id = :alone")
    service.watch.look()

    assert service.watch.num_looks == 2


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("I1", ["DELETE FROM jobs WHERE id = :alone"]),
        ("I3", ["DELETE FROM results WHERE job_id = :alone"]),
        ("I3", ["UPDATE results SET attempt = 9 WHERE job_id = :alone"]),
        ("I3", ["UPDATE jobs SET state = 'failed' WHERE id = :alone"]),
        (
            "I4",
            [f"UPDATE jobs SET attempt = {MAX_ATTEMPTS} WHERE id = :first"]
            + [_crash(number + 1) for number in range(MAX_ATTEMPTS)],
        ),
        ("I4", [_crash(7)]),
        ("I6", ["UPDATE batches SET completed = 2 WHERE id = :batch"]),
        ("I6", ["UPDATE batches SET failed = 1 WHERE id = :batch"]),
        ("I9", ["UPDATE turns SET turn_no = 3 WHERE turn_no = 2"]),
        ("I9", ["DELETE FROM turns WHERE turn_no = 2"]),
        (
            "I9",
            [
                "UPDATE turns SET turn_no = 9 WHERE turn_no = 1",
                "UPDATE turns SET turn_no = 1 WHERE turn_no = 2",
                "UPDATE turns SET turn_no = 2 WHERE turn_no = 9",
            ],
        ),
        ("I9", ["UPDATE jobs SET session_id = (SELECT id FROM sessions) WHERE state = 'running'"]),
        ("I11", ["UPDATE jobs SET crashes = 1 WHERE id = :first"]),
        ("I12", ["UPDATE workers SET state = 'lost'"]),
        ("I12", ["UPDATE workers SET epoch = epoch + 1"]),
        ("I16", ["UPDATE jobs SET twin_no = 1 WHERE batch_id = :batch"]),
    ],
)
def test_a_broken_invariant_is_seen_in_a_single_look(
    service: Service, name: str, statements: list[str]
):
    service.plant(*statements)

    with pytest.raises(AssertionError, match=rf"^{name}: "):
        service.watch.look()


def test_a_success_after_an_acknowledged_cancellation_is_seen(service: Service):
    service.expected.cancelled.add(service.ids["alone"])

    with pytest.raises(AssertionError, match=r"^I13: "):
        service.watch.look()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE results SET text = 'other' WHERE job_id = :alone",
        "UPDATE jobs SET finished_at = 1 WHERE id = :alone",
    ],
)
def test_a_change_after_the_end_is_seen_between_two_looks(service: Service, statement: str):
    service.watch.look()
    service.plant(statement)

    with pytest.raises(AssertionError, match=r"^I5: "):
        service.watch.look()
