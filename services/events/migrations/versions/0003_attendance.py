"""Lotteries, check-ins, feedback, calendars."""

revision = "0003_attendance"
down_revision = "0002_activities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
