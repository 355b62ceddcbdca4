"""Dossiers follow their heads; a case whose unit was dissolved is still paid by the batch it is in."""

from alembic import op

revision = "0006_following"
down_revision = "0005_payouts"
branch_labels = None
depends_on = None

_CALLERS = "unionhall_welfare_app, unionhall_welfare_worker"

# The bank's answer for a line settles its case, wherever that is kept by now: what is said of it here is where, and nothing else.
_FIND = """
    CREATE FUNCTION paths_of_paid_cases(lines uuid[]) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
        SELECT DISTINCT paid.path FROM public.payout_lines AS line JOIN public.cases AS paid ON paid.id = line.case_id
        WHERE line.id = ANY (lines)
    $$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE dossiers ADD COLUMN head_sequence BIGINT DEFAULT 0 NOT NULL")
    op.execute(_FIND)
    op.execute("REVOKE ALL ON FUNCTION paths_of_paid_cases(uuid[]) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION paths_of_paid_cases(uuid[]) TO {_CALLERS}")


def downgrade() -> None:
    op.execute("DROP FUNCTION paths_of_paid_cases(uuid[])")
    op.execute("ALTER TABLE dossiers DROP COLUMN head_sequence")
