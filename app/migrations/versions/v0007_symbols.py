"""Symbols: the context memory of code jobs, and what a code job's result adds."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "symbols",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64)),
        sa.Column("scope", sa.String(length=128)),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("signature", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("value", sa.Text()),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_current", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_symbols_session", "symbols", ["session_id", "name", "version"])
    op.create_index("ix_symbols_scope", "symbols", ["tenant_id", "scope", "is_current"])
    op.create_index("ix_symbols_age", "symbols", ["created_at"])
    op.add_column("results", sa.Column("coding", sa.JSON()))
    op.add_column(
        "turns",
        sa.Column("pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("turns", "pinned")
    op.drop_column("results", "coding")
    op.drop_table("symbols")
