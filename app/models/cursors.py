"""Where deleted things stood in their lists: a client that pages while it deletes can go on."""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import bulk
from app.models.database import Database
from app.models.tables import cursors

KEPT_SECONDS = 86_400

Place = tuple[str, str, float]
"""Id, tenant, and the value that its list is ordered by."""


def keep(tx: Connection, gone: Sequence[Place]) -> None:
    """Remembers places, in the transaction that deletes what stood there."""
    now = time.time()
    names = ("id", "tenant_id", "place")
    ids = [name for name, _, _ in gone]
    tx.execute(
        sa.delete(cursors).where(cursors.c.id.in_(ids))
    )  # it was deleted before, and made again
    rows = [dict(zip(names, each, strict=True)) | {"created_at": now} for each in gone]
    bulk.insert(tx, cursors, rows)


def find(db: Database, tenant_id: str, name: str) -> float | None:
    """Where the tenant's deleted thing of this id stood; None for anything else."""
    own = (cursors.c.id == name, cursors.c.tenant_id == tenant_id)
    with db.read() as tx:
        return tx.execute(sa.select(cursors.c.place).where(*own)).scalar_one_or_none()


def forget(db: Database, *, before: float, limit: int = 1000) -> int:
    """Deletes places that were kept before this time; returns how many went in this piece."""
    some = sa.select(cursors.c.id).where(cursors.c.created_at < before).limit(limit)
    with db.write() as tx:
        return tx.execute(sa.delete(cursors).where(cursors.c.id.in_(some))).rowcount
