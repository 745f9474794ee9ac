"""Smaller indexes of jobs on PostgreSQL: a row that an index is not asked for is not in it, so that
claiming and settling write fewer of them. SQLite keeps its own: it does not see a bound parameter
when it chooses an index."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_jobs_claim", ("model", "state", "held", sa.text("priority DESC"), "place", "seq")),
    ("ix_jobs_slot", ("slot", "state")),
    ("ix_jobs_session", ("session_id", "seq")),
)
_WHERE = {
    "ix_jobs_claim": "state = 'queued'",
    "ix_jobs_slot": "state = 'running'",
    "ix_jobs_session": "session_id IS NOT NULL",
}


def upgrade() -> None:
    _replace(_WHERE)


def downgrade() -> None:
    _replace({})


def _replace(where: dict[str, str]) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for name, columns in _INDEXES:
        op.drop_index(name, table_name="jobs")
        chosen = sa.text(where[name]) if name in where else None
        op.create_index(name, "jobs", list(columns), postgresql_where=chosen)
