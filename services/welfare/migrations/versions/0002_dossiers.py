"""Rules as rows, household dossiers."""

revision = "0002_dossiers"
down_revision = "0001_shared"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
