"""Paused batches, attempts and paces in the store."""

import time

import pytest

from app.errors import Conflict, NotFound
from app.models import (
    backlog,
    batches,
    claims,
    events,
    lines,
    pace,
    pauses,
    sweeps,
    waits,
    workers,
)
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from app.workers import foresight
from tests.integration import inputs, makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def pause(db: Database, batch: Batch) -> Batch:
    return pauses.pause(db, DEFAULT_TENANT, batch.id)


def resume(db: Database, batch: Batch) -> Batch:
    return pauses.resume(db, DEFAULT_TENANT, batch.id)


def test_no_line_of_a_paused_batch_is_claimed_and_others_are(database: Database) -> None:
    paused, other = makers.add_batch(database, 3), makers.add_batch(database, 2)
    holder = makers.add_worker(database)

    assert pause(database, paused).paused_at is not None
    held = makers.take(database, holder)

    assert {job.batch_id for job in held} == {other.id}
    assert backlog.fair_share(database, makers.MODEL, 9) == 0
    assert sweeps.count_claimable(database) == {}
    resume(database, paused)
    assert [job.line_no for job in makers.take(database, holder)] == [1, 2, 3]


def test_what_runs_is_finished_and_what_is_given_back_stays(database: Database) -> None:
    batch = makers.add_batch(database, 3)
    holder = makers.add_worker(database)
    done, returned, crashed = makers.take(database, holder)

    pause(database, batch)
    claims.settle(database, [makers.succeed(done)])
    claims.release(database, [(returned.id, returned.attempt)])
    holder = makers.add_worker(database)  # a new child: the third line's worker has died

    assert makers.reload(database, batch).completed == 1
    assert makers.take(database, holder) == []
    resume(database, batch)
    assert {job.id for job in makers.take(database, holder)} <= {returned.id, crashed.id}


def test_lines_that_are_stored_later_are_held_too(database: Database) -> None:
    batch = makers.add_batch(database)
    pause(database, batch)
    batches.accept(database, batch.id, model=makers.MODEL, total=2)
    batches.add_lines(database, batch, makers.make_lines(range(1, 3)), last_line=2)
    holder = makers.add_worker(database)

    assert makers.take(database, holder) == []
    resume(database, batch)
    assert len(makers.take(database, holder)) == 2


def test_a_paused_batch_expires_and_can_be_cancelled(database: Database) -> None:
    expiring, cancelled = makers.add_batch(database, 2), makers.add_batch(database, 2)
    for batch in (expiring, cancelled):
        pause(database, batch)

    batches.cancel(database, DEFAULT_TENANT, cancelled.id)
    makers.age(database, "jobs", "expires_at", 10)
    sweeps.expire_overdue(database)

    assert [makers.reload(database, b).failed for b in (expiring, cancelled)] == [2, 2]
    with pytest.raises(Conflict, match="batch_not_pausable"):
        resume(database, cancelled)


def test_pausing_and_resuming_twice_changes_nothing(database: Database) -> None:
    batch = makers.add_batch(database, 1)

    first = pause(database, batch)
    assert pause(database, batch) == first
    assert resume(database, batch) == resume(database, batch)
    with pytest.raises(NotFound):
        pauses.pause(database, "other", batch.id)


def test_every_attempt_at_a_line_is_told(database: Database) -> None:
    """Given back, crashed, then succeeded: three attempts, with who had it and when."""
    batch = makers.add_batch(database, 1)
    first = makers.add_worker(database, "h/cpu:0")
    (job,) = makers.take(database, first)
    claims.release(database, [(job.id, job.attempt)])
    makers.take(database, first)
    second = makers.add_worker(database, "h/cpu:0")
    (again,) = makers.take(database, second)
    _, during = lines.find(database, batch.id, "c1")
    claims.settle(database, [makers.succeed(again)])

    found, attempts = lines.find(database, batch.id, "1")

    assert found.id == job.id
    assert [a.attempt for a in attempts] == [1, 2, 3]
    assert [a.outcome for a in attempts] == ["released", "crashed", "succeeded"]
    assert during[-1].outcome == "running"
    assert during[-1].ended_at is None
    assert [a.epoch for a in attempts] == [1, 1, 2]
    assert {a.slot for a in attempts} == {"h/cpu:0"}
    moments = [moment for a in attempts for moment in (a.claimed_at, a.ended_at)]
    assert None not in moments
    assert moments == sorted(moments, key=lambda moment: moment or 0)


def test_a_job_that_was_cancelled_after_it_was_given_back_has_no_attempt_too_many(
    database: Database,
) -> None:
    batch = makers.add_batch(database, 1)
    (job,) = makers.take(database, makers.add_worker(database))
    claims.release(database, [(job.id, job.attempt)])
    batches.cancel(database, DEFAULT_TENANT, batch.id)

    found, attempts = lines.find(database, batch.id, "c1")

    assert found.state == "cancelled"
    assert [a.outcome for a in attempts] == ["released"]


def test_a_line_is_found_by_its_id_before_its_number(database: Database) -> None:
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=2)
    first, second = makers.make_lines(range(1, 3))
    named = [type(first)(1, "2", makers.MODEL, first.request), second]
    batches.add_lines(database, batch, named, last_line=2)

    assert lines.find(database, batch.id, "2")[0].line_no == 1
    assert lines.find(database, batch.id, "2", by="number")[0].line_no == 2
    for name, by in (("c9", None), ("3", None), ("c2", "number"), ("1", "custom_id")):
        with pytest.raises(NotFound, match="line_not_found"):
            lines.find(database, batch.id, name, by=by)


def test_a_pace_is_measured_from_the_first_claim(database: Database) -> None:
    batch = makers.add_batch(database, 4)
    assert pace.measure(database, batch.id) is None
    held = makers.take(database, makers.add_worker(database), limit=3)
    claims.settle(
        database, [makers.succeed(held[0]), makers.succeed(held[1]), makers.fail(held[2])]
    )

    measured = pace.measure(database, batch.id)

    assert measured is not None
    assert (measured.lines, measured.tokens) == (3, 2 * (3 - 1 + 2))  # a cached token costs nothing
    assert measured.began_at == pytest.approx(time.time(), abs=30)
    done = pace.measure_model(database, makers.MODEL)
    assert done is not None
    assert done.mean_answer == 2


def test_a_batch_that_will_be_late_is_said_once(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = inputs.make_context(database, tmp_path_factory.mktemp("risk"))
    late, fine = makers.add_batch(database, 3), makers.add_batch(database, 3)
    held = makers.take(database, makers.add_worker(database))
    claims.settle(database, [makers.succeed(job) for job in held if job.line_no == 1])
    shorten(database, late)

    for _ in range(2):
        foresight.run(context)

    assert [event.type for event in events.list_of(database, late.id)] == ["batch.at_risk"]
    assert events.list_of(database, fine.id) == []
    assert events.forget(database, before=time.time() + 1) == 1


def shorten(db: Database, batch: Batch) -> None:
    """Its window is almost over."""
    with db.write() as tx:
        statement = f"UPDATE batches SET expires_at = {time.time() - 1} WHERE id = '{batch.id}'"
        tx.exec_driver_sql(statement)


def test_who_is_ahead_of_a_batch_is_counted_in_the_order_of_claims(database: Database) -> None:
    first, second = makers.add_batch(database, 3), makers.add_batch(database, 2)
    makers.add_job(database)
    makers.add_worker(database)

    facts = waits.gather(database, second)

    assert facts.ahead == {None: 1, first.id: 3}
    assert facts.workers == [("ready", None, 0)]
    pause(database, first)
    assert waits.gather(database, second).ahead == {None: 1}
    assert workers.get(database, "h/cpu:0") is not None
