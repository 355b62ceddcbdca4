"""Payout batches, their lines, and what does not fit."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0005_payouts"
down_revision = "0004_cases"
branch_labels = None
depends_on = None

_SERVICE = "welfare"
_APP = "unionhall_welfare_app"
_WORKER = "unionhall_welfare_worker"
_SYSTEM = f"{_WORKER}, unionhall_welfare_owner"

_TABLES = (
    "CREATE SEQUENCE payout_numbers",
    """
    CREATE TABLE payouts (
        id UUID NOT NULL,
        number TEXT NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        channel VARCHAR(32) NOT NULL,
        state VARCHAR(32) NOT NULL,
        line_count INTEGER NOT NULL,
        total_fen BIGINT NOT NULL,
        prepared_by_issuer TEXT NOT NULL,
        prepared_by_subject TEXT NOT NULL,
        prepared_at TIMESTAMP WITH TIME ZONE NOT NULL,
        sent_by_issuer TEXT,
        sent_by_subject TEXT,
        sent_at TIMESTAMP WITH TIME ZONE,
        answered_at TIMESTAMP WITH TIME ZONE,
        closed_by_issuer TEXT,
        closed_by_subject TEXT,
        closed_at TIMESTAMP WITH TIME ZONE,
        version INTEGER NOT NULL,
        CONSTRAINT pk_payouts PRIMARY KEY (id),
        CONSTRAINT uq_payouts_number UNIQUE (number),
        CONSTRAINT ck_payouts_four_eyes
            CHECK ((sent_by_issuer, sent_by_subject) <> (prepared_by_issuer, prepared_by_subject))
    )
    """,
    "CREATE INDEX ix_payouts_path_id ON payouts (path, id)",
    "CREATE INDEX ix_payouts_organisation_id ON payouts (organisation_id)",
    "CREATE INDEX ix_payouts_waiting ON payouts (path, id) WHERE state IN ('draft', 'sent', 'answered')",
    """
    CREATE TABLE payout_lines (
        id UUID NOT NULL,
        payout_id UUID NOT NULL,
        case_id UUID NOT NULL,
        attempt SMALLINT NOT NULL,
        budget_id UUID NOT NULL,
        member_id UUID NOT NULL,
        case_number TEXT NOT NULL,
        amount_fen BIGINT NOT NULL,
        account_masked TEXT NOT NULL,
        state VARCHAR(32) NOT NULL,
        reason TEXT,
        handed_at TIMESTAMP WITH TIME ZONE,
        asked_at TIMESTAMP WITH TIME ZONE,
        answered_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_payout_lines PRIMARY KEY (id),
        CONSTRAINT ck_payout_lines_amount CHECK (amount_fen > 0),
        CONSTRAINT uq_payout_lines_attempt UNIQUE (case_id, attempt),
        CONSTRAINT fk_payout_lines_payout_id_payouts FOREIGN KEY(payout_id) REFERENCES payouts (id),
        CONSTRAINT fk_payout_lines_case_id_cases FOREIGN KEY(case_id) REFERENCES cases (id),
        CONSTRAINT fk_payout_lines_budget_id_budgets FOREIGN KEY(budget_id) REFERENCES budgets (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_payout_lines_living ON payout_lines (case_id) WHERE state <> 'failed'",
    "CREATE INDEX ix_payout_lines_payout_id ON payout_lines (payout_id, id)",
    """
    CREATE INDEX ix_payout_lines_awaited ON payout_lines (asked_at, id) WHERE state IN ('pending', 'unknown', 'accepted')
    """,
    """
    CREATE TABLE payout_findings (
        id UUID NOT NULL,
        payout_id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        line_id UUID,
        kind VARCHAR(32) NOT NULL,
        row_number INTEGER,
        reference TEXT,
        said TEXT,
        amount_fen BIGINT,
        found_at TIMESTAMP WITH TIME ZONE NOT NULL,
        resolved_at TIMESTAMP WITH TIME ZONE,
        resolved_by_issuer TEXT,
        resolved_by_subject TEXT,
        resolution TEXT,
        CONSTRAINT pk_payout_findings PRIMARY KEY (id),
        CONSTRAINT fk_payout_findings_payout_id_payouts FOREIGN KEY(payout_id) REFERENCES payouts (id),
        CONSTRAINT fk_payout_findings_line_id_payout_lines FOREIGN KEY(line_id) REFERENCES payout_lines (id)
    )
    """,
    "CREATE INDEX ix_payout_findings_payout_id ON payout_findings (payout_id, id)",
    "CREATE INDEX ix_payout_findings_organisation_id ON payout_findings (organisation_id)",
    "CREATE INDEX ix_payout_findings_open ON payout_findings (path, id) WHERE resolved_at IS NULL",
)

# A line is read with its batch.
_VISIBLE = "EXISTS (SELECT FROM payouts WHERE payouts.id = payout_id)"
_POLICIES = (
    *policy_ddl("payouts", _SERVICE),
    *policy_ddl("payout_findings", _SERVICE),
    "ALTER TABLE payout_lines ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE payout_lines FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY payout_lines_scope ON payout_lines TO {_APP} USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})",
    f"CREATE POLICY payout_lines_unscoped ON payout_lines TO {_SYSTEM} USING (true) WITH CHECK (true)",
)


def upgrade() -> None:
    for statement in (*_TABLES, *_POLICIES):
        op.execute(statement)
    for table in ("payouts", "payout_lines", "payout_findings"):
        grant(op, _SERVICE, table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    op.execute(f"GRANT USAGE ON SEQUENCE payout_numbers TO {_APP}, {_WORKER}")


def downgrade() -> None:
    for table in ("payout_findings", "payout_lines", "payouts"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE payout_numbers")
