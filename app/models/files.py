"""Stored files: uploads, and the output and error files of batches. The bytes are on disk."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app import clock
from app.errors import NotFound
from app.models import cursors, retries
from app.models.database import Database
from app.models.tables import files
from app.wire.rows import File

PIN = ".ingest-"  # a second name of an input file, so that deleting it loses no accepted line


def publish(written: BinaryIO, path: Path, target: Path) -> None:
    """Closes the file written at `path` and renames it to `target`, in the same folder. Its bytes
    are safe on disk before the name is, and the name before this returns."""
    written.flush()
    os.fsync(written.fileno())
    written.close()
    path.replace(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@retries.repeat
def add(db: Database, file: File) -> File:
    """Records a file whose bytes are already on disk; adding the same id again changes nothing."""
    with db.write() as tx:
        known = tx.execute(sa.select(files.c.id).where(files.c.id == file.id)).one_or_none()
        if known is None:
            tx.execute(sa.insert(files).values(**asdict(file)))
    return file


def get(db: Database, tenant_id: str, file_id: str, *, param: str = "id") -> File:
    """The tenant's file; NotFound("file_not_found") if unknown, another's, or expired. `param`
    is what the client calls the id."""
    with db.read() as tx:
        owned = (files.c.id == file_id, files.c.tenant_id == tenant_id)
        row = tx.execute(sa.select(files).where(*owned)).mappings().one_or_none()
    if row is None or (row["expires_at"] is not None and row["expires_at"] <= clock.earliest()):
        raise NotFound("file_not_found", param=param, id=file_id)
    return File(**row)


def list_page(
    db: Database,
    tenant_id: str,
    *,
    limit: int,
    after: str | None = None,
    purpose: str | None = None,
    order: str = "desc",
) -> tuple[list[File], bool]:
    """The tenant's files by creation time, and whether more follow; none that has expired."""
    stamp = sa.tuple_(files.c.created_at, files.c.id)
    is_kept = sa.or_(files.c.expires_at.is_(None), files.c.expires_at > clock.earliest())
    query = sa.select(files).where(files.c.tenant_id == tenant_id, is_kept)
    if purpose is not None:
        query = query.where(files.c.purpose == purpose)
    if after is not None:
        edge = sa.tuple_(_find_place(db, tenant_id, after), after)
        query = query.where(stamp < edge if order == "desc" else stamp > edge)
    direction = sa.desc if order == "desc" else sa.asc
    query = query.order_by(direction(files.c.created_at), direction(files.c.id)).limit(limit + 1)
    with db.read() as tx:
        rows = tx.execute(query).mappings().all()
    return [File(**row) for row in rows[:limit]], len(rows) > limit


def _find_place(db: Database, tenant_id: str, file_id: str) -> float:
    """Where a page goes on, also after a file that expired or was deleted meanwhile."""
    owned = (files.c.id == file_id, files.c.tenant_id == tenant_id)
    with db.read() as tx:
        place = tx.execute(sa.select(files.c.created_at).where(*owned)).scalar_one_or_none()
    place = cursors.find(db, tenant_id, file_id) if place is None else place
    if place is None:
        raise NotFound("file_not_found", param="after", id=file_id)
    return float(place)


def delete(db: Database, tenant_id: str, file_id: str) -> File:
    """Forgets the tenant's file and returns it, so that its bytes can be removed."""
    file = get(db, tenant_id, file_id)
    with db.write() as tx:
        tx.execute(sa.delete(files).where(files.c.id == file_id))
        _keep_places(tx, [file])
    return file


def _keep_places(tx: Connection, gone: Sequence[File]) -> None:
    cursors.keep(tx, [(file.id, file.tenant_id, file.created_at) for file in gone])


def delete_expired(db: Database, *, limit: int = 100) -> list[File]:
    """Forgets files past their expiry; returns them, so that their bytes can be removed."""
    with db.write() as tx:
        due = sa.select(files.c.id).where(files.c.expires_at <= clock.earliest()).limit(limit)
        gone = sa.delete(files).where(files.c.id.in_(due)).returning(files)
        found = [File(**row) for row in tx.execute(gone).mappings()]
        _keep_places(tx, found)
    return found
