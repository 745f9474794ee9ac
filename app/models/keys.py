"""Bearer keys. Only their SHA-256 is stored: a key has 256 random bits, so no slow hash is needed."""

import hashlib
import secrets
import time

import sqlalchemy as sa

from app.errors import NotFound
from app.models import retries
from app.models.database import Database
from app.models.tables import keys, tenants
from app.wire import ids
from app.wire.rows import Key

DEFAULT_TENANT = "default"
_PREFIX_LENGTH = 10
_COLUMNS = tuple(column for column in keys.c if column.name != "digest")
_ANY = sa.select(keys.c.id).limit(1)


@retries.repeat
def create(db: Database, name: str, tenant_id: str = DEFAULT_TENANT) -> tuple[Key, str]:
    """Makes a key; the second value is the secret, seen this one time only."""
    secret = f"ag-{secrets.token_urlsafe(32)}"
    values = {
        "id": ids.make_key(),
        "tenant_id": tenant_id,
        "name": name,
        "prefix": secret[:_PREFIX_LENGTH],
        "digest": _digest(secret),
        "created_at": time.time(),
    }
    with db.write() as tx:
        if tx.execute(sa.select(tenants).where(tenants.c.id == tenant_id)).one_or_none() is None:
            tx.execute(sa.insert(tenants).values(id=tenant_id, created_at=time.time()))
        row = tx.execute(sa.insert(keys).values(**values).returning(*_COLUMNS)).mappings().one()
    return Key(**row), secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def find(db: Database, secret: str) -> Key | None:
    """The live key with this secret. Compared by digest, so timing tells nothing of the secret."""
    live = (keys.c.digest == _digest(secret), keys.c.revoked_at.is_(None))
    with db.look() as tx:
        row = tx.execute(sa.select(*_COLUMNS).where(*live)).mappings().one_or_none()
    return None if row is None else Key(**row)


def list_all(db: Database) -> list[Key]:
    """Every key, revoked ones too, oldest first."""
    with db.read() as tx:
        rows = tx.execute(sa.select(*_COLUMNS).order_by(keys.c.created_at)).mappings().all()
    return [Key(**row) for row in rows]


def has_any(db: Database) -> bool:
    """Whether a key was ever made: from then on every request needs one, revoked ones count."""
    with db.look() as tx:
        return tx.execute(_ANY).first() is not None


def revoke(db: Database, key_id: str) -> Key:
    """Makes a key useless from the next request on; NotFound("key_not_found") otherwise."""
    revoking = sa.update(keys).where(keys.c.id == key_id)
    revoked_at = sa.func.coalesce(keys.c.revoked_at, time.time())
    with db.write() as tx:
        row = tx.execute(revoking.values(revoked_at=revoked_at).returning(*_COLUMNS)).mappings()
        found = row.one_or_none()
    if found is None:
        raise NotFound("key_not_found", param="id", id=key_id)
    return Key(**found)
