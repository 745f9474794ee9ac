"""On PostgreSQL, jobs that are open or have no idempotency key leave two more indexes: each index
that holds a job is written anew whenever the job changes its state."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_KEY = ["tenant_id", "idempotency_key"]


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    keyed, ended = sa.text("idempotency_key IS NOT NULL"), sa.text("finished_at IS NOT NULL")
    op.create_index("ix_jobs_idempotency", "jobs", _KEY, unique=True, postgresql_where=keyed)
    op.drop_constraint("uq_jobs_idempotency", "jobs", type_="unique")
    op.drop_index("ix_jobs_state", table_name="jobs")
    op.create_index("ix_jobs_state", "jobs", ["state", "finished_at"], postgresql_where=ended)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.drop_index("ix_jobs_state", table_name="jobs")
    op.create_index("ix_jobs_state", "jobs", ["state", "finished_at"])
    op.create_unique_constraint("uq_jobs_idempotency", "jobs", _KEY)
    op.drop_index("ix_jobs_idempotency", table_name="jobs")
