"""On a PostgreSQL that was built with it (most are), requests are compressed by lz4, for a fraction
of the time of pglz. Those that are there already stay as they are and can be read as before."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_KNOWN = "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
_CHOOSE = "ALTER TABLE jobs ALTER COLUMN request SET COMPRESSION"


def upgrade() -> None:
    if _has_lz4():
        op.execute(f"{_CHOOSE} lz4")


def downgrade() -> None:
    if _has_lz4():
        op.execute(f"{_CHOOSE} default")


def _has_lz4() -> bool:
    """PostgreSQL before 14 does not know the setting at all."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return False
    return "lz4" in (bind.execute(sa.text(_KNOWN)).scalar() or ())
