"""One line of a batch with its attempts, and which lines of a batch did not succeed."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import NotFound
from app.models import jobs as job_store
from app.models.database import Database
from app.models.states import JobState
from app.models.tables import attempts, jobs
from app.wire.rows import Attempt, Job

_LOST = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)


def find(
    db: Database, batch_id: str, name: str, *, by: str | None = None, param: str = "line"
) -> tuple[Job, list[Attempt]]:
    """The line of this custom_id, else of this number in the input file, with its attempts from
    the first to the present one. `by` ("custom_id" or "number") allows only one meaning.
    NotFound("line_not_found") otherwise; `param` is what the client calls the name."""
    with db.read() as tx:
        found = None
        if by != "number":
            found = _load(tx, jobs.c.batch_id == batch_id, jobs.c.custom_id == name)
        if found is None and by != "custom_id" and name.isascii() and name.isdigit():
            number = int(name[:18])
            found = _load(tx, jobs.c.batch_id == batch_id, jobs.c.line_no == number)
        if found is None:
            raise NotFound("line_not_found", param=param, line=name[:80], id=batch_id)
        return job_store.read_row(found[0]), [*_read_earlier(tx, found[0]["id"]), *found[1]]


def _load(
    tx: Connection, *conditions: sa.ColumnElement[bool]
) -> tuple[dict[str, Any], list[Attempt]] | None:
    """A row with the attempt that it holds now or that ended it, unless that is recorded."""
    present = (jobs.c.slot, jobs.c.epoch, jobs.c.claimed_at)
    query = job_store.select_answers(*present).where(*conditions).order_by(jobs.c.line_no)
    found = tx.execute(query.limit(1)).mappings().one_or_none()
    if found is None:
        return None
    row = dict(found)
    slot, epoch, claimed_at = (row.pop(column.name) for column in present)
    recorded = sa.select(attempts.c.attempt).where(
        attempts.c.job_id == row["id"], attempts.c.attempt == row["attempt"]
    )
    if row["attempt"] == 0 or tx.execute(recorded).first() is not None:
        return row, []
    held = Attempt(row["attempt"], slot, epoch, claimed_at, row["finished_at"], row["state"])
    return row, [held]


def _read_earlier(tx: Connection, job_id: str) -> list[Attempt]:
    """Attempts that were given back or died; the row of the job is the record of the last one."""
    columns = (getattr(attempts.c, name) for name in Attempt.__dataclass_fields__)
    query = sa.select(*columns).where(attempts.c.job_id == job_id).order_by(attempts.c.attempt)
    return [Attempt(**row) for row in tx.execute(query).mappings()]


@dataclass(frozen=True)
class Lost:
    """The lines of a batch to run again, and of those that follow on an answered line which is not
    run again, its number."""

    numbers: frozenset[int]
    follows: dict[int, int]


def list_lost(db: Database, batch_id: str) -> Lost:
    """The lines that ended without success. With them those that a lost line of code follows on,
    since its prompt takes of earlier turns what fits, and those that were deleted meanwhile."""
    own = jobs.c.batch_id == batch_id
    lost = (own, jobs.c.state.in_([state.value for state in _LOST]))
    following = (own, jobs.c.parent_line.is_not(None))
    named = sa.select(jobs.c.parent_line).where(*following)
    answered = (own, jobs.c.state == JobState.SUCCEEDED, jobs.c.line_no.in_(named))
    links = sa.select(jobs.c.line_no, jobs.c.parent_line, jobs.c.kind).where(*following)
    with db.read() as tx:
        numbers = set(tx.execute(sa.select(jobs.c.line_no).where(*lost)).scalars())
        done = set(tx.execute(sa.select(jobs.c.line_no).where(*answered)).scalars())
        linked = {row.line_no: (row.parent_line, row.kind) for row in tx.execute(links)}
    for number in list(numbers):
        while number in linked:
            number, kind = linked[number]
            if number in numbers or (kind != "code" and number in done):
                break
            numbers.add(number)
    chosen = {number: linked[number][0] for number in numbers & linked.keys()}
    follows = {number: parent for number, parent in chosen.items() if parent not in numbers}
    return Lost(frozenset(numbers), follows)
