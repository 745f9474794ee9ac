"""Whether each job ended as its request foresees, belongs to who sent it, and is there once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.models.states import JobState
from tests.faults import invariants
from tests.faults.invariants import Row
from tests.faults.sent import Body, Foresee, Line, Messages, Sent

if TYPE_CHECKING:
    from tests.faults.load import Load


def list_wrong(clients: "Load", now: invariants.Snapshot) -> list[str]:
    """Jobs that ended otherwise than foreseen, a sentence each."""
    known = {sent.job_id: sent for sent in clients.sent}
    found = []
    for job in now.jobs.values():
        wanted: Sent | Line | None = known.get(job["id"])
        if job["batch_id"]:
            wanted = clients.lines.get((job["batch_id"], job["custom_id"]))
        if wanted is not None and not _is_foreseen(job, wanted):
            found.append(f"{job['id']} {job['state']} {job['error']}, foreseen: {wanted.code}")
    return found


def _is_foreseen(job: Row, wanted: Sent | Line) -> bool:
    state = JobState(job["state"])
    if state == JobState.SUCCEEDED:
        return wanted.code is None
    if state == JobState.FAILED:
        return wanted.code is not None and read_code(job) == wanted.code
    if state == JobState.CANCELLED:
        return isinstance(wanted, Sent) and wanted.may_be_cancelled
    return state == JobState.EXPIRED and isinstance(wanted, Line) and wanted.may_expire


def read_code(job: Row) -> str | None:
    """The code of a job's error."""
    return (_read(job["error"]) or {}).get("code")


def _read(column: Any) -> Any:
    """What a JSON column holds: SQLite gives it as text."""
    return json.loads(column) if isinstance(column, str) else column


def list_strange(clients: "Load", now: invariants.Snapshot) -> list[str]:
    """Jobs that nobody was promised: a second one of some request."""
    known = {sent.job_id for sent in clients.sent}
    return [
        job_id
        for job_id, job in now.jobs.items()
        if (
            (job["batch_id"], job["custom_id"]) not in clients.lines
            if job["batch_id"]
            else job_id not in known
        )
    ]


def list_astray(clients: "Load", now: invariants.Snapshot) -> list[str]:
    """Jobs that are stored as another tenant's, or under another idempotency key."""
    return [
        sent.job_id
        for sent in clients.sent
        if (job := now.jobs.get(sent.job_id)) is not None
        and (job["tenant_id"], job["idempotency_key"]) != (sent.caller.tenant_id, sent.key)
    ]


def list_changed(clients: "Load", now: invariants.Snapshot, foresee: Foresee) -> list[str]:
    """Jobs whose text is not the one of an undisturbed run, after the turns before it."""
    bodies = dict(_list_bodies(clients, now))
    said = _list_said(now, bodies)
    return [
        job_id
        for job_id, body in bodies.items()
        for row in now.results.get(job_id, ())
        if row["text"] != foresee(body, said.get(job_id, ()))
    ]


def _list_bodies(clients: "Load", now: invariants.Snapshot) -> Iterator[tuple[str, Body]]:
    yield from ((sent.job_id, sent.body) for sent in clients.sent)
    for job in now.jobs.values():
        line = clients.lines.get((job["batch_id"], job["custom_id"]))
        if line is not None:
            yield job["id"], line.body


def _list_said(now: invariants.Snapshot, bodies: Mapping[str, Body]) -> dict[str, Messages]:
    """What was said before each turn, by its job: the questions that the clients sent and the
    answers that they got."""
    found: dict[str, Messages] = {}
    for turns in now.turns.values():
        said: list[Mapping[str, str]] = []
        for turn in sorted(turns, key=lambda turn: turn["turn_no"]):
            job_id = turn["job_id"]
            found[job_id] = tuple(said)
            if job_id in bodies and now.results.get(job_id):
                said += _exchange(bodies[job_id], now.results[job_id])
    return found


def _exchange(body: Body, results: Sequence[Row]) -> list[Mapping[str, str]]:
    return [
        {"role": "user", "content": body["prompt"]},
        {"role": "assistant", "content": results[0]["text"]},
    ]
