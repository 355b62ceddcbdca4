"""Programmes and aid cases."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0004_cases"
down_revision = "0003_funds"
branch_labels = None
depends_on = None

_SERVICE = "welfare"
_APP = "unionhall_welfare_app"
_SYSTEM = "unionhall_welfare_worker, unionhall_welfare_owner"
_WAITING = "stage IN ('draft', 'submitted', 'returned', 'approved', 'disbursing', 'paid')"

_TABLES = (
    """
    CREATE TABLE programmes (
        id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        budget_id UUID NOT NULL,
        name TEXT NOT NULL,
        kind VARCHAR(32) NOT NULL,
        starts_on DATE NOT NULL,
        ends_on DATE NOT NULL,
        amount_rule VARCHAR(32) NOT NULL,
        fixed_fen BIGINT,
        cap_per_time_fen BIGINT,
        cap_per_year_fen BIGINT,
        eligibility JSONB NOT NULL,
        version INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_programmes PRIMARY KEY (id),
        CONSTRAINT ck_programmes_ends_after_start CHECK (ends_on >= starts_on),
        CONSTRAINT ck_programmes_amounts_positive
            CHECK (fixed_fen > 0 AND cap_per_time_fen > 0 AND cap_per_year_fen > 0)
    )
    """,
    "CREATE INDEX ix_programmes_path_id ON programmes (path, id)",
    "CREATE INDEX ix_programmes_organisation_id ON programmes (organisation_id)",
    """
    CREATE TABLE programme_history (
        programme_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        organisation_id UUID NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        terms JSONB NOT NULL,
        CONSTRAINT pk_programme_history PRIMARY KEY (programme_id, version),
        CONSTRAINT fk_programme_history_programme_id_programmes FOREIGN KEY(programme_id) REFERENCES programmes (id)
    )
    """,
    "CREATE SEQUENCE case_numbers",
    """
    CREATE TABLE cases (
        id UUID NOT NULL,
        case_number TEXT NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        programme_id UUID NOT NULL,
        member_id UUID NOT NULL,
        dossier_id UUID,
        stage VARCHAR(32) NOT NULL,
        stage_since TIMESTAMP WITH TIME ZONE NOT NULL,
        due_on DATE,
        levels_up SMALLINT NOT NULL,
        requested_fen BIGINT NOT NULL,
        approved_fen BIGINT,
        paid_fen BIGINT,
        approved_on DATE,
        budget_id UUID,
        data_key_wrapped BYTEA,
        key_version SMALLINT NOT NULL,
        reason_sealed BYTEA,
        payee_name_sealed BYTEA,
        account_sealed BYTEA,
        account_masked TEXT,
        flagged BOOLEAN NOT NULL,
        flag_reason VARCHAR(32),
        flagged_at TIMESTAMP WITH TIME ZONE,
        drafted_by_issuer TEXT NOT NULL,
        drafted_by_subject TEXT NOT NULL,
        is_own BOOLEAN NOT NULL,
        submitted_by_issuer TEXT,
        submitted_by_subject TEXT,
        approved_by_issuer TEXT,
        approved_by_subject TEXT,
        version INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_cases PRIMARY KEY (id),
        CONSTRAINT uq_cases_case_number UNIQUE (case_number),
        CONSTRAINT ck_cases_amounts CHECK (requested_fen > 0 AND approved_fen > 0 AND approved_fen <= requested_fen),
        CONSTRAINT ck_cases_paid_at_most_approved CHECK (paid_fen > 0 AND paid_fen <= approved_fen),
        CONSTRAINT ck_cases_flag_has_reason CHECK (flagged = (flag_reason IS NOT NULL)),
        CONSTRAINT fk_cases_programme_id_programmes FOREIGN KEY(programme_id) REFERENCES programmes (id)
    )
    """,
    "CREATE INDEX ix_cases_path_id ON cases (path, id)",
    "CREATE INDEX ix_cases_organisation_id ON cases (organisation_id)",
    "CREATE INDEX ix_cases_programme_id ON cases (programme_id, id)",
    "CREATE INDEX ix_cases_member_id ON cases (member_id, id)",
    f"CREATE INDEX ix_cases_waiting ON cases (path, id) WHERE {_WAITING}",
    f"CREATE INDEX ix_cases_due ON cases (due_on, stage_since) WHERE {_WAITING}",
    "CREATE INDEX ix_cases_mendable ON cases (drafted_by_subject, drafted_by_issuer) WHERE stage IN ('draft', 'returned')",
    "CREATE INDEX ix_cases_helped ON cases (approved_on, member_id, programme_id) WHERE approved_on IS NOT NULL",
    """
    CREATE TABLE case_history (
        case_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happening VARCHAR(32) NOT NULL,
        stage VARCHAR(32) NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        on_date DATE NOT NULL,
        organisation_id UUID NOT NULL,
        previous_organisation_id UUID,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        reason_sealed BYTEA,
        code TEXT,
        decision JSONB,
        CONSTRAINT pk_case_history PRIMARY KEY (case_id, version),
        CONSTRAINT fk_case_history_case_id_cases FOREIGN KEY(case_id) REFERENCES cases (id)
    )
    """,
    """
    CREATE TABLE successions (
        organisation_id UUID NOT NULL,
        successor_id UUID NOT NULL,
        CONSTRAINT pk_successions PRIMARY KEY (organisation_id)
    )
    """,
)

# A programme is for the units below its own, so they see it: the root of the scope lies under the programme's path.
_ABOVE = """
    EXISTS (SELECT FROM unnest(string_to_array(nullif(current_setting('app.scope', true), ''), ',')) AS p
            WHERE p ~ '^([0-9a-z]+/)+$' AND p ^@ path)
"""


def _policies_of_history(table: str, owners: str, key: str) -> tuple[str, ...]:
    """Read with the aggregate it belongs to, written with it, changed by nobody."""
    visible = f"EXISTS (SELECT FROM {owners} WHERE {owners}.id = {key})"
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_read ON {table} FOR SELECT TO {_APP} USING ({visible})",
        f"CREATE POLICY {table}_insert ON {table} FOR INSERT TO {_APP} WITH CHECK (true)",
        f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)",
    )


_POLICIES = (
    *policy_ddl("programmes", _SERVICE),
    f"CREATE POLICY programmes_above ON programmes FOR SELECT TO {_APP} USING ({_ABOVE})",
    *_policies_of_history("programme_history", "programmes", "programme_id"),
    *policy_ddl("cases", _SERVICE),
    *_policies_of_history("case_history", "cases", "case_id"),
)

# What a member has received counts against the caps wherever it was approved: a transfer does not begin a new year.
_FUNCTIONS = {
    "aid_of_member(uuid)": """
    CREATE FUNCTION aid_of_member(member uuid)
    RETURNS TABLE (programme_id uuid, kind text, approved_fen bigint, approved_on date)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
        SELECT c.programme_id, p.kind, c.approved_fen, c.approved_on
        FROM public.cases AS c JOIN public.programmes AS p ON p.id = c.programme_id
        WHERE c.member_id = member AND c.approved_on IS NOT NULL
    $$
    """,
    # Two decisions about one member take turns. Volatile: what is read after the wait is newer than the statement around it.
    "aid_in_turn(uuid)": """
    CREATE FUNCTION aid_in_turn(member uuid)
    RETURNS TABLE (programme_id uuid, kind text, approved_fen bigint, approved_on date)
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$ #variable_conflict use_column
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('aid:' || member::text, 0));
        RETURN QUERY SELECT * FROM public.aid_of_member(member);
    END $$
    """,
    # The household's file may be kept by another unit than the member's: what is said of it here is who, and nothing else.
    "members_of_class(text[])": """
    CREATE FUNCTION members_of_class(classes text[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
        SELECT person.member_id FROM public.dossiers AS dossier
        JOIN public.dossier_persons AS person ON person.dossier_id = dossier.id
        WHERE dossier.status = 'open' AND dossier.hardship_class = ANY (classes)
          AND person.is_standing AND person.member_id IS NOT NULL
    $$
    """,
    "helped_since(date, uuid)": """
    CREATE FUNCTION helped_since(since date, programme uuid) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
        SELECT c.member_id FROM public.cases AS c
        WHERE c.approved_on > since AND (programme IS NULL OR c.programme_id = programme)
    $$
    """,
}


def upgrade() -> None:
    for statement in (*_TABLES, *_POLICIES):
        op.execute(statement)
    for table in ("programmes", "cases"):
        grant(op, _SERVICE, table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    for table in ("programme_history", "case_history"):
        grant(op, _SERVICE, table, app="SELECT, INSERT", worker="SELECT, INSERT")
    grant(op, _SERVICE, "successions", app="SELECT", worker="SELECT, INSERT")
    grant(op, _SERVICE, "SEQUENCE case_numbers", app="USAGE", worker="USAGE")
    for signature, statement in _FUNCTIONS.items():
        op.execute(statement)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {_APP}, unionhall_welfare_worker")


def downgrade() -> None:
    for signature in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
    for table in ("successions", "case_history", "cases", "programme_history", "programmes"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE case_numbers")
