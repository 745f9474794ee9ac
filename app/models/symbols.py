"""Context memory: what earlier code answers defined, version by version."""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import NotFound
from app.models.database import Database
from app.models.tables import symbols
from app.wire.rows import Memo, NewSymbol, Symbol

MAX_VERSIONS = 20  # of one symbol that are kept
Conditions = tuple[sa.ColumnElement[bool], ...]
Place = tuple[str, str]
"""("session_id" or "scope", its value)."""


def store(tx: Connection, memo: Memo) -> None:
    """Adds the symbols of one answer as new versions, and forgets what is beyond the limit. Part
    of the transaction that stores the answer."""
    for new in memo.symbols:
        _store_one(tx, memo, new)
    _trim(tx, memo)


def _store_one(tx: Connection, memo: Memo, new: NewSymbol) -> None:
    same = (*_place(memo), symbols.c.name == new.name)
    newest = sa.select(symbols.c.version, symbols.c.code, symbols.c.pinned).where(*same)
    last = tx.execute(newest.order_by(symbols.c.version.desc()).limit(1)).one_or_none()
    if last is not None and last.code == new.code:
        return
    tx.execute(sa.update(symbols).where(*same).values(is_current=sa.false()))
    version = last.version + 1 if last else 1
    values = vars(new) | {
        "tenant_id": memo.tenant_id,
        "session_id": memo.session_id,
        "scope": memo.scope,
        "job_id": memo.job_id,
        "version": version,
        "pinned": bool(last and last.pinned),
        "is_current": True,
        "created_at": time.time(),
    }
    tx.execute(sa.insert(symbols).values(**values))
    tx.execute(sa.delete(symbols).where(*same, symbols.c.version <= version - MAX_VERSIONS))


def _place(memo: Memo) -> Conditions:
    """Where a symbol is the same symbol: in its session; without one, in its scope."""
    owned = symbols.c.tenant_id == memo.tenant_id
    if memo.session_id is not None:
        return owned, symbols.c.session_id == memo.session_id
    return owned, symbols.c.session_id.is_(None), symbols.c.scope == memo.scope


def _trim(tx: Connection, memo: Memo) -> None:
    """Forgets the oldest symbols that nobody pinned."""
    kept = sa.select(symbols.c.id).where(*_place(memo), symbols.c.is_current)
    beyond = kept.order_by(symbols.c.pinned.desc(), symbols.c.id.desc()).offset(memo.max_symbols)
    ids = tx.execute(beyond.limit(1000)).scalars().all()
    if not ids:
        return
    names = sa.select(symbols.c.name).where(symbols.c.id.in_(ids), ~symbols.c.pinned)
    tx.execute(sa.delete(symbols).where(*_place(memo), symbols.c.name.in_(names)))


def list_current(
    db: Database, tenant_id: str, *, session_id: str | None, scope: str | None, since: float
) -> list[Symbol]:
    """The newest version of every symbol of a session and of everything that the tenant's sessions
    share in a scope, the latest first; none older than `since` unless pinned."""
    places = []
    if session_id is not None:
        places.append(symbols.c.session_id == session_id)
    if scope is not None:
        places.append(symbols.c.scope == scope)
    if not places:
        return []
    fresh = sa.or_(symbols.c.created_at >= since, symbols.c.pinned)
    owned = (symbols.c.tenant_id == tenant_id, symbols.c.is_current, fresh, sa.or_(*places))
    with db.read() as tx:
        rows = tx.execute(sa.select(symbols).where(*owned).order_by(symbols.c.id.desc()))
        return [Symbol(**row) for row in rows.mappings()]


def list_page(
    db: Database, tenant_id: str, place: Place, *, limit: int, after: int = 0
) -> list[Symbol]:
    """Up to `limit` current symbols of ("session_id" or "scope", its value), from the id after
    `after` on."""
    column, value = place
    wanted = (symbols.c.tenant_id == tenant_id, symbols.c[column] == value, symbols.c.is_current)
    query = sa.select(symbols).where(*wanted, symbols.c.id > after).order_by(symbols.c.id)
    with db.read() as tx:
        return [Symbol(**row) for row in tx.execute(query.limit(limit)).mappings()]


def list_versions(db: Database, tenant_id: str, session_id: str, name: str) -> list[Symbol]:
    """Every kept version, the newest first; NotFound("symbol_not_found") if there is none."""
    with db.read() as tx:
        query = sa.select(symbols).where(*_named(tenant_id, session_id, name))
        rows = tx.execute(query.order_by(symbols.c.version.desc())).mappings().all()
    if not rows:
        raise NotFound("symbol_not_found", param="name", name=name[:80])
    return [Symbol(**row) for row in rows]


def _named(tenant_id: str, session_id: str, name: str) -> Conditions:
    return (
        symbols.c.tenant_id == tenant_id,
        symbols.c.session_id == session_id,
        symbols.c.name == name,
    )


def pin(db: Database, tenant_id: str, place: Place, name: str, *, pinned: bool) -> None:
    """Pins every version: neither limit nor age forgets it. NotFound("symbol_not_found")."""
    changing = sa.update(symbols).where(*_in(tenant_id, place), symbols.c.name == name)
    with db.write() as tx:
        _require(tx.execute(changing.values(pinned=pinned)).rowcount, name)


def delete(db: Database, tenant_id: str, place: Place, name: str) -> None:
    """Forgets a symbol with its history. NotFound("symbol_not_found")."""
    gone = sa.delete(symbols).where(*_in(tenant_id, place), symbols.c.name == name)
    with db.write() as tx:
        _require(tx.execute(gone).rowcount, name)


def _in(tenant_id: str, place: Place) -> Conditions:
    column, value = place
    return symbols.c.tenant_id == tenant_id, symbols.c[column] == value


def delete_place(db: Database, tenant_id: str, place: Place) -> int:
    """Forgets every symbol of a session or a scope; returns how many rows went."""
    with db.write() as tx:
        return tx.execute(sa.delete(symbols).where(*_in(tenant_id, place))).rowcount


def _require(number: int, name: str) -> None:
    if not number:
        raise NotFound("symbol_not_found", param="name", name=name[:80])


def forget(db: Database, *, before: float, limit: int = 1000) -> int:
    """Deletes unpinned symbols older than `before` in pieces; returns how many rows went."""
    old = sa.select(symbols.c.id).where(symbols.c.created_at < before, ~symbols.c.pinned)
    with db.write() as tx:
        ids: Sequence[int] = tx.execute(old.limit(limit)).scalars().all()
        tx.execute(sa.delete(symbols).where(symbols.c.id.in_(ids)))
    return len(ids)
