"""What happened to an object, said once: rows that webhooks deliver."""

import time
from collections.abc import Sequence

import sqlalchemy as sa

from app.models import deliveries, retries
from app.models.database import Database
from app.models.tables import events
from app.wire import ids
from app.wire.rows import Event

AT_RISK = "batch.at_risk"


@retries.repeat
def record(
    db: Database,
    tenant_id: str,
    kind: str,
    object_id: str,
    *,
    endpoints: Sequence[str] | None = None,
) -> bool:
    """Keeps the event, and has it told to the object's client and to `endpoints` (None: webhooks
    are off); False if it was said of this object before."""
    with db.write() as tx:
        same = (events.c.type == kind, events.c.object_id == object_id)
        if tx.execute(sa.select(events.c.id).where(*same)).first() is not None:
            return False
        tx.execute(
            sa.insert(events).values(
                id=ids.make_event(),
                tenant_id=tenant_id,
                type=kind,
                object_id=object_id,
                created_at=time.time(),
            )
        )
        if endpoints is not None:
            deliveries.tell(tx, kind, object_id, tenant_id, endpoints)
        return True


def list_of(db: Database, object_id: str) -> list[Event]:
    """Everything that was said of an object, oldest first."""
    query = sa.select(events).where(events.c.object_id == object_id)
    with db.read() as tx:
        rows = tx.execute(query.order_by(events.c.created_at)).mappings().all()
    return [Event(**row) for row in rows]


def forget(db: Database, *, before: float) -> int:
    """Deletes events older than `before`; returns how many."""
    with db.write() as tx:
        return tx.execute(sa.delete(events).where(events.c.created_at < before)).rowcount
