"""What binds a batch's files to what made them: stored once, before the batch ends."""

from typing import Any

import sqlalchemy as sa

from app.errors import NotFound
from app.models.database import Database
from app.models.states import ENDED, BatchState
from app.models.tables import batches

_OPEN = (BatchState.FINALIZING.value, BatchState.CANCELLING.value)


def remember_input(db: Database, batch_id: str, sha256: str) -> None:
    """The digest of the input file, which may be deleted before the batch ends."""
    with db.write() as tx:
        naming = sa.update(batches).where(batches.c.id == batch_id)
        tx.execute(naming.values(input_sha256=sha256))


def find_input(db: Database, batch_id: str) -> str | None:
    """The digest that was remembered."""
    with db.read() as tx:
        asked = sa.select(batches.c.input_sha256).where(batches.c.id == batch_id)
        return tx.execute(asked).scalar_one_or_none()


def store(db: Database, batch_id: str, manifest: dict[str, Any]) -> None:
    """Keeps the manifest of a batch whose files are written; one that has ended keeps its own."""
    with db.write() as tx:
        mine = (batches.c.id == batch_id, batches.c.status.in_(_OPEN))
        tx.execute(sa.update(batches).where(*mine).values(manifest=manifest))


def read(db: Database, tenant_id: str, batch_id: str) -> dict[str, Any]:
    """The manifest of the tenant's batch. NotFound: `batch_not_found`, `manifest_not_ready`."""
    owned = (batches.c.id == batch_id, batches.c.tenant_id == tenant_id)
    with db.read() as tx:
        asked = sa.select(batches.c.status, batches.c.manifest).where(*owned)
        row = tx.execute(asked).one_or_none()
    if row is None:
        raise NotFound("batch_not_found", param="id", id=batch_id)
    if row.manifest is None or row.status not in ENDED:
        raise NotFound("manifest_not_ready", param="id", id=batch_id, status=row.status)
    manifest: dict[str, Any] = row.manifest
    return manifest
