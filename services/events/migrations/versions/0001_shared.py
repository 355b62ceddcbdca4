"""The tables every service has, and the replica of units, posts and members."""

from alembic import op

from shared.database.migrations import create_shared_tables, drop_shared_tables
from shared.directory.schema import create_directory, drop_directory

revision = "0001_shared"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_shared_tables(op, "events")
    create_directory(op, "events")


def downgrade() -> None:
    drop_directory(op)
    drop_shared_tables(op)
