"""Session memory: conversations and their turns."""

import time

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import NotFound
from app.models import jobs as job_store
from app.models import retries
from app.models.database import Database
from app.models.tables import jobs, sessions, turns
from app.wire import ids
from app.wire.rows import Session, Turn

_COLUMNS = tuple(column for column in sessions.c if column.name != "key_id")


def create(
    db: Database, tenant_id: str, key_id: str | None, metadata: dict[str, str] | None = None
) -> Session:
    """Starts an empty conversation."""
    now = time.time()
    values = {
        "id": ids.make_session(),
        "tenant_id": tenant_id,
        "key_id": key_id,
        "metadata": metadata,
        "created_at": now,
        "updated_at": now,
    }
    with db.write() as tx:
        row = tx.execute(sa.insert(sessions).values(**values).returning(*_COLUMNS)).mappings()
        return Session(**row.one())


def get(db: Database, tenant_id: str, session_id: str, *, param: str = "session_id") -> Session:
    """The tenant's session; NotFound("session_not_found") otherwise. `param` is what the client
    calls the id."""
    owned = (sessions.c.id == session_id, sessions.c.tenant_id == tenant_id)
    with db.read() as tx:
        row = tx.execute(sa.select(*_COLUMNS).where(*owned)).mappings().one_or_none()
    if row is None:
        raise NotFound("session_not_found", param=param, id=session_id)
    return Session(**row)


def exists(db: Database, tenant_id: str, session_id: str) -> bool:
    """Whether the tenant has this session."""
    owned = (sessions.c.id == session_id, sessions.c.tenant_id == tenant_id)
    with db.read() as tx:
        return tx.execute(sa.select(sessions.c.id).where(*owned)).first() is not None


def list_page(
    db: Database, tenant_id: str, *, limit: int, after: str | None = None
) -> tuple[list[Session], bool]:
    """The tenant's sessions, newest first, and whether more follow."""
    stamp = sa.tuple_(sessions.c.created_at, sessions.c.id)
    query = sa.select(*_COLUMNS).where(sessions.c.tenant_id == tenant_id)
    if after is not None:
        last = get(db, tenant_id, after, param="after")
        query = query.where(stamp < sa.tuple_(last.created_at, last.id))
    query = query.order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(limit + 1)
    with db.read() as tx:
        rows = tx.execute(query).mappings().all()
    return [Session(**row) for row in rows[:limit]], len(rows) > limit


@retries.repeat
def delete(db: Database, tenant_id: str, session_id: str) -> None:
    """Deletes the session, its turns and its jobs; lines of batches that named it are cancelled and
    stay, for their batch counts them. NotFound("session_not_found") otherwise."""
    owned = (sessions.c.id == session_id, sessions.c.tenant_id == tenant_id)
    with db.write() as tx:
        _detach_lines(tx, session_id, tenant_id)
        if tx.execute(sa.delete(sessions).where(*owned)).rowcount == 0:
            raise NotFound("session_not_found", param="session_id", id=session_id)


def _detach_lines(tx: Connection, session_id: str, tenant_id: str) -> None:
    named = (jobs.c.session_id == session_id, jobs.c.tenant_id == tenant_id)
    lines = (*named, jobs.c.batch_id.is_not(None))
    reason = {"code": "session_deleted", "values": {"id": session_id}}
    job_store.cancel_where(tx, *lines, reason=reason)
    tx.execute(sa.update(jobs).where(*lines).values(session_id=None))


def list_turns(db: Database, session_id: str, *, after: int = 0, limit: int = 1000) -> list[Turn]:
    """At most `limit` turns in order, from turn_no `after` + 1 on. The caller has checked the tenant."""
    query = sa.select(turns).where(turns.c.session_id == session_id, turns.c.turn_no > after)
    with db.read() as tx:
        rows = tx.execute(query.order_by(turns.c.turn_no).limit(limit)).mappings().all()
    return [Turn(**row) for row in rows]


def pin_turn(db: Database, session_id: str, number: int, *, pinned: bool) -> Turn:
    """A pinned turn is kept in the prompt when others have to make room. The caller has checked the
    tenant; NotFound("turn_not_found") otherwise."""
    same = (turns.c.session_id == session_id, turns.c.turn_no == number)
    with db.write() as tx:
        row = tx.execute(sa.update(turns).where(*same).values(pinned=pinned).returning(turns))
        found = row.mappings().one_or_none()
    if found is None:
        raise NotFound("turn_not_found", param="number", number=number)
    return Turn(**found)


def delete_turn(db: Database, session_id: str, number: int) -> None:
    """Forgets one turn; the others keep their numbers. NotFound("turn_not_found") otherwise."""
    same = (turns.c.session_id == session_id, turns.c.turn_no == number)
    with db.write() as tx:
        if tx.execute(sa.delete(turns).where(*same)).rowcount == 0:
            raise NotFound("turn_not_found", param="number", number=number)


def forget_turns(db: Database, *, before: float, most: int, limit: int = 1000) -> int:
    """Deletes unpinned turns older than `before`, and those before the latest `most` of a session,
    in pieces; returns how many went. The others keep their numbers."""
    old = sa.select(turns.c.session_id, turns.c.turn_no).where(~turns.c.pinned)
    beyond = old.join(sessions, sessions.c.id == turns.c.session_id).where(
        sessions.c.num_turns > most, turns.c.turn_no <= sessions.c.num_turns - most
    )
    with db.write() as tx:
        for query in (old.where(turns.c.created_at < before), beyond):
            found = tx.execute(query.limit(limit)).all()
            if found:
                break
        for session_id, number in found:
            same = (turns.c.session_id == session_id, turns.c.turn_no == number)
            tx.execute(sa.delete(turns).where(*same))
    return len(found)
