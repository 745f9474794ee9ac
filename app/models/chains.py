"""Chains of responses, on top of session memory: each response goes on with the turns up to its
predecessor's. A second response to the same predecessor gets a session of its own, with copies of
those turns; turns once made never change."""

import time
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import BadRequest, NotFound
from app.models import jobs as job_store
from app.models import retries
from app.models.database import Database
from app.models.states import JobState
from app.models.tables import jobs, sessions, turns
from app.wire import ids, replies
from app.wire.rows import Job, NewJob

_LIVE = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.SUCCEEDED.value)


@retries.repeat
def create(
    db: Database, new: NewJob, *, previous_id: str | None, max_queued: int | None
) -> tuple[Job, bool]:
    """Stores the job of a response, in the session that its predecessor's turn ends. Raises what
    jobs.create raises, and BadRequest for a predecessor that cannot be gone on with."""
    with db.write() as tx:
        earlier = job_store.find_duplicate(tx, new)
        if earlier is not None:
            return earlier, False
        session_id = _choose_session(tx, new, previous_id)
        return job_store.place(tx, replace(new, session_id=session_id), max_queued=max_queued), True


def _choose_session(tx: Connection, new: NewJob, previous_id: str | None) -> str | None:
    if previous_id is not None:
        return _continue(tx, new, previous_id)
    return _open(tx, new) if new.request["response"]["store"] else None


def _continue(tx: Connection, new: NewJob, previous_id: str) -> str:
    previous = _find(tx, new.tenant_id, previous_id)
    assert previous.session_id is not None
    locked = sa.select(sessions.c.num_turns).where(sessions.c.id == previous.session_id)
    num_turns = tx.execute(locked.with_for_update()).scalar_one()
    turn_no = _find_turn(tx, previous)
    is_last = turn_no in (None, num_turns) and not _has_successor(tx, previous)
    if is_last and new.request["response"]["store"]:
        return previous.session_id
    if turn_no is None:  # its turn cannot be copied yet
        code = "previous_response_unfinished" if is_last else "previous_response_pending"
        raise BadRequest(code, param="previous_response_id", id=previous_id)
    return _fork(tx, new, previous.session_id, turn_no)


def _find(tx: Connection, tenant_id: str, response_id: str) -> Job:
    param = "previous_response_id"
    owned = (jobs.c.id == replies.find_job_id(response_id), jobs.c.tenant_id == tenant_id)
    row = tx.execute(sa.select(*job_store.JOB_COLUMNS).where(*owned)).mappings().one_or_none()
    found = None if row is None else Job(**row)
    if found is None or not replies.is_reply(found) or found.session_id is None:
        raise BadRequest("previous_response_not_found", param=param, id=response_id)
    if found.state not in _LIVE:
        raise BadRequest("previous_response_failed", param=param, id=response_id)
    return found


def _find_turn(tx: Connection, job: Job) -> int | None:
    own = (turns.c.session_id == job.session_id, turns.c.job_id == job.id)
    return tx.execute(sa.select(turns.c.turn_no).where(*own)).scalar_one_or_none()


def _has_successor(tx: Connection, previous: Job) -> bool:
    later = sa.select(jobs.c.seq).where(
        jobs.c.session_id == previous.session_id,
        jobs.c.seq > previous.seq,
        jobs.c.state.in_(_LIVE),
    )
    return tx.execute(later.limit(1)).first() is not None


def _open(tx: Connection, new: NewJob, num_turns: int = 0) -> str:
    now, session_id = time.time(), ids.make_session()
    values = {
        "id": session_id,
        "tenant_id": new.tenant_id,
        "key_id": new.key_id,
        "num_turns": num_turns,
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(sa.insert(sessions).values(**values))
    return session_id


def _fork(tx: Connection, new: NewJob, origin: str, last_turn: int) -> str:
    session_id = _open(tx, new, last_turn)
    names = [column.name for column in turns.c]
    wanted = [sa.literal(session_id) if name == "session_id" else turns.c[name] for name in names]
    copied = sa.select(*wanted).where(turns.c.session_id == origin, turns.c.turn_no <= last_turn)
    tx.execute(sa.insert(turns).from_select(names, copied))
    return session_id


@retries.repeat
def delete(db: Database, tenant_id: str, job_id: str) -> None:
    """Deletes a response; its turn, too, unless later turns build on it. NotFound otherwise."""
    with db.write() as tx:
        owned = (jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)
        row = tx.execute(sa.select(*job_store.JOB_COLUMNS).where(*owned)).mappings().one_or_none()
        if row is None:
            raise NotFound("response_not_found", param="response_id", id=job_id)
        job = Job(**row)
        tx.execute(sa.delete(jobs).where(*owned))
        if job.session_id is not None:
            _shorten(tx, job)


def _shorten(tx: Connection, job: Job) -> None:
    own = sessions.c.id == job.session_id
    num_turns = tx.execute(sa.select(sessions.c.num_turns).where(own).with_for_update()).scalar()
    turn_no = _find_turn(tx, job)
    if turn_no is not None and turn_no == num_turns:
        at = (turns.c.session_id == job.session_id, turns.c.turn_no == turn_no)
        tx.execute(sa.delete(turns).where(*at))
        tx.execute(sa.update(sessions).where(own).values(num_turns=turn_no - 1))
    unused = (~sa.exists().where(jobs.c.session_id == job.session_id), sessions.c.num_turns == 0)
    tx.execute(sa.delete(sessions).where(own, *unused))
