"""Results while a batch runs, pause, retry, attempt times, events."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ENDED = "'succeeded', 'failed', 'cancelled', 'expired'"


def upgrade() -> None:
    op.add_column(
        "batches", sa.Column("settles", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("batches", sa.Column("paused_at", sa.Float(), nullable=True))
    op.add_column("batches", sa.Column("retried_from", sa.String(length=64), nullable=True))
    op.create_index("ix_batches_retried", "batches", ["retried_from"])
    held: sa.Column[bool] = sa.Column(
        "held", sa.Boolean(), server_default=sa.text("false"), nullable=False
    )
    op.add_column("jobs", held)
    op.add_column("jobs", sa.Column("claimed_at", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("ended_no", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("claimed_at", sa.Float(), nullable=True))
    _number_ended()
    _index_jobs()
    _create_tables()


def _number_ended() -> None:
    """Lines that ended before anybody counted are the first group of their batch."""
    op.execute(f"UPDATE jobs SET ended_no = 1 WHERE batch_id IS NOT NULL AND state IN ({_ENDED})")
    op.execute("UPDATE batches SET settles = 1")


def _index_jobs() -> None:
    op.drop_index("ix_jobs_claim", table_name="jobs")
    newest = sa.text("priority DESC")
    op.create_index("ix_jobs_claim", "jobs", ["model", "state", "held", newest, "seq"])
    where = sa.text("ended_no IS NOT NULL")
    op.create_index(
        "ix_jobs_ended",
        "jobs",
        ["batch_id", "ended_no", "line_no"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _create_tables() -> None:
    op.create_table(
        "beats",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("beaten_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("type", "object_id", name="uq_events"),
    )
    op.create_index("ix_events_created", "events", ["created_at"])


def downgrade() -> None:
    op.drop_table("events")
    op.drop_table("beats")
    op.drop_index("ix_jobs_ended", table_name="jobs")
    op.drop_index("ix_jobs_claim", table_name="jobs")
    op.create_index("ix_jobs_claim", "jobs", ["model", "state", sa.text("priority DESC"), "seq"])
    op.drop_index("ix_batches_retried", table_name="batches")
    op.drop_column("attempts", "claimed_at")
    for name in ("ended_no", "claimed_at", "held"):
        op.drop_column("jobs", name)
    for name in ("retried_from", "paused_at", "settles"):
        op.drop_column("batches", name)
