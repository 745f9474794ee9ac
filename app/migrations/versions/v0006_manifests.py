"""Manifests of batches."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("input_sha256", sa.String(length=64), nullable=True))
    op.add_column("batches", sa.Column("manifest", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("batches", "manifest")
    op.drop_column("batches", "input_sha256")
