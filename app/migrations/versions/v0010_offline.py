"""Lines of a batch in the order of their beginnings, and lines that share one answer."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_FALSE = sa.text("false")


def upgrade() -> None:
    place: sa.Column[str] = sa.Column(
        "place", sa.String(length=64), server_default=sa.text("''"), nullable=False
    )
    op.add_column("jobs", place)
    op.add_column("jobs", sa.Column("twin_no", sa.Integer(), nullable=True))
    is_twin: sa.Column[bool] = sa.Column(
        "is_twin", sa.Boolean(), server_default=_FALSE, nullable=False
    )
    op.add_column("jobs", is_twin)
    op.add_column("results", sa.Column("reused_from", sa.JSON(none_as_null=True), nullable=True))
    for name, kind in (("reused_lines", sa.Integer()), ("reused_tokens", sa.BigInteger())):
        op.add_column("batches", sa.Column(name, kind, server_default="0", nullable=False))
    _index_jobs(["place", "seq"])
    where = sa.text("twin_no IS NOT NULL")
    op.create_index(
        "ix_jobs_twins",
        "jobs",
        ["batch_id", "twin_no", "state"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _index_jobs(last: list[str]) -> None:
    op.drop_index("ix_jobs_claim", table_name="jobs")
    newest = sa.text("priority DESC")
    op.create_index("ix_jobs_claim", "jobs", ["model", "state", "held", newest, *last])


def downgrade() -> None:
    """A line that waited for its twin runs by itself."""
    op.execute(
        "UPDATE jobs SET held = EXISTS (SELECT 1 FROM batches"
        " WHERE batches.id = jobs.batch_id AND batches.paused_at IS NOT NULL) WHERE is_twin"
    )
    op.drop_index("ix_jobs_twins", table_name="jobs")
    _index_jobs(["seq"])
    for table, names in (
        ("batches", ("reused_tokens", "reused_lines")),
        ("results", ("reused_from",)),
        ("jobs", ("is_twin", "twin_no", "place")),
    ):
        for name in names:
            op.drop_column(table, name)
