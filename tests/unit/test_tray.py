"""The tray: what is wanted, what is taken in which order, what happens to the doomed."""

import dataclasses
from typing import Any

from app.errors import EngineError
from app.inference.engine import FinishReason, Output, Request, Sampling
from app.models.states import JobState
from app.wire.rows import Job, Outcome
from app.workers import orders
from app.workers.orders import Order
from app.workers.tray import Tray

_FIELDS: dict[str, Any] = {field.name: None for field in dataclasses.fields(Job)}


def make_job(seq: int, **changes: Any) -> Job:
    basic = {
        "id": f"job_{seq}",
        "seq": seq,
        "attempt": 1,
        "crashes": 0,
        "priority": 0,
        "cancel_requested": False,
        "request": {"prompt": "hi"},
    }
    return Job(**(_FIELDS | basic | changes))


def make_order(job: Job) -> Order:
    request = Request(f"{job.id}:{job.attempt}", (1,), Sampling(seed=1), priority=job.priority)
    return Order(job, request)


def make_output(job: Job, reason: FinishReason = FinishReason.STOP) -> Output:
    return Output(f"{job.id}:{job.attempt}", (1, 2), "done", reason, prompt_tokens=1)


def make_tray(capacity: int = 4) -> Tray:
    return Tray(capacity, {"engine": "fake"}, lambda: None)


def make_ready(tray: Tray, *jobs: Job) -> None:
    tray.put_claimed(jobs, tray.want()[1])
    for job in jobs:
        tray.put_ready(job, make_order(job))


def test_nothing_is_wanted_while_no_shift_runs():
    tray = make_tray()

    assert tray.want()[0] == 0
    tray.open(8)
    assert tray.want()[0] == 8 + 4
    tray.close()
    assert tray.want()[0] == 0


def test_what_lies_ready_counts_against_what_is_wanted():
    tray = make_tray(capacity=4)
    tray.open(2)
    make_ready(tray, make_job(1), make_job(2))

    assert tray.want()[0] == 2 + 4 - 2
    make_ready(tray, make_job(3), make_job(4))
    assert tray.want()[0] == 0


def test_nothing_is_wanted_while_claimed_jobs_wait_for_their_tokens():
    tray = make_tray()
    tray.open(8)
    tray.put_claimed([make_job(1)], 0)

    assert tray.want()[0] == 0


def test_a_suspect_may_run_only_alone_and_nothing_joins_it():
    tray = make_tray()
    tray.open(8)
    assert tray.want()[2]
    make_ready(tray, make_job(1))
    assert not tray.want()[2]
    tray.take(8)
    tray.give([make_output(make_job(1))])
    assert not tray.want()[2], "what is not committed yet would seem to have died with it"
    tray.drop_ended(tray.ended())
    assert tray.want()[2]
    make_ready(tray, make_job(2, crashes=1))
    assert tray.want()[0] == 0
    tray.take(8)
    tray.give([make_output(make_job(2))])
    assert tray.want()[0] == 0, "nothing joins a suspect whose answer is not committed"
    tray.drop_ended(tray.ended())
    assert tray.want()[0] > 0


def test_the_best_come_first_by_priority_and_then_by_arrival():
    tray = make_tray()
    tray.open(8)
    make_ready(tray, make_job(1), make_job(2, priority=5), make_job(3), make_job(4, priority=5))

    taken = [request.id for request in tray.take(3)]

    assert taken == ["job_2:1", "job_4:1", "job_1:1"]
    assert [request.id for request in tray.take(3)] == ["job_3:1"]


def test_an_output_becomes_the_outcome_of_its_attempt_and_is_held_until_committed():
    tray = make_tray()
    tray.open(8)
    make_ready(tray, make_job(1))
    tray.take(8)

    tray.give([make_output(make_job(1))])

    (job, outcome), *others = tray.ended()
    assert not others
    assert (job.id, outcome.attempt, outcome.state) == ("job_1", 1, JobState.SUCCEEDED)
    assert outcome.result
    assert outcome.result.provenance == {"engine": "fake", "seed": 1}
    assert tray.num_held == 1
    tray.drop_ended(tray.ended())
    assert tray.num_held == 0


def test_a_refused_request_ends_its_job_and_is_not_cancelled_for_ever():
    tray = make_tray()
    tray.open(8)
    make_ready(tray, make_job(1))
    tray.take(8)
    tray.doom(["job_1:1"])

    tray.reject("job_1:1", EngineError("prompt_too_long", tokens=9, limit=5))

    outcome = tray.ended()[0][1]
    assert outcome.state == JobState.FAILED
    assert outcome.problem
    assert outcome.problem.code == "prompt_too_long"
    assert tray.doomed() == []


def test_only_what_is_here_can_be_doomed_and_it_stays_doomed_until_its_output():
    tray = make_tray()
    tray.open(8)
    make_ready(tray, make_job(1))
    tray.doom(["job_1:1", "job_9:1"])

    assert tray.doomed() == ["job_1:1"]
    tray.give([make_output(make_job(1), FinishReason.CANCELLED)])
    assert tray.doomed() == []
    assert tray.ended()[0][1].state == JobState.CANCELLED


def test_surrender_drops_all_that_has_not_ended_and_dooms_what_the_engine_runs():
    tray = make_tray()
    tray.open(8)
    make_ready(tray, make_job(1), make_job(2))
    tray.take(1)
    tray.put_claimed([make_job(3)], 0)

    given_back = tray.surrender()

    assert sorted(given_back) == [("job_1", 1), ("job_2", 1), ("job_3", 1)]
    assert tray.num_held == 0
    assert tray.doomed() == ["job_1:1"]
    tray.give([make_output(make_job(1))])
    assert tray.ended() == []
    assert tray.take(8) == []


def test_a_job_forfeited_while_it_was_tokenized_does_not_come_back():
    tray = make_tray()
    tray.open(8)
    job = make_job(1)
    tray.put_claimed([job], 0)
    tray.surrender()

    tray.put_ready(job, make_order(job))
    tray.put_ended(job, orders.refuse(job, EngineError("x")))

    assert tray.num_held == 0


def test_the_tray_is_dry_only_after_the_backlog_was_seen_empty_since_the_last_event():
    tray = make_tray()
    tray.open(8)
    seen = [tray.is_dry]
    tray.put_claimed([], tray.want()[1])
    seen.append(tray.is_dry)
    tray.open(8)
    seen.append(tray.is_dry)

    assert seen == [False, True, False]


def test_an_event_after_the_question_makes_its_answer_stale():
    tray = make_tray()
    tray.open(8)
    _, asked_at, _ = tray.want()
    tray.drop_ended([])

    tray.put_claimed([], asked_at)

    assert not tray.is_dry


def test_an_outcome_that_is_not_committed_keeps_the_shift_open():
    tray = make_tray()
    tray.open(8)
    job = make_job(1)
    tray.put_claimed([job], 0)
    tray.put_ended(job, Outcome(job.id, 1, JobState.FAILED))
    _, asked_at, _ = tray.want()
    tray.put_claimed([], asked_at)

    seen = [tray.is_dry]
    tray.drop_ended(tray.ended())
    tray.put_claimed([], tray.want()[1])
    seen.append(tray.is_dry)

    assert seen == [False, True]


def test_an_urgent_job_enters_an_engine_that_is_full():
    tray = make_tray()
    tray.open(2)
    make_ready(tray, make_job(1, priority=-10), make_job(2, priority=-10))
    tray.take(2)

    make_ready(tray, make_job(3), make_job(4, priority=-10))

    assert [request.id for request in tray.take(0)] == ["job_3:1"]
    assert tray.take(0) == []


def test_a_full_tray_wants_what_outranks_the_lowest_it_holds():
    tray = make_tray(capacity=2)
    tray.open(0)
    make_ready(tray, make_job(1, priority=-10), make_job(2))

    assert tray.want()[0] == 0
    assert tray.want_urgent() == (2, -10)


def test_urgent_jobs_beyond_the_room_are_bounded_and_make_place_when_they_end():
    tray = make_tray(capacity=2)
    tray.open(1)
    make_ready(tray, make_job(1, priority=-10))
    tray.take(1)
    urgent = [make_job(seq) for seq in range(2, 6)]
    make_ready(tray, *urgent)

    assert len(tray.take(0)) == 2
    assert tray.want_urgent()[0] == 0
    tray.give([make_output(urgent[0])])
    assert len(tray.take(0)) == 1


def test_an_equal_is_not_urgent():
    tray = make_tray(capacity=1)
    tray.open(1)
    make_ready(tray, make_job(1))
    tray.take(1)
    make_ready(tray, make_job(2))

    assert tray.take(0) == []
    assert tray.want_urgent() == (1, 0)


def test_an_answer_that_is_asked_for_again_runs_once_more_under_the_same_attempt():
    tray = make_tray()
    tray.open(4)
    job = make_job(1)
    make_ready(tray, job)
    tray.take(4)
    tray.give([make_output(job)])
    (ended,) = tray.ended()
    again = Order(job, Request("job_1:1:again", (1,), Sampling(seed=1)))

    tray.ask_again(ended, again)

    assert tray.ended() == []
    assert tray.num_held == 1
    assert [request.id for request in tray.take(4)] == ["job_1:1:again"]
    assert tray.held() == [("job_1", 1)]


def test_a_forfeited_answer_is_neither_asked_for_again_nor_exchanged():
    tray = make_tray()
    tray.open(4)
    job = make_job(1)
    make_ready(tray, job)
    tray.take(4)
    tray.give([make_output(job)])
    (ended,) = tray.ended()
    tray.drop_ended([ended])

    tray.ask_again(ended, make_order(job))
    tray.exchange(ended, ended[1])

    assert (tray.num_held, tray.ended()) == (0, [])


def make_waking_tray(capacity: int, calls: list[int]) -> Tray:
    return Tray(capacity, {"engine": "fake"}, lambda: calls.append(1))


def test_the_end_of_a_line_calls_nobody_while_others_run_and_the_last_does():
    calls: list[int] = []
    tray = make_waking_tray(4, calls)
    tray.open(8)
    lines = [make_job(seq, priority=-10) for seq in (1, 2)]
    make_ready(tray, *lines)
    tray.take(8)

    calls.clear()
    tray.give([make_output(lines[0])])
    assert not calls
    tray.give([make_output(lines[1])])
    assert calls
    assert len(tray.ended()) == 2


def test_the_end_of_what_a_client_or_a_session_waits_for_calls_at_once():
    for changes in ({"priority": 0}, {"priority": -10, "session_id": "session_1"}):
        calls: list[int] = []
        tray = make_waking_tray(4, calls)
        tray.open(8)
        awaited, line = make_job(1, **changes), make_job(2, priority=-10)
        make_ready(tray, awaited, line)
        tray.take(8)

        calls.clear()
        tray.give([make_output(awaited)])

        assert calls, changes


def test_jobs_are_claimed_by_the_group_once_half_of_what_lay_ready_is_gone():
    calls: list[int] = []
    tray = make_waking_tray(4, calls)
    tray.open(0)
    make_ready(tray, *(make_job(seq) for seq in range(4)))

    calls.clear()
    tray.take(1)
    assert not calls
    assert tray.want()[0] == 0
    tray.take(1)
    assert calls
    assert tray.want()[0] == 1 + 4 - 2
