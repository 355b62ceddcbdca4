"""Roster imports, their sealed files, their staged rows."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import in_scope, policy_ddl

revision = "0004_rosters"
down_revision = "0003_members"
branch_labels = None
depends_on = None

_SERVICE = "membership"
_APP = "unionhall_membership_app"
_SYSTEM = "unionhall_membership_worker, unionhall_membership_owner"

_TABLES = (
    """
    CREATE TABLE roster_imports (
        id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        mode VARCHAR(32) NOT NULL,
        state VARCHAR(32) NOT NULL,
        file_name TEXT NOT NULL,
        file_bytes BIGINT NOT NULL,
        file_blind BYTEA NOT NULL,
        file_key_wrapped BYTEA,
        format VARCHAR(32),
        uploaded_issuer TEXT NOT NULL,
        uploaded_subject TEXT NOT NULL,
        uploaded_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        decided_issuer TEXT,
        decided_subject TEXT,
        decided_at TIMESTAMP WITH TIME ZONE,
        apply_left BOOLEAN DEFAULT false NOT NULL,
        reason TEXT,
        job_id UUID,
        finished_at TIMESTAMP WITH TIME ZONE,
        refusal TEXT,
        refusal_params JSONB DEFAULT '{}'::jsonb NOT NULL,
        warnings JSONB DEFAULT '{}'::jsonb NOT NULL,
        rows INTEGER DEFAULT 0 NOT NULL,
        staged INTEGER DEFAULT 0 NOT NULL,
        position INTEGER DEFAULT 0 NOT NULL,
        last_row INTEGER DEFAULT 0 NOT NULL,
        created INTEGER DEFAULT 0 NOT NULL,
        updated INTEGER DEFAULT 0 NOT NULL,
        unchanged INTEGER DEFAULT 0 NOT NULL,
        rejected INTEGER DEFAULT 0 NOT NULL,
        missing INTEGER DEFAULT 0 NOT NULL,
        withdrawn INTEGER DEFAULT 0 NOT NULL,
        undone INTEGER DEFAULT 0 NOT NULL,
        kept INTEGER DEFAULT 0 NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_roster_imports PRIMARY KEY (id),
        CONSTRAINT fk_roster_imports_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id)
    )
    """,
    "CREATE INDEX ix_roster_imports_file_blind ON roster_imports (organisation_id, file_blind)",
    "CREATE INDEX ix_roster_imports_path_id ON roster_imports (path, id)",
    "CREATE INDEX ix_roster_imports_expires_at ON roster_imports (expires_at) WHERE file_key_wrapped IS NOT NULL",
    """
    CREATE TABLE roster_file_pieces (
        import_id UUID NOT NULL,
        position INTEGER NOT NULL,
        sealed BYTEA NOT NULL,
        CONSTRAINT pk_roster_file_pieces PRIMARY KEY (import_id, position),
        CONSTRAINT fk_roster_file_pieces_import_id_roster_imports FOREIGN KEY(import_id) REFERENCES roster_imports (id)
    )
    """,
    """
    CREATE TABLE roster_rows (
        import_id UUID NOT NULL,
        row_number INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        problems JSONB,
        member_id UUID,
        name TEXT,
        name_pinyin TEXT,
        name_initials TEXT,
        other_pinyin TEXT,
        other_initials TEXT,
        document_type TEXT,
        document_masked TEXT,
        document_sealed BYTEA,
        document_blind BYTEA,
        last4_blind BYTEA,
        phone_sealed BYTEA,
        phone_blind BYTEA,
        birth_date_sealed BYTEA,
        data_key_wrapped BYTEA,
        key_version INTEGER,
        gender TEXT,
        birth_year INTEGER,
        employment_form TEXT,
        organisation_code TEXT,
        joined_on DATE,
        matched_id UUID,
        matched_version BIGINT,
        applied_version BIGINT,
        previous JSONB,
        CONSTRAINT pk_roster_rows PRIMARY KEY (import_id, row_number)
    )
    """,
    "CREATE INDEX ix_roster_rows_problems ON roster_rows (import_id, row_number) WHERE problems IS NOT NULL",
    """
    CREATE TABLE roster_missing (
        import_id UUID NOT NULL,
        member_id UUID NOT NULL,
        matched_version BIGINT NOT NULL,
        applied_version BIGINT,
        CONSTRAINT pk_roster_missing PRIMARY KEY (import_id, member_id),
        CONSTRAINT fk_roster_missing_import_id_roster_imports FOREIGN KEY(import_id) REFERENCES roster_imports (id),
        CONSTRAINT fk_roster_missing_member_id_members FOREIGN KEY(member_id) REFERENCES members (id)
    )
    """,
    # Ciphertext does not shrink: do not try.
    "ALTER TABLE roster_file_pieces ALTER COLUMN sealed SET STORAGE EXTERNAL",
)

# Pieces and missing members belong to an import; a sub-select without outer references is evaluated once a query, not once a row.
_VISIBLE = "import_id IN (SELECT id FROM roster_imports)"
_POLICIES = (
    *policy_ddl("roster_imports", _SERVICE),
    *(
        statement
        for table in ("roster_file_pieces", "roster_missing")
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY {table}_scope ON {table} TO {_APP} USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})",
            f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)",
        )
    ),
)

# COPY does not work on a table under row-level security, so staged rows have none: the application role has no right to them and
# reads their problems through this view, which filters by the scope as a policy would.
_VIEW = f"""
    CREATE VIEW roster_problems WITH (security_barrier) AS
    SELECT r.import_id, r.row_number, r.outcome, r.problems FROM roster_rows r
    WHERE r.problems IS NOT NULL AND r.import_id IN (SELECT i.id FROM roster_imports i WHERE {in_scope("i.path")})
"""  # noqa: S608 - constants


def upgrade() -> None:
    for statement in (*_TABLES, *_POLICIES, _VIEW):
        op.execute(statement)
    grant(op, _SERVICE, "roster_imports", app="SELECT, INSERT, UPDATE", worker="SELECT, UPDATE")
    grant(op, _SERVICE, "roster_file_pieces", app="SELECT, INSERT", worker="SELECT, DELETE")
    grant(op, _SERVICE, "roster_missing", app="SELECT", worker="SELECT, INSERT, UPDATE, DELETE")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON roster_rows TO unionhall_membership_worker")
    op.execute(f"GRANT SELECT ON roster_problems TO {_APP}")


def downgrade() -> None:
    op.execute("DROP VIEW roster_problems")
    for table in ("roster_rows", "roster_missing", "roster_file_pieces", "roster_imports"):
        op.execute(f"DROP TABLE {table}")
