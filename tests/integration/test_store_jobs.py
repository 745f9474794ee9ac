"""Jobs as clients see them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.errors import Busy, Conflict, NotFound
from app.models import claims, jobs, keys, pauses, room, sessions, withdrawals
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Job, NewJob
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def same_key(body: str = "h") -> NewJob:
    return NewJob(DEFAULT_TENANT, None, makers.MODEL, {}, idempotency_key="k", request_hash=body)


def test_a_new_job_is_queued_with_what_was_sent(database: Database) -> None:
    job = makers.add_job(database, metadata={"a": "b"}, trace_id="t", priority=3)

    found = jobs.get(database, DEFAULT_TENANT, job.id)

    assert found == job
    assert (found.state, found.attempt, found.priority) == ("queued", 0, 3)
    assert found.request["messages"][0]["content"] == "hi"
    assert found.metadata == {"a": "b"}


def test_ten_parallel_creates_with_one_key_make_one_job(
    database: Database, database_url: str
) -> None:
    barrier = threading.Barrier(10)

    def create(_: int) -> tuple[Job, bool]:
        own = Database(database_url)  # as another process has it
        barrier.wait()
        made = jobs.create(own, same_key())
        own.close()
        return made

    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(create, range(10)))

    assert len({job.id for job, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1
    assert len(jobs.list_page(database, DEFAULT_TENANT, limit=100)[0]) == 1


def test_the_same_key_with_another_body_is_a_conflict(database: Database) -> None:
    jobs.create(database, same_key("first"))

    with pytest.raises(Conflict, match="idempotency_conflict"):
        jobs.create(database, same_key("second"))


def test_two_tenants_may_use_the_same_key(database: Database) -> None:
    keys.create(database, "n", "other")
    mine, _ = jobs.create(database, same_key())
    values = vars(same_key()) | {"tenant_id": "other"}

    theirs, is_new = jobs.create(database, NewJob(**values))

    assert is_new
    assert theirs.id != mine.id


def test_the_store_itself_refuses_a_second_row_with_the_same_key(database: Database) -> None:
    makers.add_job(database, idempotency_key="k", request_hash="h")
    other = makers.add_job(database)

    with pytest.raises(Exception, match=r"(?i)unique"), database.write() as tx:
        tx.execute(sa.text("UPDATE jobs SET idempotency_key='k' WHERE id=:id"), {"id": other.id})


def test_a_job_of_another_tenant_is_not_found(database: Database) -> None:
    job = makers.add_job(database)

    for call in (jobs.get, jobs.cancel):
        with pytest.raises(NotFound, match="job_not_found"):
            call(database, "other", job.id)


def test_a_job_for_an_unknown_session_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match="session_not_found"):
        makers.add_job(database, session_id="sess_nope")


def test_a_job_for_another_tenants_session_is_refused(database: Database) -> None:
    keys.create(database, "n", "other")
    theirs = sessions.create(database, "other", None)

    with pytest.raises(NotFound, match="session_not_found"):
        makers.add_job(database, session_id=theirs.id)


def test_a_full_queue_refuses_and_has_room_again_after_a_claim(database: Database) -> None:
    new = NewJob(DEFAULT_TENANT, None, makers.MODEL, {})
    for _ in range(2):
        jobs.create(database, new, max_queued=2)

    with pytest.raises(Busy, match="queue_full"):
        jobs.create(database, new, max_queued=2)

    makers.take(database, makers.add_worker(database), limit=1)
    assert jobs.create(database, new, max_queued=2)[1]


def test_lines_of_batches_take_no_place_of_jobs(database: Database) -> None:
    makers.add_batch(database, 5)
    other = makers.add_batch(database, 5, request_hash="paused")
    pauses.pause(database, DEFAULT_TENANT, other.id)
    priorities = (5, room.BATCH_PRIORITY, room.BATCH_PRIORITY - 5)

    for number, priority in enumerate(priorities, 1):
        jobs.create(database, makers.new_job(model=f"m{number}", priority=priority), max_queued=3)
        assert room.count_queued(database, 100) == number
    with pytest.raises(Busy, match="queue_full"):
        jobs.create(database, makers.new_job(), max_queued=3)
    assert room.count_queued(database, 2) == 2


def test_a_retry_with_a_known_key_is_answered_even_when_the_queue_is_full(
    database: Database,
) -> None:
    first, _ = jobs.create(database, same_key(), max_queued=1)

    again, is_new = jobs.create(database, same_key(), max_queued=1)

    assert (again.id, is_new) == (first.id, False)


def test_pages_are_newest_first_and_follow_their_cursor(database: Database) -> None:
    made = [makers.add_job(database).id for _ in range(5)]

    first, has_more = jobs.list_page(database, DEFAULT_TENANT, limit=3)
    rest, is_more = jobs.list_page(database, DEFAULT_TENANT, limit=3, after=first[-1].id)

    assert [job.id for job in (*first, *rest)] == made[::-1]
    assert (has_more, is_more) == (True, False)


def test_pages_can_be_filtered_and_refuse_an_unknown_cursor(database: Database) -> None:
    makers.add_job(database, model="x")
    wanted = makers.add_job(database)

    page, _ = jobs.list_page(database, DEFAULT_TENANT, limit=9, filters={"model": makers.MODEL})

    assert [job.id for job in page] == [wanted.id]
    with pytest.raises(NotFound, match="job_not_found"):
        jobs.list_page(database, DEFAULT_TENANT, limit=9, after="job_nope")


def test_cancelling_a_queued_job_ends_it_at_once(database: Database) -> None:
    job = makers.add_job(database)

    cancelled = jobs.cancel(database, DEFAULT_TENANT, job.id)

    assert (cancelled.state, cancelled.cancel_requested) == ("cancelled", True)
    assert cancelled.finished_at is not None
    assert makers.take(database, makers.add_worker(database)) == []


def test_cancelling_a_running_job_asks_its_worker_to_stop(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))

    asked = jobs.cancel(database, DEFAULT_TENANT, held.id)

    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert withdrawals.find_cancelled(database, [held.id]) == {held.id}


def test_a_success_that_arrives_after_the_cancellation_ends_cancelled(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))
    jobs.cancel(database, DEFAULT_TENANT, held.id)

    claims.settle(database, [makers.succeed(held)])

    ended = jobs.get(database, DEFAULT_TENANT, held.id)
    assert (ended.state, ended.result) == ("cancelled", None)


def test_cancelling_an_ended_job_changes_nothing(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))
    claims.settle(database, [makers.succeed(held)])
    before = jobs.get(database, DEFAULT_TENANT, held.id)

    assert jobs.cancel(database, DEFAULT_TENANT, held.id) == before


def test_cancelling_one_line_of_a_batch_counts_it_there(database: Database) -> None:
    batch = makers.add_batch(database, 2)
    line = jobs.list_lines(database, batch.id, after_line=0, limit=1)[0]

    jobs.cancel(database, DEFAULT_TENANT, line.id)

    assert makers.reload(database, batch).failed == 1


def test_waiters_learn_of_all_ended_and_deleted_jobs_in_one_question(database: Database) -> None:
    session = sessions.create(database, DEFAULT_TENANT, None)
    ended, waiting = makers.add_job(database), makers.add_job(database)
    deleted = makers.add_job(database, session_id=session.id)
    jobs.cancel(database, DEFAULT_TENANT, ended.id)
    sessions.delete(database, DEFAULT_TENANT, session.id)

    asked = [ended.id, waiting.id, deleted.id]
    assert jobs.find_terminal(database, asked) == {ended.id, deleted.id}


def test_a_worker_learns_that_its_running_job_was_deleted(database: Database) -> None:
    session = sessions.create(database, DEFAULT_TENANT, None)
    makers.add_job(database, session_id=session.id)
    makers.add_job(database)
    deleted, other = makers.take(database, makers.add_worker(database))

    sessions.delete(database, DEFAULT_TENANT, session.id)

    assert withdrawals.find_cancelled(database, [deleted.id, other.id]) == {deleted.id}


def test_the_place_in_the_queue_counts_better_priorities_and_earlier_jobs(
    database: Database,
) -> None:
    makers.add_job(database)
    last = makers.add_job(database, priority=-5)
    makers.add_job(database, priority=-5)
    makers.add_job(database, priority=7)

    assert jobs.explain_wait(database, last) == (3, "no_worker")


def test_the_reason_for_waiting_names_what_is_missing(database: Database) -> None:
    job = makers.add_job(database)
    assert jobs.explain_wait(database, job)[1] == "no_worker"

    makers.add_worker(database)
    assert jobs.explain_wait(database, job)[1] == "workers_busy"

    session = sessions.create(database, DEFAULT_TENANT, None)
    makers.add_job(database, session_id=session.id)
    second = makers.add_job(database, session_id=session.id)
    assert jobs.explain_wait(database, second)[1] == "session_turn_pending"
