"""A campaign's rows are held against what its clients asked for: each wrong ending is told."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import checks, endings
from tests.faults.invariants import Expected, Snapshot
from tests.faults.record import Record
from tests.faults.sent import Caller, Line, Sent, foresee

_OWNER = Caller("default", "secret")


def _body(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"job {number}", "seed": number, "max_tokens": 4, **more}


def _job(job_id: str, state: str = "succeeded", **changes: Any) -> dict[str, Any]:
    job: dict[str, Any] = {
        "id": job_id,
        "state": state,
        "error": None,
        "batch_id": None,
        "custom_id": None,
    }
    job |= {"tenant_id": "default", "idempotency_key": f"key {job_id}", "attempt": 1}
    return job | {"session_id": None, "twin_no": None} | changes


def _snapshot(*jobs: dict[str, Any], texts: dict[str, str], **more: Any) -> Snapshot:
    results: dict[str, Any] = {
        job_id: [{"text": text, "attempt": 1}] for job_id, text in texts.items()
    }
    turns: dict[str, Any] = more.get("turns", {})
    return Snapshot({job["id"]: job for job in jobs}, results, {}, turns, [], {})


def _clients(*sent: Sent, lines: dict[tuple[str, str], Line] | None = None) -> Any:
    answers = SimpleNamespace(refused=0, broken=0, wrong=[])
    return SimpleNamespace(sent=list(sent), lines=lines or {}, answers=answers)


def _sent(job_id: str, **changes: Any) -> Sent:
    return Sent(job_id, f"key {job_id}", _body(1), caller=_OWNER, **changes)


@pytest.mark.parametrize(
    ("sent", "job"),
    [
        (_sent("a"), _job("a", "cancelled")),
        (_sent("a"), _job("a", "expired")),
        (_sent("a", may_be_cancelled=True), _job("a", "expired")),
        (_sent("a"), _job("a", "failed", error='{"code": "worker_crashed"}')),
        (_sent("a", code="numerical"), _job("a", "failed", error={"code": "worker_crashed"})),
        (_sent("a", code="numerical"), _job("a")),
    ],
)
def test_an_ending_that_nobody_asked_for_is_wrong(sent: Sent, job: dict[str, Any]):
    wrong = endings.list_wrong(_clients(sent), _snapshot(job, texts={}))

    assert len(wrong) == 1
    assert wrong[0].startswith(f"a {job['state']}")


@pytest.mark.parametrize(
    ("sent", "job"),
    [
        (_sent("a"), _job("a")),
        (_sent("a", may_be_cancelled=True), _job("a")),
        (_sent("a", may_be_cancelled=True), _job("a", "cancelled")),
        (_sent("a", code="numerical"), _job("a", "failed", error='{"code": "numerical"}')),
    ],
)
def test_an_ending_that_was_foreseen_is_not(sent: Sent, job: dict[str, Any]):
    assert endings.list_wrong(_clients(sent), _snapshot(job, texts={})) == []


@pytest.mark.parametrize(
    ("line", "state", "error", "is_wrong"),
    [
        (Line(_body(1)), "succeeded", None, False),
        (Line(_body(1)), "expired", None, True),
        (Line(_body(1)), "cancelled", None, True),
        (Line(_body(1), may_expire=True), "expired", None, False),
        (Line(_body(1), code="out_of_range"), "failed", {"code": "out_of_range"}, False),
        (Line(_body(1), code="out_of_range"), "failed", {"code": "worker_crashed"}, True),
        (Line(_body(1), code="out_of_range"), "succeeded", None, True),
    ],
)
def test_lines_of_batches_are_judged_too(line: Line, state: str, error: Any, is_wrong: bool):
    job = _job("a", state, error=error, batch_id="b", custom_id="c")

    wrong = endings.list_wrong(_clients(lines={("b", "c"): line}), _snapshot(job, texts={}))

    assert bool(wrong) == is_wrong


def test_texts_of_jobs_and_lines_are_compared_with_an_undisturbed_run():
    line = _job("l", batch_id="b", custom_id="c")
    clients = _clients(_sent("a"), lines={("b", "c"): Line(_body(2))})
    right = {"a": foresee(_body(1)), "l": foresee(_body(2))}

    assert endings.list_changed(clients, _snapshot(_job("a"), line, texts=right), foresee) == []
    for job_id in right:
        other = _snapshot(_job("a"), line, texts=right | {job_id: "other"})
        assert endings.list_changed(clients, other, foresee) == [job_id]


def test_a_turn_must_have_seen_the_turns_before_it():
    sent = [Sent(name, name, _body(number)) for number, name in enumerate("ab")]
    turns = {"s": [{"turn_no": number, "job_id": name} for number, name in enumerate("ab", 1)]}
    first = foresee(_body(0))
    said = [{"role": "user", "content": "job 0"}, {"role": "assistant", "content": first}]
    right, forgetful = foresee(_body(1), said), foresee(_body(1))
    jobs = [_job("a"), _job("b")]

    def list_changed(text: str) -> list[str]:
        now = _snapshot(*jobs, texts={"a": first, "b": text}, turns=turns)
        return endings.list_changed(_clients(*sent), now, foresee)

    assert list_changed(right) == []
    assert list_changed(forgetful) == ["b"]


def _judge(clients: Any, now: Snapshot) -> None:
    record = Record("sqlite", 1)
    record.count_jobs(clients, now, foresee)
    clients.expect = Expected
    checks.check_rows(clients, now, record)


def test_a_campaign_that_kept_its_promises_passes():
    _judge(_clients(_sent("a")), _snapshot(_job("a"), texts={"a": foresee(_body(1))}))


@pytest.mark.parametrize(
    ("twin", "said"),
    [
        (_job("b"), "I10: 2 jobs for 1 idempotency keys"),
        (_job("b", batch_id="x", custom_id="c"), "I10: 1 jobs that nobody sent"),
    ],
)
def test_a_job_that_was_made_twice_fails_the_campaign(twin: dict[str, Any], said: str):
    text = foresee(_body(1))
    now = _snapshot(_job("a"), twin, texts={"a": text, "b": text})

    with pytest.raises(AssertionError, match=said):
        _judge(_clients(_sent("a")), now)


@pytest.mark.parametrize("changes", [{"tenant_id": "other"}, {"idempotency_key": "another"}])
def test_a_job_that_belongs_to_somebody_else_fails_the_campaign(changes: dict[str, Any]):
    now = _snapshot(_job("a", **changes), texts={"a": foresee(_body(1))})

    with pytest.raises(AssertionError, match="I8: stored as another"):
        _judge(_clients(_sent("a")), now)


def test_an_unasked_cancellation_fails_the_campaign():
    with pytest.raises(AssertionError, match="1 jobs ended wrongly"):
        _judge(_clients(_sent("a")), _snapshot(_job("a", "cancelled"), texts={}))
