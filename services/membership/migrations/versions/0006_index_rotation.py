"""Which keys of the blind indexes hold everything."""

from alembic import op

from shared.database.migrations import grant

revision = "0006_index_rotation"
down_revision = "0005_work_and_hints"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE index_keys (
            key_id TEXT NOT NULL,
            completed_at TIMESTAMP WITH TIME ZONE NOT NULL,
            CONSTRAINT pk_index_keys PRIMARY KEY (key_id)
        )
    """)
    grant(op, "membership", "index_keys", app="SELECT", worker="SELECT, INSERT, UPDATE")


def downgrade() -> None:
    op.execute("DROP TABLE index_keys")
