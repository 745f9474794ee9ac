"""What is to be told to whom about ended batches and jobs, and how the telling went."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import retries
from app.models.database import Database
from app.models.states import ENDED, TERMINAL
from app.models.tables import batches, deliveries, jobs, results, webhooks
from app.wire import ids, replies, responses
from app.wire.rows import Delivery

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
_PIECE = 200
_NEWS = (batches.c.announced_at.is_(None), batches.c.status.in_([s.value for s in ENDED]))
_JOB_NEWS = (webhooks.c.announced_at.is_(None), jobs.c.state.in_([s.value for s in TERMINAL]))


def subscribe(tx: Connection, tenant_id: str, object_id: str, url: str | None) -> None:
    """Part of the transaction that creates a batch or job: its client wants to be told, or (without
    a URL) the configured endpoints do."""
    now = time.time()
    row = {"object_id": object_id, "tenant_id": tenant_id, "url": url or "", "created_at": now}
    tx.execute(sa.insert(webhooks), [row])


def find_url(db: Database, object_id: str) -> str | None:
    """Where the client of a batch or job wants to be told; None for nowhere, or no longer known."""
    wanted = sa.select(webhooks.c.url).where(webhooks.c.object_id == object_id)
    with db.read() as tx:
        return tx.execute(wanted).scalar_one_or_none() or None


def announce(db: Database, endpoints: Sequence[str], *, is_on: bool = True) -> int:
    """Makes deliveries of what has ended and was not announced yet; returns how many objects.
    `endpoints` hear of every batch and background response. Off, it only marks, so that switching
    on tells no old news."""
    with db.read() as tx:
        batch_ids = list(tx.execute(sa.select(batches.c.id).where(*_NEWS).limit(_PIECE)).scalars())
        job_ids = list(tx.execute(_select_jobs(jobs.c.id).limit(_PIECE)).scalars())
    if batch_ids or job_ids:
        _store_news(db, batch_ids, job_ids, endpoints if is_on else None)
    return len(batch_ids) + len(job_ids)


def tell(
    tx: Connection, kind: str, object_id: str, tenant_id: str, endpoints: Sequence[str]
) -> None:
    """Part of a transaction: makes the deliveries of an event that is not an end."""
    wanted = sa.select(webhooks.c.url).where(webhooks.c.object_id == object_id)
    url = tx.execute(wanted).scalar_one_or_none()
    _insert(tx, [(object_id, tenant_id, kind, url)], endpoints)


def _select_jobs(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    joined = webhooks.join(jobs, jobs.c.id == webhooks.c.object_id)
    return sa.select(*columns).select_from(joined).where(*_JOB_NEWS)


@retries.repeat
def _store_news(
    db: Database, batch_ids: list[str], job_ids: list[str], endpoints: Sequence[str] | None
) -> None:
    with db.write() as tx:
        news = [*_read_batches(tx, batch_ids), *_read_jobs(tx, job_ids)]
        if endpoints is not None:
            _insert(tx, news, endpoints)
        now = time.time()
        named = batches.c.id.in_(batch_ids)
        tx.execute(sa.update(batches).where(named, *_NEWS).values(announced_at=now))
        told = webhooks.c.object_id.in_([*batch_ids, *job_ids])
        tx.execute(sa.update(webhooks).where(told).values(announced_at=now))


def _read_batches(tx: Connection, batch_ids: Sequence[str]) -> list[Any]:
    """(object id, tenant, event type, the client's URL or None) of batches, locked."""
    columns = (batches.c.id, batches.c.tenant_id, batches.c.status)
    locked = sa.select(*columns).where(batches.c.id.in_(batch_ids), *_NEWS).with_for_update()
    rows = tx.execute(locked).all()
    wanted = sa.select(webhooks.c.object_id, webhooks.c.url).where(
        webhooks.c.object_id.in_(batch_ids)
    )
    urls = {row.object_id: row.url for row in tx.execute(wanted)}
    return [(row.id, row.tenant_id, f"batch.{row.status}", urls.get(row.id)) for row in rows]


def _read_jobs(tx: Connection, job_ids: Sequence[str]) -> list[Any]:
    columns = (jobs.c.id, jobs.c.tenant_id, jobs.c.state, jobs.c.endpoint, webhooks.c.url)
    reason = sa.select(results.c.finish_reason).where(results.c.job_id == jobs.c.id)
    asked = _select_jobs(*columns, reason.scalar_subquery().label("finish_reason"))
    rows = tx.execute(asked.where(jobs.c.id.in_(job_ids))).all()
    return [(row.id, row.tenant_id, _name_event(row), row.url) for row in rows]


def _name_event(row: Any) -> str:
    """A response is called what OpenAI calls it."""
    if row.endpoint != responses.ENDPOINT:
        return f"job.{row.state}"
    return f"response.{replies.name_status(row.state, row.finish_reason)}"


def _insert(tx: Connection, news: Sequence[Any], endpoints: Sequence[str]) -> None:
    now = time.time()
    rows = []
    for object_id, tenant_id, kind, url in news:
        general = () if kind.startswith("job.") else endpoints
        rows += [
            {
                "id": ids.make_delivery(),
                "tenant_id": tenant_id,
                "object_id": object_id,
                "type": kind,
                "url": target,
                "is_general": target != url,
                "state": PENDING,
                "created_at": now,
                "next_at": now,
            }
            for target in dict.fromkeys([*([url] if url else []), *general])
        ]
    if rows:
        tx.execute(sa.insert(deliveries), rows)


@retries.repeat
def take_due(db: Database, *, limit: int, busy_seconds: float) -> list[Delivery]:
    """Deliveries whose time has come, each counted as one more attempt; nobody else gets them for
    `busy_seconds`, after which the attempt counts as lost."""
    now = time.time()
    due = (deliveries.c.state == PENDING, deliveries.c.next_at <= now)
    with db.read() as tx:
        if tx.execute(sa.select(deliveries.c.id).where(*due).limit(1)).first() is None:
            return []
    with db.write() as tx:
        chosen = sa.select(deliveries.c.id).where(*due).order_by(deliveries.c.next_at).limit(limit)
        found = tx.execute(chosen.with_for_update(skip_locked=True)).scalars().all()
        taking = sa.update(deliveries).where(deliveries.c.id.in_(found), *due)
        taken = taking.values(attempts=deliveries.c.attempts + 1, next_at=now + busy_seconds)
        return [Delivery(**row) for row in tx.execute(taken.returning(deliveries)).mappings()]


@retries.repeat
def record(
    db: Database,
    delivery: Delivery,
    *,
    state: str,
    status_code: int | None,
    reason: str | None,
    next_at: float | None = None,
) -> None:
    """How this attempt went; one that was meanwhile counted as lost changes nothing."""
    mine = (deliveries.c.id == delivery.id, deliveries.c.attempts == delivery.attempts)
    values: dict[str, Any] = {"state": state, "status_code": status_code, "reason": reason}
    if next_at is not None:
        values["next_at"] = next_at
    if state != PENDING:
        values["ended_at"] = time.time()
    with db.write() as tx:
        tx.execute(
            sa.update(deliveries).where(*mine, deliveries.c.state == PENDING).values(**values)
        )


def list_all(db: Database, tenant_id: str, object_id: str) -> list[Delivery]:
    """What the tenant's clients were told about one object; the operator's own endpoints are not
    theirs to see."""
    owned = (deliveries.c.object_id == object_id, deliveries.c.tenant_id == tenant_id)
    asked = sa.select(deliveries).where(*owned, ~deliveries.c.is_general)
    with db.read() as tx:
        rows = tx.execute(asked.order_by(deliveries.c.created_at, deliveries.c.id)).mappings()
        return [Delivery(**row) for row in rows]


def forget(db: Database, *, before: float, limit: int = 1000) -> int:
    """Deletes what was told or given up before that time; returns how many rows went."""
    old = sa.select(deliveries.c.id).where(deliveries.c.ended_at < before).limit(limit)
    named = sa.select(webhooks.c.object_id).where(webhooks.c.announced_at < before).limit(limit)
    with db.write() as tx:
        gone = tx.execute(sa.delete(deliveries).where(deliveries.c.id.in_(old))).rowcount
        return (
            gone + tx.execute(sa.delete(webhooks).where(webhooks.c.object_id.in_(named))).rowcount
        )
