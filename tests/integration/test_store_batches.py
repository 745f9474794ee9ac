"""Batches in the store: their states, their lines, their counts."""

import time
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Busy, Conflict, NotFound
from app.models import batches, claims, jobs, sweeps, withdrawals, workers
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import BatchState, WorkerState
from app.wire.rows import Batch, Line, Outcome, Problem
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def counts(db: Database, batch: Batch) -> tuple[int, int, int]:
    found = makers.reload(db, batch)
    return found.total, found.completed, found.failed


def count_rows(db: Database, batch: Batch) -> tuple[int, int, int]:
    rows = jobs.list_lines(db, batch.id, after_line=0, limit=10_000)
    states = [row.state for row in rows]
    ended = len(states) - states.count("queued") - states.count("running")
    succeeded = states.count("succeeded")
    return len(states), succeeded, ended - succeeded


def finish(db: Database, batch: Batch, state: BatchState) -> bool:
    return batches.finish(db, batch.id, state, output_file_id="o", error_file_id=None)


def test_a_new_batch_is_validating_until_its_window_ends(database: Database) -> None:
    batch = makers.add_batch(database, metadata={"a": "b"})

    assert (batch.status, batch.metadata) == ("validating", {"a": "b"})
    assert batch.expires_at - batch.created_at == pytest.approx(86_400)
    assert batches.get(database, DEFAULT_TENANT, batch.id) == batch


def test_the_same_key_gives_the_same_batch_and_another_body_a_conflict(database: Database) -> None:
    first = makers.add_batch(database, idempotency_key="k")

    assert makers.add_batch(database, idempotency_key="k").id == first.id
    with pytest.raises(Conflict, match="idempotency_conflict"):
        makers.add_batch(database, idempotency_key="k", request_hash="other")


def test_a_key_belongs_to_a_batch_or_to_a_job(database: Database) -> None:
    makers.add_batch(database, idempotency_key="batch")
    makers.add_job(database, idempotency_key="job", request_hash="h")

    with pytest.raises(Conflict, match="idempotency_conflict"):
        makers.add_job(database, idempotency_key="batch", request_hash="h")
    with pytest.raises(Conflict, match="idempotency_conflict"):
        makers.add_batch(database, idempotency_key="job", request_hash="h")
    makers.add_job(database)
    makers.add_batch(database)


def test_a_batch_is_refused_while_too_many_lines_wait(database: Database) -> None:
    first = makers.add_batch(database, 2)
    (line, _) = jobs.list_lines(database, first.id, after_line=0, limit=2)
    again = makers.new_batch(idempotency_key="k")

    with pytest.raises(Busy, match="batches_full"):
        batches.create(database, again, max_lines=2)

    jobs.cancel(database, DEFAULT_TENANT, line.id)
    made, _ = batches.create(database, again, max_lines=2)
    batches.accept(database, made.id, model=makers.MODEL, total=5)
    assert batches.create(database, again, max_lines=2) == (makers.reload(database, made), False)


def test_a_batch_of_another_tenant_is_not_found(database: Database) -> None:
    batch = makers.add_batch(database)

    for call in (batches.get, batches.cancel):
        with pytest.raises(NotFound, match="batch_not_found"):
            call(database, "other", batch.id)


def test_batches_are_listed_newest_first_by_cursor(database: Database) -> None:
    made = [makers.add_batch(database).id for _ in range(3)]

    first, has_more = batches.list_page(database, DEFAULT_TENANT, limit=2)
    rest, _ = batches.list_page(database, DEFAULT_TENANT, limit=2, after=first[-1].id)

    assert [batch.id for batch in (*first, *rest)] == made[::-1]
    assert has_more


def test_a_piece_that_is_added_again_adds_nothing(database: Database) -> None:
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=5)
    piece = makers.make_lines(range(1, 4))

    for _ in range(2):
        assert batches.add_lines(database, batch, piece, last_line=3)
    assert batches.add_lines(database, batch, makers.make_lines(range(2, 6)), last_line=5)

    lines = jobs.list_lines(database, batch.id, after_line=0, limit=99)
    assert [line.line_no for line in lines] == [1, 2, 3, 4, 5]
    assert makers.reload(database, batch).lines_ingested == 5
    assert batches.count_lines(database, batch.id) == 5


def test_a_line_with_a_problem_fails_alone_and_is_counted(database: Database) -> None:
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=2)
    good = makers.make_lines([1])
    bad = Line(2, "c2", makers.MODEL, {}, Problem("out_of_range", "temperature", {"value": 9}))

    batches.add_lines(database, batch, [*good, bad], last_line=2)

    first, second = jobs.list_lines(database, batch.id, after_line=0, limit=9)
    assert (first.state, second.state) == ("queued", "failed")
    assert second.error == {
        "code": "out_of_range",
        "param": "temperature",
        "values": {"value": 9},
    }
    assert second.finished_at is not None
    assert makers.reload(database, batch).unrun == 1
    assert counts(database, batch) == (2, 0, 1)


def test_lines_of_a_batch_that_is_being_cancelled_are_stored_cancelled(database: Database) -> None:
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=4)
    batches.add_lines(database, batch, makers.make_lines([1, 2]), last_line=2)
    batches.cancel(database, DEFAULT_TENANT, batch.id)

    assert batches.add_lines(database, batch, makers.make_lines([3, 4]), last_line=4)

    states = [job.state for job in jobs.list_lines(database, batch.id, after_line=0, limit=9)]
    assert states == ["cancelled"] * 4
    assert counts(database, batch) == (4, 0, 4)


@pytest.mark.parametrize("end", ["refuse", "complete"])
def test_an_ended_batch_takes_no_lines(database: Database, end: str) -> None:
    batch = makers.add_batch(database)
    if end == "refuse":
        batches.refuse(database, batch.id, [])
    else:
        batches.accept(database, batch.id, model=makers.MODEL, total=0)
        batches.start_finalizing(database, batch.id)
        finish(database, batch, BatchState.COMPLETED)

    assert not batches.add_lines(database, batch, makers.make_lines([1]), last_line=1)
    assert batches.count_lines(database, batch.id) == 0


def test_a_batch_is_accepted_or_refused_once(database: Database) -> None:
    batch = makers.add_batch(database)

    assert batches.accept(database, batch.id, model=makers.MODEL, total=1)
    assert not batches.accept(database, batch.id, model="x", total=9)
    assert not batches.refuse(database, batch.id, [])
    assert makers.reload(database, batch).model == makers.MODEL


def test_counts_follow_the_rows_through_every_kind_of_end(database: Database) -> None:
    batch = makers.add_batch(database, 6)
    one, two, three, four = makers.take(database, makers.add_worker(database), limit=4)
    five = jobs.list_lines(database, batch.id, after_line=4, limit=1)[0]

    claims.settle(database, [makers.succeed(one), makers.fail(two)])
    claims.settle(database, [makers.succeed(one)])  # late: counted once
    jobs.cancel(database, DEFAULT_TENANT, three.id)
    claims.release(database, [(three.id, three.attempt), (four.id, four.attempt)])
    jobs.cancel(database, DEFAULT_TENANT, five.id)
    assert makers.reload(database, batch).unrun == 1
    makers.age(database, "jobs", "expires_at", 1)
    sweeps.expire_overdue(database)

    assert counts(database, batch) == (6, 1, 5)
    assert counts(database, batch) == count_rows(database, batch)


def test_usage_adds_up_over_the_succeeded_lines(database: Database) -> None:
    batch = makers.add_batch(database, 2)
    held = makers.take(database, makers.add_worker(database))

    claims.settle(database, [makers.succeed(job) for job in held])

    found = makers.reload(database, batch)
    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == (6, 2, 4)


def test_refused_answers_are_paid_for_too(database: Database) -> None:
    batch = makers.add_batch(database, 2)
    first, second = makers.take(database, makers.add_worker(database))
    spent = {"prompt_tokens": 30, "completion_tokens": 9, "cached_tokens": 12}
    values = {"fault": "f", "asks": 3, "text": "t", "usage": spent}
    refused = Outcome(
        first.id, first.attempt, "failed", problem=Problem("schema_violation", None, values)
    )

    for _ in range(2):  # the second time it is late and counts for nothing
        claims.settle(database, [refused, makers.succeed(second)])

    found = makers.reload(database, batch)
    assert (found.input_tokens, found.cached_tokens, found.output_tokens) == (33, 13, 11)
    assert (found.completed, found.failed) == (1, 1)


def test_the_settlement_of_the_last_line_names_the_batch(database: Database) -> None:
    batch = makers.add_batch(database, 2)
    first, last = makers.take(database, makers.add_worker(database))

    assert claims.settle(database, [makers.succeed(first)]).ended_batches == frozenset()
    assert claims.settle(database, [makers.fail(last)]).ended_batches == {batch.id}


def test_finalizing_starts_only_when_every_line_is_counted(database: Database) -> None:
    batch = makers.add_batch(database, 1)
    (held,) = makers.take(database, makers.add_worker(database))
    assert not batches.start_finalizing(database, batch.id)

    claims.settle(database, [makers.succeed(held)])

    assert batches.start_finalizing(database, batch.id)
    assert not batches.start_finalizing(database, batch.id)


def test_a_finished_batch_stays_as_it_is(database: Database) -> None:
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=0)
    batches.start_finalizing(database, batch.id)
    assert finish(database, batch, BatchState.COMPLETED)
    before = makers.reload(database, batch)

    assert not finish(database, batch, BatchState.EXPIRED)
    assert not finish(database, batch, BatchState.CANCELLED)
    with pytest.raises(Conflict, match="batch_not_cancellable"):
        batches.cancel(database, DEFAULT_TENANT, batch.id)

    assert makers.reload(database, batch) == before
    assert before.completed_at is not None


def test_cancelling_ends_queued_lines_and_lets_running_ones_finish(database: Database) -> None:
    batch = makers.add_batch(database, 4)
    held = makers.take(database, makers.add_worker(database), limit=3)

    cancelled = batches.cancel(database, DEFAULT_TENANT, batch.id)

    assert (cancelled.status, cancelled.failed) == ("cancelling", 1)
    assert withdrawals.find_cancelled(database, [job.id for job in held]) == set()
    jobs.cancel(database, DEFAULT_TENANT, held[2].id)  # one of them by itself, which cannot wait
    assert withdrawals.find_cancelled(database, [job.id for job in held]) == {held[2].id}
    outcomes = [makers.succeed(held[0]), makers.fail(held[1], "numerical"), makers.succeed(held[2])]
    claims.settle(database, outcomes)
    assert counts(database, batch) == (4, 1, 3)
    lines = jobs.list_lines(database, batch.id, after_line=0, limit=4)
    assert [line.state for line in lines] == ["succeeded", "failed", "cancelled", "cancelled"]
    assert [line.error and line.error["code"] for line in lines[1:3]] == [
        "numerical",
        "job_cancelled",
    ]


def test_a_running_line_of_a_cancelled_batch_is_stopped_after_nine_minutes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = makers.add_batch(database, 1)
    (held,) = makers.take(database, makers.add_worker(database))
    since = batches.cancel(database, DEFAULT_TENANT, batch.id).cancelling_at or 0.0

    asked = []
    for seconds in (539.0, 541.0):
        monkeypatch.setattr("app.clock.earliest", lambda now=since + seconds: now)
        asked.append(withdrawals.find_cancelled(database, [held.id]))

    assert asked == [set(), {held.id}]


@pytest.mark.parametrize("has_died", [False, True])
def test_a_line_of_a_cancelled_batch_is_not_run_again(database: Database, has_died: bool) -> None:
    batch = makers.add_batch(database, 1)
    holder = makers.add_worker(database)
    (held,) = makers.take(database, holder)
    batches.cancel(database, DEFAULT_TENANT, batch.id)

    if has_died:
        lost = WorkerState.LOST
        workers.recover(database, holder, max_attempts=3, state=lost)
    else:
        claims.release(database, [(held.id, held.attempt)])

    assert jobs.get(database, DEFAULT_TENANT, held.id).state == "cancelled"
    assert counts(database, batch) == (1, 0, 1)


def test_cancelling_twice_and_after_the_end_returns_the_batch(database: Database) -> None:
    batch = makers.add_batch(database, 1)
    first = batches.cancel(database, DEFAULT_TENANT, batch.id)

    assert batches.cancel(database, DEFAULT_TENANT, batch.id) == first
    assert finish(database, batch, BatchState.CANCELLED)
    assert batches.cancel(database, DEFAULT_TENANT, batch.id).status == "cancelled"


@pytest.mark.parametrize(
    ("advance", "expected"),
    [
        (lambda db, b: None, True),
        (lambda db, b: batches.accept(db, b.id, model="m", total=0), True),
        (lambda db, b: batches.refuse(db, b.id, []), False),
    ],
)
def test_the_control_process_sees_what_is_unfinished(
    database: Database, advance: Any, expected: bool
) -> None:
    batch = makers.add_batch(database)
    advance(database, batch)

    assert (batch.id in {b.id for b in batches.find_unfinished(database)}) is expected


def test_expired_lines_are_noticed(database: Database) -> None:
    batch = makers.add_batch(database, 1)
    assert not batches.has_expired_jobs(database, batch.id)

    makers.age(database, "jobs", "expires_at", 1)
    assert sweeps.expire_overdue(database) == 1

    assert batches.has_expired_jobs(database, batch.id)


def test_pages_of_lines_can_do_without_the_requests(database: Database) -> None:
    batch = makers.add_batch(database, 3)

    page = jobs.list_lines(database, batch.id, after_line=1, limit=9, has_requests=False)

    assert [(job.line_no, job.custom_id, job.request) for job in page] == [
        (2, "c2", {}),
        (3, "c3", {}),
    ]


def test_old_batches_go_with_their_jobs_in_pieces_and_young_ones_stay(database: Database) -> None:
    old, young = makers.add_batch(database, 5), makers.add_batch(database, 1)
    for batch in (old, young):
        batches.cancel(database, DEFAULT_TENANT, batch.id)
        finish(database, batch, BatchState.CANCELLED)
    with database.write() as tx:
        tx.execute(sa.text("UPDATE batches SET cancelled_at = 1 WHERE id = :id"), {"id": old.id})

    pieces = []
    while piece := sweeps.forget(database, before=time.time() - 60, limit=2):
        pieces.append(piece)

    assert sum(pieces) == 6
    assert max(pieces) == 2
    assert batches.find(database, old.id) is None
    assert count_rows(database, young)[0] == 1


def test_old_jobs_are_forgotten_and_open_ones_never(database: Database) -> None:
    ended, waiting = makers.add_job(database), makers.add_job(database)
    jobs.cancel(database, DEFAULT_TENANT, ended.id)
    makers.age(database, "jobs", "created_at", 1e8)
    makers.age(database, "jobs", "queued_at", 1e8)
    with database.write() as tx:
        tx.execute(sa.text("UPDATE jobs SET finished_at = 1 WHERE id = :id"), {"id": ended.id})

    assert sweeps.forget(database, before=time.time() - 60) == 1

    assert jobs.get(database, DEFAULT_TENANT, waiting.id).state == "queued"
    with pytest.raises(NotFound):
        jobs.get(database, DEFAULT_TENANT, ended.id)


def test_the_states_of_jobs_are_counted_by_model(database: Database) -> None:
    makers.add_batch(database, 2)
    makers.add_job(database, model="x")

    assert sweeps.count_states(database) == {("m", "queued"): 2, ("x", "queued"): 1}
    claimable = sweeps.count_claimable(database, limit=1)
    assert {model: len(job_ids) for model, job_ids in claimable.items()} == {"m": 1, "x": 1}
