"""No decision ever asked how long a certificate is good: a rule that decides nothing is none."""

from alembic import op

revision = "0007_rules_that_are_asked_for"
down_revision = "0006_following"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM rules WHERE key = 'certificate_months'")


def downgrade() -> None:
    # Whoever wants a figure that nothing reads may set it anew.
    pass
