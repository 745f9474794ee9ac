"""The age of turns, by which old ones are forgotten."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_turns_age", "turns", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_turns_age", table_name="turns")
