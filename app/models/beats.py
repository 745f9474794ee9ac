"""Signs of life of processes that own no slot: the control processes."""

import time

import sqlalchemy as sa

from app.models import retries
from app.models.database import Database
from app.models.tables import beats


@retries.repeat
def beat(db: Database, name: str) -> None:
    """`name` lives now."""
    now = time.time()
    with db.write() as tx:
        beating = sa.update(beats).where(beats.c.name == name).values(beaten_at=now)
        if not tx.execute(beating).rowcount:
            tx.execute(sa.insert(beats).values(name=name, beaten_at=now))


def read_latest(db: Database) -> float | None:
    """When the last of them was seen, in Unix seconds of its own clock; None if none ever was."""
    with db.read() as tx:
        latest: float | None = tx.execute(sa.select(sa.func.max(beats.c.beaten_at))).scalar_one()
    return latest
