"""What is known of the deaths of worker incarnations: one row each, for all jobs that died with it."""

import time
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.models import retries
from app.models.database import Database
from app.models.tables import attempts, evidence
from app.wire.rows import Evidence


@retries.repeat
def store(db: Database, slot: str, epoch: int, found: Evidence) -> bool:
    """Keeps what an incarnation left, if jobs died with it and nothing is known yet; whether it
    was kept."""
    with db.write() as tx:
        if _is_known(tx, slot, epoch) or not _has_crashed(tx, slot, epoch):
            return False
        row = {"cause": found.cause, "stacks": found.stacks, "log": list(found.log)}
        making = sa.insert(evidence).values(slot=slot, epoch=epoch, made_at=time.time(), **row)
        tx.execute(making)
        return True


def _is_known(tx: Connection, slot: str, epoch: int) -> bool:
    mine = (evidence.c.slot == slot, evidence.c.epoch == epoch)
    return tx.execute(sa.select(evidence.c.epoch).where(*mine)).first() is not None


def _has_crashed(tx: Connection, slot: str, epoch: int) -> bool:
    mine = (attempts.c.slot == slot, attempts.c.epoch == epoch, attempts.c.outcome == "crashed")
    return tx.execute(sa.select(attempts.c.attempt).where(*mine).limit(1)).first() is not None


def find(db: Database, job_id: str) -> Mapping[int, Evidence]:
    """By attempt: what is known of the deaths that this job was part of. Log lines that name other
    jobs are left out: they may be another tenant's."""
    died = sa.and_(evidence.c.slot == attempts.c.slot, evidence.c.epoch == attempts.c.epoch)
    columns = (attempts.c.attempt, evidence.c.cause, evidence.c.stacks, evidence.c.log)
    crashed = (attempts.c.job_id == job_id, attempts.c.outcome == "crashed")
    with db.read() as tx:
        joined = sa.select(*columns).join_from(attempts, evidence, died).where(*crashed)
        rows = tx.execute(joined.order_by(attempts.c.attempt)).all()
    return {
        row.attempt: Evidence(row.cause, row.stacks, _keep_own(row.log, job_id)) for row in rows
    }


def _keep_own(lines: list[dict[str, object]], job_id: str) -> tuple[dict[str, object], ...]:
    return tuple(line for line in lines if line.get("job_id", job_id) == job_id)


def forget(db: Database, *, before: float) -> int:
    """Deletes what is older than `before`; returns how many."""
    with db.write() as tx:
        return tx.execute(sa.delete(evidence).where(evidence.c.made_at < before)).rowcount
