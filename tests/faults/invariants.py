"""What must be true at every moment, read from the rows alone. Messages begin with the invariant's name."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.models.database import Database
from app.models.states import ALIVE, MOVES, TERMINAL, JobState

Row = Mapping[str, Any]
_CHANGING = {"cancel_requested"}  # asking to cancel an ended job is no change of it


@dataclass(frozen=True)
class Snapshot:
    """All rows at one moment."""

    jobs: dict[str, Row]
    results: dict[str, list[Row]]
    attempts: dict[str, list[Row]]
    turns: dict[str, list[Row]]
    batches: list[Row]
    workers: dict[str, Row]


@dataclass
class Expected:
    """What the clients know. `cancelled` were acknowledged as cancelled or to be cancelled while
    their job was still open."""

    accepted: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)


def read(db: Database) -> Snapshot:
    """Every row, in one transaction."""
    with db.read() as tx:
        tables: dict[str, list[Row]] = {
            name: [dict(row) for row in tx.execute(sa.text(f"SELECT * FROM {name}")).mappings()]
            for name in ("jobs", "results", "attempts", "turns", "batches", "workers")
        }
    return Snapshot(
        jobs={row["id"]: row for row in tables["jobs"]},
        results=_group(tables["results"], "job_id"),
        attempts=_group(tables["attempts"], "job_id"),
        turns=_group(tables["turns"], "session_id"),
        batches=tables["batches"],
        workers={row["slot"]: row for row in tables["workers"]},
    )


def _group(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    """By a column; rows that have nothing there are left out."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row[key] is not None:
            groups[row[key]].append(row)
    return groups


def check(now: Snapshot, expected: Expected, *, max_attempts: int) -> None:
    """The invariants of one moment."""
    missing = expected.accepted - now.jobs.keys()
    assert not missing, f"I1: accepted but not stored: {sorted(missing)[:3]}"
    for job_id, job in now.jobs.items():
        _check_results(job, now.results.get(job_id, []))
        _check_attempts(job, now.attempts.get(job_id, []), max_attempts)
    _check_batches(now)
    _check_twins(now)
    _check_sessions(now)
    _check_holders(now)
    _check_cancelled(now, expected)


def check_drained(now: Snapshot) -> None:
    """After everything was repaired and all workers had their time."""
    open_jobs = [job_id for job_id, job in now.jobs.items() if job["state"] not in TERMINAL]
    assert not open_jobs, f"I2: {len(open_jobs)} jobs never ended: {open_jobs[:3]}"


def check_step(before: Snapshot, now: Snapshot) -> None:
    """The invariants of a move from one moment to a later one."""
    for job_id, old in before.jobs.items():
        new = now.jobs.get(job_id)
        assert new is not None, f"I1: {job_id} is gone"
        if old["state"] in TERMINAL:
            changed = {key for key in old if old[key] != new[key]} - _CHANGING
            assert not changed, f"I5: {job_id} changed {changed} after its end"
            same = before.results.get(job_id) == now.results.get(job_id)
            assert same, f"I5: the result of {job_id} changed"


def check_move(before: Snapshot, now: Snapshot) -> None:
    """As check_step, where one operation lies between the two moments."""
    check_step(before, now)
    for job_id, old in before.jobs.items():
        new = now.jobs[job_id]
        if old["state"] != new["state"]:
            legal = JobState(new["state"]) in MOVES[JobState(old["state"])]
            assert legal, f"I5: {job_id} went from {old['state']} to {new['state']}"
            unrun = old["state"] == JobState.QUEUED and new["state"] == JobState.SUCCEEDED
            assert not unrun or new["is_twin"], f"I5: {job_id} succeeded without being run"
        grown = new["attempt"] - old["attempt"]
        assert grown in (0, 1), f"I4: {job_id} lost count of its attempts"


def _check_results(job: Row, results: Sequence[Row]) -> None:
    wanted = 1 if job["state"] == JobState.SUCCEEDED else 0
    assert len(results) == wanted, f"I3: {job['id']} {job['state']}: {len(results)} results"
    for result in results:
        held = result["attempt"] == job["attempt"]
        assert held, f"I3: {job['id']} has the result of a late attempt"


def _check_attempts(job: Row, ended: Sequence[Row], max_attempts: int) -> None:
    crashed = sum(row["outcome"] == "crashed" for row in ended)
    is_spent = job["state"] in (JobState.FAILED, JobState.CANCELLED)
    most = max_attempts if is_spent else max_attempts - 1
    assert crashed <= most, f"I4: {job['id']} {job['state']} after {crashed} crashes"
    numbers = Counter(row["attempt"] for row in ended)
    twice = [number for number, times in numbers.items() if times > 1]
    assert not twice, f"I4: attempts {twice} of {job['id']} ended twice"
    assert all(n <= job["attempt"] for n in numbers), f"I4: {job['id']} has unknown attempts"


def _check_batches(now: Snapshot) -> None:
    lines = _group(list(now.jobs.values()), "batch_id")
    for batch in now.batches:
        states = [job["state"] for job in lines.get(batch["id"], [])]
        succeeded = states.count(JobState.SUCCEEDED)
        failed = sum(state in TERMINAL for state in states) - succeeded
        counted = (batch["completed"], batch["failed"])
        assert counted == (succeeded, failed), f"I6: {batch['id']} counts {counted}"


def _check_twins(now: Snapshot) -> None:
    """Of lines with one request one is run at a time, and the others wait for it or have its
    answer."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for job in now.jobs.values():
        if job["twin_no"] is not None:
            groups[job["batch_id"], job["twin_no"]].append(job)
    for (batch_id, _), members in groups.items():
        own = [job for job in members if not job["is_twin"]]
        firsts = [j for j in own if j["state"] not in TERMINAL or j["state"] == JobState.SUCCEEDED]
        assert len(firsts) <= 1, f"I16: {len(firsts)} lines of one request run in {batch_id}"
        for twin in (job for job in members if job["is_twin"]):
            _check_twin(now, twin, firsts)


def _check_twin(now: Snapshot, twin: Row, firsts: Sequence[Row]) -> None:
    if twin["state"] not in TERMINAL:
        assert twin["state"] == JobState.QUEUED, f"I16: {twin['id']} runs beside its twin"
        is_served = firsts and firsts[0]["state"] not in TERMINAL
        assert is_served, f"I16: {twin['id']} waits for nobody"
    if twin["state"] == JobState.SUCCEEDED:
        assert firsts, f"I16: {twin['id']} has an answer that nobody made"
        made, had = (now.results[job["id"]][0] for job in (firsts[0], twin))
        assert had["text"] == made["text"], f"I16: {twin['id']} has another answer"
        assert had["cached_tokens"] == had["prompt_tokens"], f"I16: {twin['id']} counts as run"


def _check_sessions(now: Snapshot) -> None:
    for session_id, members in _group(list(now.jobs.values()), "session_id").items():
        running = [job["id"] for job in members if job["state"] == JobState.RUNNING]
        assert len(running) <= 1, f"I9: {running} of one session run together"
        turns = sorted(now.turns.get(session_id, []), key=lambda turn: turn["turn_no"])
        numbers = [turn["turn_no"] for turn in turns]
        assert numbers == list(range(1, len(turns) + 1)), f"I9: turns {numbers}"
        done = [job for job in members if job["state"] == JobState.SUCCEEDED]
        wanted = [job["id"] for job in sorted(done, key=lambda job: job["seq"])]
        assert [turn["job_id"] for turn in turns] == wanted, "I9: turns out of order"


def _check_holders(now: Snapshot) -> None:
    """Whoever holds a job is watched: else nobody would notice its death."""
    alive = {state.value for state in ALIVE}
    held: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for job in now.jobs.values():
        if job["state"] == JobState.RUNNING:
            held[job["slot"], job["epoch"]].append(job)
    for (slot, epoch), mine in held.items():
        worker = now.workers.get(slot)
        is_watched = worker and worker["epoch"] == epoch and worker["state"] in alive
        assert is_watched, f"I12: {len(mine)} jobs are held by {slot} epoch {epoch}, which is gone"
        suspects = [job["id"] for job in mine if job["crashes"]]
        assert not suspects or len(mine) == 1, f"I11: suspects {suspects} among {len(mine)}"


def _check_cancelled(now: Snapshot, expected: Expected) -> None:
    for job_id in expected.cancelled:
        state = now.jobs[job_id]["state"]
        assert state != JobState.SUCCEEDED, f"I13: {job_id} succeeded after it was cancelled"
    for job_id, job in now.jobs.items():
        waits = job["state"] == JobState.QUEUED and job["cancel_requested"]
        assert not waits, f"I13: {job_id} is to be run after it was cancelled"
