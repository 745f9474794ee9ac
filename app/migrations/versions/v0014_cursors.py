"""Where deleted things stood in their lists, and which try of a client made a batch."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_cursors_age", "cursors", ["created_at"])
    op.add_column("batches", sa.Column("tries", sa.Integer()))


def downgrade() -> None:
    op.drop_column("batches", "tries")
    op.drop_table("cursors")
