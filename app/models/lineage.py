"""The lines of a batch that a line follows on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import jobs as job_store
from app.models.database import Database
from app.models.states import JobState
from app.models.tables import jobs, sessions
from app.wire.rows import Job, Line, Problem

_WAITED_FOR = jobs.alias("waited_for")


def is_waiting() -> sa.ColumnElement[bool]:
    """Whether the line that this job follows on has not ended yet."""
    pending = sa.exists().where(
        _WAITED_FOR.c.batch_id == jobs.c.batch_id,
        _WAITED_FOR.c.line_no == jobs.c.parent_line,
        _WAITED_FOR.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value]),
    )
    return sa.and_(jobs.c.parent_line.is_not(None), pending)


def list_before(db: Database, job: Job) -> list[Job]:
    """The lines before this one in its conversation, the first one first. The nearest decides: if
    it succeeded, so did all others."""
    last = job.parent_line
    return [] if last is None else trace(db, job.batch_id, [last])[last]


def trace(db: Database, batch_id: str | None, line_nos: Sequence[int]) -> dict[int, list[Job]]:
    """The conversations that end with these lines of a batch, each from its first line; a statement
    for each step back."""
    found: dict[int, Job] = {}
    wanted = set(line_nos)
    with db.read() as tx:
        while wanted:
            there = (jobs.c.batch_id == batch_id, jobs.c.line_no.in_(wanted))
            rows = tx.execute(job_store.with_results().where(*there)).mappings().all()
            step = [job_store.read_row(row) for row in rows]
            found.update((job.line_no, job) for job in step if job.line_no is not None)
            wanted = {job.parent_line for job in step if job.parent_line} - found.keys()
    return {number: _walk(found, number) for number in line_nos}


def _walk(found: Mapping[int, Job], last: int) -> list[Job]:
    said: list[Job] = []
    line_no: int | None = last
    while line_no is not None and line_no in found:
        said.append(found[line_no])
        line_no = said[-1].parent_line
    return said[::-1]


def check_sessions(tx: Connection, tenant_id: str, lines: Sequence[Line]) -> list[Line]:
    """The lines; those that name a session which the tenant does not have get it as a problem."""
    named = {line.session_id for line in lines if line.session_id is not None}
    owned = sa.select(sessions.c.id).where(
        sessions.c.id.in_(named), sessions.c.tenant_id == tenant_id
    )
    missing = named.difference(tx.execute(owned).scalars()) if named else set()
    return [_forget_session(line) if line.session_id in missing else line for line in lines]


def _forget_session(line: Line) -> Line:
    """Its row could not point to what is not there."""
    problem = line.problem or Problem("session_not_found", "session_id", {"id": line.session_id})
    return replace(line, session_id=None, problem=problem)
