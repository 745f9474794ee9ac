"""The lines of a batch that a line follows on."""

from collections.abc import Sequence
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
    return trace(db, job.batch_id, job.parent_line)


def trace(db: Database, batch_id: str | None, line_no: int | None) -> list[Job]:
    """The conversation that ends with this line, the first one first."""
    found: list[Job] = []
    with db.read() as tx:
        while line_no is not None:
            parent = _load(tx, batch_id, line_no)
            if parent is None:
                break
            found.append(parent)
            line_no = parent.parent_line
    return found[::-1]


def _load(tx: Connection, batch_id: str | None, line_no: int) -> Job | None:
    there = (jobs.c.batch_id == batch_id, jobs.c.line_no == line_no)
    row = tx.execute(job_store.with_results().where(*there)).mappings().one_or_none()
    return None if row is None else job_store.read_row(row)


def check_sessions(tx: Connection, tenant_id: str, lines: Sequence[Line]) -> list[Line]:
    """The lines; those that name a session which the tenant does not have get it as a problem."""
    named = {line.session_id for line in lines if line.session_id}
    owned = sa.select(sessions.c.id).where(
        sessions.c.id.in_(named), sessions.c.tenant_id == tenant_id
    )
    missing = named.difference(tx.execute(owned).scalars()) if named else set()
    return [_forget_session(line) if line.session_id in missing else line for line in lines]


def _forget_session(line: Line) -> Line:
    """Its row could not point to what is not there."""
    problem = line.problem or Problem("session_not_found", "session_id", {"id": line.session_id})
    return replace(line, session_id=None, problem=problem)
