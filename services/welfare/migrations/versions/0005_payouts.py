"""Payout batches and their lines."""

revision = "0005_payouts"
down_revision = "0004_cases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
