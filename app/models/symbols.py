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
    """A new version, unless the newest one is the same: that is as good as new, and shared if asked."""
    same = (*_place(memo), symbols.c.name == new.name)
    newest = sa.select(symbols).where(*same).order_by(symbols.c.version.desc()).limit(1)
    last = tx.execute(newest).one_or_none()
    is_same = last is not None and last.code == new.code and _may_share(last.scope, memo.scope)
    same_one = last if is_same else None
    version = 1 if last is None else last.version + (same_one is None)
    if same_one is not None:
        tx.execute(sa.delete(symbols).where(symbols.c.id == same_one.id))
    tx.execute(sa.update(symbols).where(*same).values(is_current=sa.false()))
    values = vars(new) | {
        "tenant_id": memo.tenant_id,
        "session_id": memo.session_id,
        "scope": memo.scope or (same_one.scope if same_one else None),
        "job_id": same_one.job_id if same_one else memo.job_id,
        "version": version,
        "pinned": bool(last and last.pinned),
        "is_current": True,
        "created_at": time.time(),
    }
    tx.execute(sa.insert(symbols).values(**values))
    shared = _newest(*same, symbols.c.scope.is_not(None))
    old = symbols.c.version <= version - MAX_VERSIONS
    tx.execute(sa.delete(symbols).where(*same, old, symbols.c.id.not_in(shared)))


def _may_share(scope: str | None, wanted: str | None) -> bool:
    """Whether one version can be in both scopes; it is in one at most."""
    return scope is None or wanted is None or scope == wanted


def _newest(*where: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """The ids of the newest versions: of each symbol in each session and each scope."""
    grouped = (symbols.c.session_id, symbols.c.scope, symbols.c.name)
    return sa.select(sa.func.max(symbols.c.id)).where(*where).group_by(*grouped)


def _is_shown(tenant_id: str, place: Place) -> sa.ColumnElement[bool]:
    """What a session or a scope shows: the newest version that there is in it. A scope goes on
    showing what was shared when the session has a newer version of its own."""
    if place[0] == "session_id":
        return sa.and_(symbols.c.session_id == place[1], symbols.c.is_current)
    return symbols.c.id.in_(_newest(*_in(tenant_id, place)))


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
    kept_names = sa.select(symbols.c.name).where(*_place(memo), symbols.c.pinned)
    names = sa.select(symbols.c.name).where(
        symbols.c.id.in_(ids), symbols.c.name.not_in(kept_names)
    )
    tx.execute(sa.delete(symbols).where(*_place(memo), symbols.c.name.in_(names)))


def list_current(
    db: Database, tenant_id: str, *, session_id: str | None, scope: str | None, since: float
) -> list[Symbol]:
    """The newest version of every symbol of a session and of everything that the tenant's sessions
    share in a scope, the latest first; none older than `since` unless pinned."""
    given = (("session_id", session_id), ("scope", scope))
    places = [_is_shown(tenant_id, (name, value)) for name, value in given if value is not None]
    if not places:
        return []
    fresh = sa.or_(symbols.c.created_at >= since, symbols.c.pinned)
    owned = (symbols.c.tenant_id == tenant_id, fresh, sa.or_(*places))
    with db.read() as tx:
        rows = tx.execute(sa.select(symbols).where(*owned).order_by(symbols.c.id.desc()))
        return [Symbol(**row) for row in rows.mappings()]


def list_page(
    db: Database, tenant_id: str, place: Place, *, limit: int, after: int = 0
) -> list[Symbol]:
    """Up to `limit` current symbols of a session or a scope, from the id after `after` on."""
    wanted = (symbols.c.tenant_id == tenant_id, _is_shown(tenant_id, place))
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
    """Forgets a symbol with its history there: of a scope what was shared, so that a session has
    the newest version left to it. NotFound("symbol_not_found")."""
    gone = sa.delete(symbols).where(*_in(tenant_id, place), symbols.c.name == name)
    with db.write() as tx:
        _require(tx.execute(gone).rowcount, name)
        _promote(tx, symbols.c.tenant_id == tenant_id, symbols.c.name == name)


def _in(tenant_id: str, place: Place) -> Conditions:
    column, value = place
    return symbols.c.tenant_id == tenant_id, symbols.c[column] == value


def delete_place(db: Database, tenant_id: str, place: Place) -> int:
    """Forgets every symbol of a session or a scope; returns how many rows went."""
    with db.write() as tx:
        count = tx.execute(sa.delete(symbols).where(*_in(tenant_id, place))).rowcount
        _promote(tx, symbols.c.tenant_id == tenant_id)
    return count


def _promote(tx: Connection, *where: sa.ColumnElement[bool]) -> None:
    """Makes the newest version that a session has left its current one."""
    owned = (symbols.c.session_id.is_not(None), *where)
    grouped = (symbols.c.session_id, symbols.c.name)
    newest = sa.select(sa.func.max(symbols.c.id)).where(*owned).group_by(*grouped)
    stale = (symbols.c.id.in_(newest), ~symbols.c.is_current)
    tx.execute(sa.update(symbols).where(*stale).values(is_current=sa.true()))


def _require(number: int, name: str) -> None:
    if not number:
        raise NotFound("symbol_not_found", param="name", name=name[:80])


def forget(db: Database, *, before: float, limit: int = 1000) -> int:
    """Deletes unpinned symbols older than `before` in pieces; returns how many rows went."""
    old = sa.select(symbols.c.id).where(symbols.c.created_at < before, ~symbols.c.pinned)
    with db.write() as tx:
        ids: Sequence[int] = tx.execute(old.limit(limit)).scalars().all()
        touched = sa.select(symbols.c.session_id).where(symbols.c.id.in_(ids)).distinct()
        sessions = [each for each in tx.execute(touched).scalars() if each is not None]
        tx.execute(sa.delete(symbols).where(symbols.c.id.in_(ids)))
        if sessions:  # a pinned version may be what is left
            _promote(tx, symbols.c.session_id.in_(sessions))
    return len(ids)
