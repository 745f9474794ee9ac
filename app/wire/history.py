"""A line of a batch with its history, as clients see it. Times are Unix seconds, not rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.wire import origins, render
from app.wire.rows import Attempt, Evidence, Job

_OPEN = ("queued", "running")


def show_line(
    job: Job,
    attempts: Sequence[Attempt],
    explain: render.Explain,
    evidence: Mapping[int, Evidence] | None = None,
) -> dict[str, Any]:
    """The line object. `result` is its line of the output or error file, once it has ended."""
    return {
        "object": "batch.line",
        "batch_id": job.batch_id,
        "line": job.line_no,
        "custom_id": job.custom_id,
        "job_id": job.id,
        "status": job.state,
        "crashes": job.crashes,
        "queued_at": job.queued_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "waits_for_twin": job.is_twin and job.state == "queued",
        **origins.show(job.result),
        "attempts": [_show_attempt(attempt, job, evidence or {}) for attempt in attempts],
        "result": None if job.state in _OPEN else render.output_line(job, explain),
    }


def _show_attempt(attempt: Attempt, job: Job, evidence: Mapping[int, Evidence]) -> dict[str, Any]:
    """`outcome`: running, succeeded, failed, cancelled, expired; released (given back, it does not
    count) or crashed (its worker died; `evidence` is what that left)."""
    code = (job.error or {}).get("code") if attempt.outcome == "failed" else None
    found = evidence.get(attempt.attempt)
    return {**asdict(attempt), "error_code": code, "evidence": show_evidence(found)}


def show_evidence(found: Evidence | None) -> dict[str, Any] | None:
    """What a dead worker left, as clients see it."""
    return None if found is None else {**asdict(found), "log": list(found.log)}
