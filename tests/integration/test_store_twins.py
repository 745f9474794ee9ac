"""Identical deterministic lines of a batch: run once, answered together, and none is ever lost."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.models import batches, claims, jobs, lines, pauses, sweeps, twins, waits, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import JobState
from app.wire.rows import Batch, Job, Line
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def make_lines(numbers: Sequence[int], first: int = 1) -> list[Line]:
    """Lines with the request of line `first`."""
    return [replace(line, twin_no=first) for line in makers.make_lines(numbers)]


def add_batch(db: Database, stored: Sequence[Line], total: int = 0) -> Batch:
    batch = makers.add_batch(db)
    batches.accept(db, batch.id, model=makers.MODEL, total=total or len(stored))
    batches.add_lines(db, batch, stored, last_line=len(stored))
    return makers.reload(db, batch)


def read(db: Database, batch: Batch) -> list[Job]:
    """The lines in the order of the file."""
    return jobs.list_lines(db, batch.id, after_line=0, limit=100)


def states_of(db: Database, batch: Batch) -> str:
    """One letter a line: queued, running, succeeded, failed, cancelled, expired."""
    return "".join(job.state[0] for job in read(db, batch))


def take_one(db: Database, holder: Holder) -> Job:
    (job,) = makers.take(db, holder)
    return job


@pytest.fixture
def holder(database: Database) -> Holder:
    return makers.add_worker(database)


def test_one_line_is_run_and_the_others_have_its_answer(database: Database, holder: Holder) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))

    first = take_one(database, holder)
    settlement = claims.settle(database, [makers.succeed(first, "the answer")])

    assert first.line_no == 1
    assert states_of(database, batch) == "sss"
    assert settlement.ended_batches == {batch.id}
    origin = {"job_id": first.id, "custom_id": "c1"}
    for job in read(database, batch)[1:]:
        assert job.result is not None
        assert (job.result.text, job.result.reused_from) == ("the answer", origin)
        assert job.result.cached_tokens == job.result.prompt_tokens == 3
        assert (job.attempt, job.started_at) == (0, None)
    batch = makers.reload(database, batch)
    assert (batch.completed, batch.reused_lines, batch.reused_tokens) == (3, 2, 4)
    assert (batch.input_tokens, batch.cached_tokens, batch.output_tokens) == (9, 7, 6)


def test_lines_of_other_requests_and_batches_run_themselves(
    database: Database, holder: Holder
) -> None:
    add_batch(database, [*make_lines([1, 2]), *make_lines([3, 4], first=3)])
    add_batch(database, [*make_lines([1]), *makers.make_lines([2, 3])])

    taken = makers.take(database, holder)

    assert [job.line_no for job in taken] == [1, 3, 1, 2, 3]


@pytest.mark.parametrize("letter", ["failed", "cancelled", "expired", "deleted by a client"])
def test_when_the_first_ends_without_an_answer_the_next_is_run(
    database: Database, holder: Holder, letter: str
) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    if letter == "failed":
        claims.settle(database, [makers.fail(take_one(database, holder))])
    elif letter == "cancelled":
        jobs.cancel(database, DEFAULT_TENANT, read(database, batch)[0].id)
    elif letter == "expired":
        expire(database, read(database, batch)[0])
    else:
        delete(database, read(database, batch)[0])
        assert twins.mend(database) == 1

    second = take_one(database, holder)
    assert second.line_no == 2
    claims.settle(database, [makers.succeed(second)])

    assert states_of(database, batch)[-2:] == "ss"
    third = read(database, batch)[-1]
    assert third.result is not None
    assert third.result.reused_from == {"job_id": second.id, "custom_id": "c2"}


def expire(db: Database, job: Job) -> None:
    with db.write() as tx:
        tx.execute(sa.text("UPDATE jobs SET expires_at = 1 WHERE id = :id"), {"id": job.id})
    assert sweeps.expire_overdue(db) == 1


def delete(db: Database, job: Job) -> None:
    with db.write() as tx:
        tx.execute(sa.text("DELETE FROM jobs WHERE id = :id"), {"id": job.id})


def test_lines_that_are_read_later_are_answered_at_once_or_wait_or_run(
    database: Database, holder: Holder
) -> None:
    parts = [make_lines([1]), make_lines([2]), make_lines([3]), make_lines([4])]
    batch = add_batch(database, parts[0], total=4)
    first = take_one(database, holder)
    batches.add_lines(database, batch, parts[1], last_line=2)
    assert states_of(database, batch) == "rq"
    assert makers.take(database, holder) == []

    claims.settle(database, [makers.succeed(first)])
    batches.add_lines(database, batch, parts[2], last_line=3)
    assert states_of(database, batch) == "sss"
    batches.add_lines(database, batch, parts[2] + parts[3], last_line=4)  # the control process died

    assert states_of(database, batch) == "ssss"
    batch = makers.reload(database, batch)
    assert (batch.completed, batch.reused_lines) == (4, 3)
    assert {job.result.reused_from["job_id"] for job in read(database, batch)[1:]} == {first.id}  # type: ignore[union-attr, index]


def test_a_line_that_is_read_after_the_first_has_failed_is_run(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines([1]), total=3)
    claims.settle(database, [makers.fail(take_one(database, holder))])

    batches.add_lines(database, batch, make_lines([2, 3]), last_line=3)

    assert [job.line_no for job in makers.take(database, holder)] == [2]
    assert states_of(database, batch) == "frq"


def test_a_death_of_the_worker_runs_the_same_line_again_and_not_its_twin(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines(range(1, 3)))
    lost = take_one(database, holder)

    again = take_one(database, makers.add_worker(database))  # the slot's new owner
    late = claims.settle(database, [makers.succeed(lost, "late")])

    assert (again.id, again.attempt) == (lost.id, 2)
    assert late.fenced == {lost.id}
    assert states_of(database, batch) == "rq"
    claims.settle(database, [makers.succeed(again, "in time")])
    assert [job.result.text for job in read(database, batch) if job.result] == ["in time"] * 2


def test_a_poisonous_line_is_tried_as_often_as_if_it_were_alone_then_its_twin(
    database: Database,
) -> None:
    batch = add_batch(database, make_lines(range(1, 3)))
    for _ in range(3):
        assert take_one(database, makers.add_worker(database)).line_no == 1

    holder = makers.add_worker(database)

    assert states_of(database, batch) == "fq"
    assert take_one(database, holder).line_no == 2


def test_a_pause_holds_all_and_a_resumed_batch_still_runs_them_once(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    pauses.pause(database, DEFAULT_TENANT, batch.id)
    jobs.cancel(database, DEFAULT_TENANT, read(database, batch)[0].id)
    assert makers.take(database, holder) == []

    pauses.resume(database, DEFAULT_TENANT, batch.id)

    second = take_one(database, holder)
    pauses.pause(database, DEFAULT_TENANT, batch.id)
    claims.settle(database, [makers.succeed(second)])  # what runs is finished, and so are its twins
    assert states_of(database, batch) == "css"


def test_cancelling_the_batch_ends_twins_at_once_and_lets_the_first_finish(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    first = take_one(database, holder)

    batches.cancel(database, DEFAULT_TENANT, batch.id)
    assert states_of(database, batch) == "rcc"
    claims.settle(database, [makers.succeed(first)])

    assert states_of(database, batch) == "scc"
    assert makers.reload(database, batch).failed == 2


def test_a_cancelled_twin_is_not_answered(database: Database, holder: Holder) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    first = take_one(database, holder)

    jobs.cancel(database, DEFAULT_TENANT, read(database, batch)[2].id)
    claims.settle(database, [makers.succeed(first)])

    assert states_of(database, batch) == "ssc"


def test_a_waiting_twin_says_what_it_waits_for(database: Database, holder: Holder) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    take_one(database, holder)

    assert jobs.explain_wait(database, read(database, batch)[1])[1] == "twin_pending"
    assert waits.gather(database, batch).twins == 2


def test_a_twin_has_no_attempts_and_is_lost_for_a_retry_only_if_it_failed(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines(range(1, 4)))
    claims.settle(database, [makers.fail(take_one(database, holder))])
    claims.settle(database, [makers.succeed(take_one(database, holder))])

    assert lines.find(database, batch.id, "c3")[1] == []
    assert [a.outcome for a in lines.find(database, batch.id, "c1")[1]] == ["failed"]
    assert lines.list_lost(database, batch.id).numbers == {1}


def test_nothing_is_mended_where_nothing_is_lost(database: Database, holder: Holder) -> None:
    batch = add_batch(database, make_lines(range(1, 3)))

    assert twins.mend(database) == 0
    first = take_one(database, holder)
    assert twins.mend(database) == 0
    workers.retire(database, holder)
    assert twins.mend(database) == 0

    assert read(database, batch)[0].id == first.id
    assert states_of(database, batch) == "qq"


def test_a_twin_whose_answer_was_not_handed_on_has_it_from_the_sweeper(
    database: Database, holder: Holder
) -> None:
    batch = add_batch(database, make_lines([1]), total=2)
    claims.settle(database, [makers.succeed(take_one(database, holder))])
    batches.add_lines(database, batch, [makers.make_lines([2])[0]], last_line=2)
    with database.write() as tx:  # as an interrupted program would leave it
        tx.execute(
            sa.text("UPDATE jobs SET twin_no = 1, is_twin = true, held = true WHERE line_no = 2")
        )

    assert twins.mend(database) == 1

    assert states_of(database, batch) == "ss"
    second = read(database, batch)[1]
    assert second.state == JobState.SUCCEEDED
    assert makers.reload(database, batch).completed == 2
