"""Writers side by side: PostgreSQL lets transactions overlap, SQLite orders them; both keep the promises."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from app import settings
from app.errors import Contention, Unavailable
from app.models import batches, claims, jobs, retries, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from tests.integration import makers
from tests.integration.workplace import wait_for
from tests.postgres import running_postgres

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def run_together(*calls: Callable[[], Any]) -> list[Any]:
    """The results of calls that start at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_one_idempotency_key_sent_ten_times_at_once_makes_one_job(database: Database) -> None:
    def submit() -> tuple[str, bool]:
        job = makers.new_job(idempotency_key="k", request_hash="h")
        made, is_new = jobs.create(database, job)
        return made.id, is_new

    answers = run_together(*[submit] * 10)

    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


def test_batches_made_at_once_all_get_a_number_of_their_own(database: Database) -> None:
    made = run_together(*[lambda: makers.add_batch(database)] * 8)

    assert len({batch.seq for batch in made}) == 8


def test_six_tries_of_one_call_sent_at_once_make_one_batch(database: Database) -> None:
    def send(tries: int) -> str:
        seconds = tries * 720.0 or None
        return makers.add_batch(database, retry_seconds=seconds, tries=tries).id

    made = run_together(*[lambda tries=tries: send(tries) for tries in range(6)])

    assert len(set(made)) == 1


def test_turns_submitted_at_once_run_one_after_another(database: Database) -> None:
    session = sessions.create(database, DEFAULT_TENANT, None)
    run_together(*[lambda: makers.add_job(database, session_id=session.id)] * 8)
    holders = [makers.add_worker(database, f"h/cpu:{number}") for number in range(4)]

    for _ in range(8):
        found = run_together(*[lambda h=h: makers.take(database, h) for h in holders])
        (held,) = [job for jobs_of_one in found for job in jobs_of_one]
        claims.settle(database, [makers.succeed(held)])

    turns = sessions.list_turns(database, session.id)
    assert [turn.turn_no for turn in turns] == list(range(1, 9))


def test_a_batch_cancelled_while_its_lines_end_counts_every_line_once(database: Database) -> None:
    """Cancelling locks the batch and then its jobs, settling the other way round."""
    batch = makers.add_batch(database, num_lines=200)
    held = makers.take(database, makers.add_worker(database), limit=150)
    groups = [held[start : start + 10] for start in range(0, 150, 10)]

    def settle_all() -> None:
        for group in groups:
            claims.settle(database, [makers.succeed(job) for job in group])

    run_together(settle_all, lambda: batches.cancel(database, DEFAULT_TENANT, batch.id))

    ended = makers.reload(database, batch)
    lines = jobs.list_lines(database, batch.id, after_line=0, limit=1000)
    succeeded = sum(line.state == "succeeded" for line in lines)
    assert {line.state for line in lines} <= {"succeeded", "cancelled"}
    assert (ended.completed, ended.failed) == (succeeded, 200 - succeeded)


def test_a_deadlock_costs_time_and_nothing_else(database: Database) -> None:
    first, second = (makers.add_job(database) for _ in range(2))
    calls = []
    both_hold_one = threading.Barrier(2)

    @retries.repeat
    def lock_both(one: str, other: str) -> None:
        calls.append(one)
        with database.write() as tx:
            raise_priority(tx, one)
            if not database.is_sqlite and len(calls) <= 2:
                both_hold_one.wait(60)
            raise_priority(tx, other)

    run_together(
        lambda: lock_both(first.id, second.id),
        lambda: lock_both(second.id, first.id),
    )

    assert len(calls) == (2 if database.is_sqlite else 3)
    found = [jobs.get(database, DEFAULT_TENANT, job.id) for job in (first, second)]
    assert [job.priority for job in found] == [2, 2]


def raise_priority(tx: sa.Connection, job_id: str) -> None:
    tx.execute(sa.text("UPDATE jobs SET priority = priority + 1 WHERE id = :id"), {"id": job_id})


def test_a_transaction_that_always_loses_says_so_in_the_end() -> None:
    calls = []

    @retries.repeat
    def lose() -> None:
        calls.append(1)
        raise Contention("database_unavailable", reason="lost")

    with pytest.raises(Unavailable):
        lose()
    assert len(calls) == 7


def test_a_reader_sees_one_moment(database: Database) -> None:
    makers.add_job(database)
    with database.read() as tx:
        before = tx.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one()
        makers.add_job(database)

        assert tx.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one() == before


def test_a_server_that_restarts_hard_is_unavailable_and_then_works_again(
    postgres: running_postgres,
) -> None:
    db = Database(postgres.url())
    idle = [db.read() for _ in range(3)]
    for each in idle:
        each.__enter__()
    for each in idle:
        each.__exit__(None, None, None)  # three open connections lie in the pool

    with pytest.raises(Unavailable):
        write_around(db, lambda: postgres.restart("immediate"))
    write_around(db, lambda: None)

    postgres.stop("immediate")
    with pytest.raises(Unavailable):
        write_around(db, lambda: None)
    postgres.start()
    write_around(db, lambda: None)
    db.close()


_WAIT = """DO $$ BEGIN
WHILE EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid IN ({pids})) LOOP
  PERFORM pg_sleep(0.01);
  PERFORM pg_stat_clear_snapshot();
END LOOP;
END $$"""  # the signal to end is only sent, not obeyed, when pg_terminate_backend returns


@pytest.mark.parametrize("unused_seconds", [0.0, 1.1])
def test_connections_that_broke_unused_are_replaced_unseen(
    postgres: running_postgres, unused_seconds: float
) -> None:
    db = Database(postgres.url())
    with db.read() as one, db.look() as two:
        asked = "SELECT pg_backend_pid()"
        pids = ", ".join(str(tx.exec_driver_sql(asked).scalar_one()) for tx in (one, two))
    closing = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    postgres.execute(f"{closing} AND pid <> pg_backend_pid()")
    postgres.execute(_WAIT.format(pids=pids))
    time.sleep(unused_seconds)

    for opening in (db.write, db.look, db.read):
        with opening() as tx:
            assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1
    db.close()


def test_a_look_is_one_statement_without_a_transaction(database: Database) -> None:
    with database.look() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar_one() == 1
        if not database.is_sqlite:
            raw = tx.connection.driver_connection
            assert raw is not None
            assert raw.info.transaction_status == 0  # idle: nothing was begun
    with database.write() as tx, pytest.raises(sa.exc.IntegrityError):
        tx.exec_driver_sql("INSERT INTO tenants (id) VALUES ('t')")  # created_at is missing
    with database.write() as tx:  # the same connection, and a transaction again
        tx.exec_driver_sql("INSERT INTO tenants (id, created_at) VALUES ('t', 1.0)")
        tx.rollback()
    with database.look() as tx:
        assert tx.exec_driver_sql("SELECT id FROM tenants WHERE id = 't'").first() is None


def write_around(db: Database, event: Callable[[], None]) -> None:
    with db.write() as tx:
        event()
        tx.execute(sa.text("SELECT 1"))


def test_a_statement_has_a_time_limit_and_the_pool_a_size(postgres: running_postgres) -> None:
    options = settings.Database(pool_size=1, max_overflow=1, statement_timeout_seconds=2.0)
    db = Database(postgres.url(), options)

    with pytest.raises(Unavailable, match="statement timeout"), db.read() as tx:
        tx.execute(sa.text("SELECT pg_sleep(60)"))
    with db.read() as one, db.write() as two:
        count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'autoglm'")

        def count_open() -> int:  # what earlier tests closed may take a moment to be gone
            one.execute(sa.text("SELECT pg_stat_clear_snapshot()"))
            return int(one.execute(count).scalar_one())

        wait_for(lambda: count_open() == 2, "two connections")
        assert two.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "off"
        assert one.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "on"
    db.close()


def test_a_program_that_stops_inside_a_transaction_does_not_keep_its_locks(
    postgres: running_postgres,
) -> None:
    options = settings.Database(statement_timeout_seconds=2.0)
    sleeper, other = Database(postgres.url(), options), Database(postgres.url())
    with other.write() as tx:
        tx.execute(sa.text("CREATE TABLE held AS SELECT 1 AS number"))
    taking = sa.text("UPDATE held SET number = number + 1")

    def take_late() -> None:
        with sleeper.write() as tx:
            tx.execute(taking)
            started.append(time.monotonic())
            with other.write() as second:
                second.execute(taking)
            started.append(time.monotonic())
            tx.execute(taking)

    started: list[float] = []
    with pytest.raises(Unavailable):
        take_late()

    assert started[1] - started[0] < 25
    with other.write() as tx:
        assert tx.execute(sa.text("SELECT number FROM held")).scalar_one() == 2
        tx.execute(sa.text("DROP TABLE held"))
    sleeper.close()
    other.close()
