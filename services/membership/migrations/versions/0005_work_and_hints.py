"""What waits for somebody is found by indexes of its own; a transfer says the member's number; rosters count hints."""

from alembic import op

revision = "0005_work_and_hints"
down_revision = "0004_rosters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_members_returned ON members (path, id) WHERE status = 'returned'")
    op.execute("ALTER TABLE transfers ADD COLUMN member_number TEXT")
    op.execute("""
        UPDATE transfers SET member_number = members.member_number FROM members
        WHERE members.id = transfers.member_id AND transfers.state IN ('requested', 'released')
    """)
    op.execute("CREATE INDEX ix_transfers_requested ON transfers (from_path, id) WHERE state = 'requested'")
    op.execute("CREATE INDEX ix_transfers_released ON transfers (to_path, id) WHERE state = 'released'")
    # The check of a roster meets people registered elsewhere, and counts them for whoever uploaded it.
    op.execute("GRANT INSERT, UPDATE ON daily_uses TO unionhall_membership_worker")


def downgrade() -> None:
    op.execute("REVOKE INSERT, UPDATE ON daily_uses FROM unionhall_membership_worker")
    op.execute("DROP INDEX ix_transfers_released, ix_transfers_requested, ix_members_returned")
    op.execute("ALTER TABLE transfers DROP COLUMN member_number")
