"""Accounts, the journal, budgets."""

revision = "0003_funds"
down_revision = "0002_dossiers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
