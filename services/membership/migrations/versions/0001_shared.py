"""The tables every service has."""

from alembic import op

from shared.database.migrations import create_shared_tables, drop_shared_tables

revision = "0001_shared"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_shared_tables(op, "membership")


def downgrade() -> None:
    drop_shared_tables(op)
