"""Programmes and aid cases."""

revision = "0004_cases"
down_revision = "0003_funds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
