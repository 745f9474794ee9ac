"""How fast a batch goes now, and how fast a model went lately: measured on lines that are done."""

from typing import Any

import sqlalchemy as sa

from app.models.database import Database
from app.models.states import JobState
from app.models.tables import jobs, results
from app.wire.forecast import Pace, Throughput

_LATEST_LINES = 500
_LATEST_JOBS = 1000
_COMPUTED = results.c.prompt_tokens - results.c.cached_tokens + results.c.completion_tokens


def measure(db: Database, batch_id: str) -> Pace | None:
    """The pace of the batch over its last 500 ended lines; None before any worker ended one."""
    with db.look() as tx:
        rows = tx.execute(_select_latest(batch_id)).all()
    if not rows:
        return None
    if len(rows) < _LATEST_LINES:  # everything that ran: from its first claim on
        began = min(row.started_at for row in rows)
    else:  # the oldest only marks where the measured stretch begins
        began = min(row.finished_at for row in rows)
        rows = rows[:-1]
    return Pace(len(rows), sum(row.tokens or 0 for row in rows), began)


def _select_latest(batch_id: str) -> sa.Select[Any]:
    """The lines are chosen before their results are looked up: a server that knows little of a young
    table would read all results first."""
    ended = (
        jobs.c.batch_id == batch_id,
        jobs.c.ended_no.is_not(None),
        jobs.c.ended_no > 0,
        jobs.c.started_at.is_not(None),
    )
    columns = (jobs.c.id, jobs.c.started_at, jobs.c.finished_at, jobs.c.ended_no, jobs.c.line_no)
    newest = (jobs.c.ended_no.desc(), jobs.c.line_no.desc())
    latest = sa.select(*columns).where(*ended).order_by(*newest).limit(_LATEST_LINES).subquery()
    joined = latest.outerjoin(results, results.c.job_id == latest.c.id)
    shown = (latest.c.started_at, latest.c.finished_at, _COMPUTED.label("tokens"))
    order = (latest.c.ended_no.desc(), latest.c.line_no.desc())
    return sa.select(*shown).select_from(joined).order_by(*order)


def measure_model(db: Database, model: str) -> Throughput | None:
    """What a device did for this model in its last 1,000 successes; None without any. Pauses in
    which a device ran nothing of them are not counted."""
    columns = (
        jobs.c.slot,
        jobs.c.claimed_at,
        jobs.c.finished_at,
        _COMPUTED.label("tokens"),
        results.c.completion_tokens,
    )
    joined = jobs.join(results, results.c.job_id == jobs.c.id)
    done = (jobs.c.state == JobState.SUCCEEDED, jobs.c.model == model)
    timed = (jobs.c.finished_at.is_not(None), jobs.c.claimed_at.is_not(None))
    latest = sa.select(*columns).select_from(joined).where(*done, *timed)
    with db.read() as tx:
        rows = tx.execute(latest.order_by(jobs.c.finished_at.desc()).limit(_LATEST_JOBS)).all()
    spans = [(row.slot or "", row.claimed_at, row.finished_at) for row in rows]
    answered = sum(row.completion_tokens for row in rows)
    return Throughput.over(spans, sum(row.tokens for row in rows), answered)
