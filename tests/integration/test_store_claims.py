"""Claims, fences and settlements: one outcome for each job, whatever happens."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.models import claims, jobs, sessions, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.models.states import JobState, WorkerState
from app.wire.rows import Job, Outcome
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def state_of(db: Database, job: Job) -> str:
    return jobs.get(db, DEFAULT_TENANT, job.id).state


def test_eight_workers_claim_every_job_once(database: Database, database_url: str) -> None:
    for _ in range(120):
        makers.add_job(database)
    holders = [makers.add_worker(database, f"h/cpu:{i}") for i in range(8)]
    barrier = threading.Barrier(8)

    def drain(holder: Holder) -> list[str]:
        barrier.wait()
        own = Database(database_url)  # as another process has it
        found: list[str] = []
        while piece := makers.take(own, holder, limit=3):
            found += [job.id for job in piece]
        own.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for mine in pool.map(drain, holders) for job_id in mine]

    assert len(claimed) == len(set(claimed)) == 120


def test_claims_follow_priority_then_arrival(database: Database) -> None:
    late, early = makers.add_job(database, priority=-10), makers.add_job(database)
    urgent, second = makers.add_job(database, priority=5), makers.add_job(database)

    claimed = makers.take(database, makers.add_worker(database))

    assert [job.id for job in claimed] == [urgent.id, early.id, second.id, late.id]
    assert {job.attempt for job in claimed} == {1}


def test_a_claim_takes_no_more_than_its_limit_and_no_other_model(database: Database) -> None:
    makers.add_job(database, model="other")
    for _ in range(3):
        makers.add_job(database)

    assert len(makers.take(database, makers.add_worker(database), limit=2)) == 2
    assert len(makers.take(database, makers.add_worker(database, "h/cpu:1"))) == 1


def test_log_probabilities_and_choices_stay_with_the_result(database: Database) -> None:
    details = {"logprobs": [{"token": "é", "logprob": -0.5, "bytes": [195, 169]}], "others": []}
    plain, full = makers.add_job(database), makers.add_job(database)
    makers.take(database, makers.add_worker(database))
    outcomes = [makers.succeed(replace(job, attempt=1)) for job in (plain, full)]
    assert outcomes[1].result is not None
    outcomes[1] = replace(outcomes[1], result=replace(outcomes[1].result, details=details))

    claims.settle(database, outcomes)

    for job, outcome in zip((plain, full), outcomes, strict=True):
        assert jobs.get(database, DEFAULT_TENANT, job.id).result == outcome.result


def test_jobs_of_a_session_run_one_after_another_and_others_in_parallel(database: Database) -> None:
    holder = makers.add_worker(database)
    session, other = (sessions.create(database, DEFAULT_TENANT, None) for _ in range(2))
    turns = [makers.add_job(database, session_id=session.id) for _ in range(3)]
    parallel = makers.add_job(database, session_id=other.id)

    first = makers.take(database, holder)
    assert [job.id for job in first] == [turns[0].id, parallel.id]
    assert makers.take(database, holder) == []

    claims.settle(database, [makers.succeed(first[0])])
    second = makers.take(database, holder)
    assert [job.id for job in second] == [turns[1].id]


def test_a_higher_priority_does_not_overtake_inside_its_session(database: Database) -> None:
    session = sessions.create(database, DEFAULT_TENANT, None)
    first = makers.add_job(database, session_id=session.id)
    makers.add_job(database, session_id=session.id, priority=9)

    claimed = makers.take(database, makers.add_worker(database))

    assert [job.id for job in claimed] == [first.id]


def test_a_failed_turn_leaves_no_turn_and_lets_the_next_one_run(database: Database) -> None:
    holder = makers.add_worker(database)
    session = sessions.create(database, DEFAULT_TENANT, None)
    for _ in range(2):
        makers.add_job(database, session_id=session.id)

    claims.settle(database, [makers.fail(makers.take(database, holder)[0])])
    (second,) = makers.take(database, holder)
    claims.settle(database, [makers.succeed(second, "answer")])

    turns = sessions.list_turns(database, session.id)
    assert [(turn.turn_no, turn.job_id, turn.answer) for turn in turns] == [
        (1, second.id, "answer")
    ]
    assert sessions.get(database, DEFAULT_TENANT, session.id).num_turns == 1


def test_a_result_is_stored_with_its_tokens_and_provenance(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))

    settled = claims.settle(database, [makers.succeed(held, "text")])

    job = jobs.get(database, DEFAULT_TENANT, held.id)
    assert settled.accepted == {held.id}
    assert job.state == "succeeded"
    assert job.result == makers.succeed(held, "text").result
    assert job.finished_at is not None


def test_a_late_attempt_is_refused_and_the_current_one_wins(database: Database) -> None:
    makers.add_job(database)
    zombie = makers.add_worker(database)
    (old,) = makers.take(database, zombie)
    heir = makers.add_worker(database)  # takes the slot and its jobs over
    (new,) = makers.take(database, heir)
    assert (old.attempt, new.attempt) == (1, 2)

    late = claims.settle(database, [makers.succeed(old, "late")])
    current = claims.settle(database, [makers.succeed(new, "current")])
    again = claims.settle(database, [makers.succeed(old, "later still")])

    assert late.fenced == {old.id}
    assert not late.accepted
    assert current.accepted == {new.id}
    assert again.fenced == {old.id}
    stored = jobs.get(database, DEFAULT_TENANT, old.id).result
    assert stored is not None
    assert stored.text == "current"


def test_a_late_failure_does_not_touch_the_job_either(database: Database) -> None:
    makers.add_job(database)
    (old,) = makers.take(database, makers.add_worker(database))
    makers.add_worker(database)

    settled = claims.settle(database, [makers.fail(old)])

    assert settled.fenced == {old.id}
    assert state_of(database, old) == "queued"


def test_old_and_current_outcome_in_one_group_store_the_current_one(database: Database) -> None:
    makers.add_job(database)
    (old,) = makers.take(database, makers.add_worker(database))
    (new,) = makers.take(database, makers.add_worker(database))

    claims.settle(database, [makers.succeed(old, "late"), makers.succeed(new, "current")])

    stored = jobs.get(database, DEFAULT_TENANT, old.id).result
    assert stored is not None
    assert stored.text == "current"


def test_one_outcome_told_twice_is_stored_once(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))

    settled = claims.settle(database, [makers.succeed(held), makers.succeed(held)])

    assert settled.accepted == {held.id}
    assert state_of(database, held) == "succeeded"


def test_a_worker_declared_dead_gets_no_more_jobs(database: Database) -> None:
    zombie = makers.add_worker(database)
    workers.recover(database, zombie, max_attempts=3, state=WorkerState.LOST)
    makers.add_job(database)

    assert makers.take(database, zombie) == []
    assert len(makers.take(database, makers.add_worker(database))) == 1


def test_a_worker_that_is_told_to_stop_gets_no_more_jobs(database: Database) -> None:
    holder = makers.add_worker(database)
    makers.add_job(database)
    workers.begin_stop(database, holder.slot, 1)

    assert makers.take(database, holder) == []


def test_a_worker_whose_slot_has_a_newer_owner_gets_no_more_jobs(database: Database) -> None:
    zombie = makers.add_worker(database)
    heir = makers.add_worker(database)
    makers.add_job(database)

    assert makers.take(database, zombie) == []
    assert len(makers.take(database, heir)) == 1


def test_released_jobs_are_claimed_again_without_a_mark(database: Database) -> None:
    holder = makers.add_worker(database)
    makers.add_job(database)
    (held,) = makers.take(database, holder)

    assert claims.release(database, [(held.id, held.attempt)]) == 1

    (again,) = makers.take(database, holder, may_isolate=False)
    assert (again.attempt, again.crashes) == (2, 0)
    assert claims.release(database, [(held.id, held.attempt)]) == 0  # the first attempt is over


def test_a_released_job_whose_cancellation_was_asked_for_ends_cancelled(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))
    jobs.cancel(database, DEFAULT_TENANT, held.id)

    claims.release(database, [(held.id, held.attempt)])

    assert state_of(database, held) == "cancelled"


def test_nothing_is_released_and_settled_for_empty_lists(database: Database) -> None:
    assert claims.release(database, []) == 0
    assert claims.settle(database, []).accepted == frozenset()


def test_jobs_that_died_with_a_worker_run_alone(database: Database) -> None:
    suspect, neighbour = makers.add_job(database), makers.add_job(database)
    makers.take(database, makers.add_worker(database), limit=1)
    heir = makers.add_worker(database)

    assert makers.take(database, heir, may_isolate=False) == []
    assert [job.id for job in makers.take(database, heir)] == [suspect.id]
    assert [job.id for job in makers.take(database, heir)] == [neighbour.id]


def test_a_suspect_further_back_ends_the_claim_before_it(database: Database) -> None:
    suspect = makers.add_job(database)
    makers.take(database, makers.add_worker(database))
    holder = makers.add_worker(database)
    first = makers.add_job(database, priority=1)

    assert [job.id for job in makers.take(database, holder)] == [first.id]
    assert [job.id for job in makers.take(database, holder)] == [suspect.id]


def test_a_job_that_kills_its_worker_every_time_fails_after_the_last_attempt(
    database: Database,
) -> None:
    job = makers.add_job(database)
    for _ in range(3):
        assert len(makers.take(database, makers.add_worker(database))) == 1

    makers.add_worker(database)

    ended = jobs.get(database, DEFAULT_TENANT, job.id)
    assert ended.state == "failed"
    assert ended.error == {"code": "worker_crashed", "param": None, "values": {"attempts": 3}}
    assert (ended.attempt, ended.crashes) == (3, 2)


def test_a_takeover_frees_only_the_jobs_of_its_own_slot(database: Database) -> None:
    makers.add_job(database)
    makers.add_job(database)
    (mine,) = makers.take(database, makers.add_worker(database, "h/cpu:0"), limit=1)
    (theirs,) = makers.take(database, makers.add_worker(database, "h/cpu:1"), limit=1)

    makers.add_worker(database, "h/cpu:0")

    assert (state_of(database, mine), state_of(database, theirs)) == ("queued", "running")


def test_an_orphan_whose_cancellation_was_asked_for_ends_cancelled(database: Database) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))
    jobs.cancel(database, DEFAULT_TENANT, held.id)

    makers.add_worker(database)

    assert state_of(database, held) == "cancelled"


def test_a_worker_may_end_its_job_as_expired(database: Database) -> None:
    makers.add_job(database, expires_at=time.time() + 60)
    (held,) = makers.take(database, makers.add_worker(database))

    claims.settle(database, [Outcome(held.id, held.attempt, "expired")])

    assert state_of(database, held) == "expired"


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_no_statement_that_ends_jobs_touches_an_ended_one(database: Database, state: str) -> None:
    makers.add_job(database)
    (held,) = makers.take(database, makers.add_worker(database))
    claims.settle(database, [makers.succeed(held)])
    before = jobs.get(database, DEFAULT_TENANT, held.id)

    with database.write() as tx:
        claims.end(tx, [held.id], JobState(state), None)
        claims.requeue(tx, [held.id], crashes=1)
        jobs.cancel_where(tx)

    assert jobs.get(database, DEFAULT_TENANT, held.id) == before


def test_cancel_and_settle_at_the_same_moment_leave_one_outcome(
    database: Database, database_url: str
) -> None:
    client = Database(database_url)
    holder = makers.add_worker(database)
    for _ in range(20):
        makers.add_job(database)
        (held,) = makers.take(database, holder)
        barrier = threading.Barrier(2)

        def cancel(barrier: threading.Barrier = barrier, held: Job = held) -> None:
            barrier.wait()
            jobs.cancel(client, DEFAULT_TENANT, held.id)

        thread = threading.Thread(target=cancel)
        thread.start()
        barrier.wait()
        claims.settle(database, [makers.succeed(held)])
        thread.join()

        ended = jobs.get(database, DEFAULT_TENANT, held.id)
        assert ended.state in {"succeeded", "cancelled"}
        assert (ended.result is not None) == (ended.state == "succeeded")
    client.close()


def test_an_answer_with_a_nul_character_is_stored_without_it(database: Database) -> None:
    job = makers.add_job(database)
    held = makers.take(database, makers.add_worker(database))

    claims.settle(database, [makers.succeed(each, "a\0b") for each in held])

    result = jobs.get(database, DEFAULT_TENANT, job.id).result
    assert result
    assert result.text == "a\ufffdb"
