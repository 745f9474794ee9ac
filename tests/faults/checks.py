"""What is held against the rows and the API when a campaign is over and everything has ended."""

import random

import httpx

from tests.faults import endings, invariants
from tests.faults.load import Load
from tests.faults.record import Record
from tests.faults.sent import Caller, Sent
from tests.faults.stage import MAX_ATTEMPTS, Stage

_SAMPLE = 50
_LISTED = 100


def check_rows(clients: Load, now: invariants.Snapshot, record: Record) -> None:
    """Every promise that can be read from the rows; `record` has counted them."""
    invariants.check(now, clients.expect(), max_attempts=MAX_ATTEMPTS)
    invariants.check_drained(now)
    astray = endings.list_astray(clients, now)
    assert not astray, f"I8: stored as another tenant's or under another key: {astray[:3]}"
    num_alone = sum(not job["batch_id"] for job in now.jobs.values())
    assert num_alone == record.keys, f"I10: {num_alone} jobs for {record.keys} idempotency keys"
    strange = endings.list_strange(clients, now)
    assert not strange, f"I10: {len(strange)} jobs that nobody sent: {strange[:3]}"
    assert not clients.answers.wrong, f"wrong answers: {clients.answers.wrong[:3]}"
    assert record.changed == 0, f"I5: {record.changed} results differ from an undisturbed run"
    assert record.failed == 0, f"I4: {record.failed} jobs ended wrongly: {record.surprises[:5]}"


def check_answers(stage: Stage, clients: Load, dice: random.Random) -> None:
    """A sample of the ids through the API: each key still names its job, and to other tenants there
    is none."""
    picked = dice.sample(clients.sent, min(_SAMPLE, len(clients.sent)))
    with httpx.Client(base_url=stage.url, timeout=20, trust_env=False, verify=False) as http:
        for sent in picked:
            _check_owned(http, sent)
            for stranger in clients.callers:
                if stranger.tenant_id != sent.caller.tenant_id:
                    _check_hidden(http, sent, stranger)
        for caller in clients.callers:
            _check_list(http, clients, caller)


def _check_owned(http: httpx.Client, sent: Sent) -> None:
    own = sent.caller.headers
    shown = http.get(f"/v1/jobs/{sent.job_id}", headers=own)
    assert shown.status_code == 200, f"I1: {sent.job_id}: {shown.text}"
    headers = {**own, "Idempotency-Key": sent.key}
    again = http.post("/v1/jobs", json=sent.body, headers=headers)
    assert again.json()["id"] == sent.job_id, f"I10: {sent.key} names another job"
    other = http.post("/v1/jobs", json={**sent.body, "seed": -1}, headers=headers)
    assert other.status_code == 409, f"I10: {sent.key} took another body"


def _check_hidden(http: httpx.Client, sent: Sent, stranger: Caller) -> None:
    """Neither the job nor its session."""
    name, headers = stranger.tenant_id, stranger.headers
    asked = [http.get(f"/v1/jobs/{sent.job_id}", headers=headers)]
    asked.append(http.post(f"/v1/jobs/{sent.job_id}/cancel", headers=headers))
    if session_id := sent.body.get("session_id"):
        asked.append(http.get(f"/v1/sessions/{session_id}", headers=headers))
        asked.append(http.post("/v1/jobs", json=sent.body, headers=headers))
    found = [answer.status_code for answer in asked]
    assert set(found) == {404}, f"I8: {name} asked for {sent.job_id}: {found}"


def _check_list(http: httpx.Client, clients: Load, caller: Caller) -> None:
    """A page of a tenant's jobs holds none of another's."""
    foreign = {sent.job_id for sent in clients.sent if sent.caller.tenant_id != caller.tenant_id}
    page = http.get(f"/v1/jobs?limit={_LISTED}", headers=caller.headers).json()["data"]
    seen = foreign & {job["id"] for job in page}
    assert not seen, f"I8: {caller.tenant_id} is shown {sorted(seen)[:3]}"
