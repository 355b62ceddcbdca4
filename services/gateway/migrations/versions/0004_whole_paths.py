"""A scope is made of whole paths here too: a garbled one, as half a path, gives no row."""

from alembic import op

from shared.database.scope import in_scope

revision = "0004_whole_paths"
down_revision = "0003_aid_and_activities"
branch_labels = None
depends_on = None

_GUARDED = ("member_places", "dashboard_totals", "dashboard_weighed")
_BEFORE = "o.path ^@ ANY (string_to_array(nullif(current_setting('app.scope', true), ''), ','))"


def upgrade() -> None:
    _guard(in_scope("o.path"))


def downgrade() -> None:
    _guard(_BEFORE)


def _guard(condition: str) -> None:
    for table in _GUARDED:
        op.execute(f"""
            ALTER POLICY {table}_scope ON {table} USING (EXISTS (
                SELECT FROM directory_organisations o WHERE o.id = {table}.organisation_id AND {condition}))
        """)
