"""What an answer leaves: its result, its session turn, its batch's counts. Parts of one transaction."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import bulk, symbols
from app.models.states import JobState
from app.models.tables import batches, jobs, results, sessions, turns
from app.wire.rows import Outcome


def store_results(tx: Connection, done: Sequence[Outcome]) -> None:
    """Keeps the one result row of each job."""
    now = time.time()
    rows = [
        {"job_id": o.job_id, "attempt": o.attempt, "created_at": now} | vars(o.result) for o in done
    ]
    bulk.insert(tx, results, rows)


def end_jobs(tx: Connection, done: Sequence[Outcome], rows: Mapping[str, Any]) -> None:
    """Moves the jobs to succeeded, counted in their batches. Opening a group of endings locks the
    batch until the commit, so that this is best done last."""
    by_batch: dict[str | None, list[Outcome]] = {}
    for outcome in done:
        by_batch.setdefault(rows[outcome.job_id].batch_id, []).append(outcome)
    for batch_id, members in sorted(by_batch.items(), key=lambda item: item[0] or ""):
        ended_no = None if batch_id is None else _count_completed(tx, batch_id, members)
        _move(tx, [o.job_id for o in members], ended_no)


def _move(tx: Connection, job_ids: Sequence[str], ended_no: int | None) -> None:
    named = bulk.among(tx, jobs.c.id, job_ids)
    moving = sa.update(jobs).where(named, jobs.c.state == JobState.RUNNING)
    tx.execute(moving.values(state=JobState.SUCCEEDED, finished_at=time.time(), ended_no=ended_no))


def store_turns(tx: Connection, done: Sequence[Outcome], rows: dict[str, Any]) -> None:
    """Adds each answer to its session as the next turn."""
    for outcome in done:
        assert outcome.result is not None
        session_id = rows[outcome.job_id].session_id
        now = time.time()
        counting = sa.update(sessions).where(sessions.c.id == session_id)
        number = tx.execute(
            counting.values(num_turns=sessions.c.num_turns + 1, updated_at=now).returning(
                sessions.c.num_turns
            )
        ).scalar_one()
        tx.execute(
            sa.insert(turns).values(
                session_id=session_id,
                turn_no=number,
                job_id=outcome.job_id,
                messages=outcome.messages or [],
                answer=outcome.result.text,
                created_at=now,
            )
        )


def store_symbols(tx: Connection, done: Sequence[Outcome]) -> None:
    """Keeps what code answers defined."""
    for outcome in done:
        if outcome.memo is not None:
            symbols.store(tx, outcome.memo)


def count_lost(tx: Connection, batch_id: str | None, spent: Mapping[str, int]) -> None:
    """Adds the tokens of a line that was answered and still failed to its batch."""
    if batch_id is None:
        return
    counting = sa.update(batches).where(batches.c.id == batch_id)
    tx.execute(
        counting.values(
            input_tokens=batches.c.input_tokens + spent["prompt_tokens"],
            cached_tokens=batches.c.cached_tokens + spent["cached_tokens"],
            output_tokens=batches.c.output_tokens + spent["completion_tokens"],
        )
    )


def _count_completed(tx: Connection, batch_id: str, done: Sequence[Outcome]) -> int:
    """Counts successes and their tokens in their batch; returns the group of endings that it opens
    there."""
    produced = [o.result for o in done if o.result]
    counting = sa.update(batches).where(batches.c.id == batch_id)
    counted = counting.values(
        settles=batches.c.settles + 1,
        completed=batches.c.completed + len(done),
        input_tokens=batches.c.input_tokens + sum(r.prompt_tokens for r in produced),
        cached_tokens=batches.c.cached_tokens + sum(r.cached_tokens for r in produced),
        output_tokens=batches.c.output_tokens + sum(r.completion_tokens for r in produced),
    )
    opened: int = tx.execute(counted.returning(batches.c.settles)).scalar_one()
    return opened
