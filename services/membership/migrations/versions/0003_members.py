"""Members, affiliations, their history, transfers."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0003_members"
down_revision = "0002_organisations"
branch_labels = None
depends_on = None

_SERVICE = "membership"
_APP = "unionhall_membership_app"
_SYSTEM = "unionhall_membership_worker, unionhall_membership_owner"

_TABLES = (
    "CREATE SEQUENCE member_numbers",
    """
    CREATE TABLE members (
        id UUID NOT NULL,
        member_number TEXT,
        name TEXT COLLATE "C" NOT NULL,
        name_pinyin TEXT COLLATE "C" NOT NULL,
        name_initials TEXT COLLATE "C" NOT NULL,
        other_pinyin TEXT COLLATE "C",
        other_initials TEXT COLLATE "C",
        document_type VARCHAR(32) NOT NULL,
        document_sealed BYTEA,
        document_blind BYTEA,
        last4_blind BYTEA,
        phone_sealed BYTEA,
        phone_blind BYTEA,
        birth_date_sealed BYTEA,
        data_key_wrapped BYTEA,
        key_version SMALLINT NOT NULL,
        gender VARCHAR(32) NOT NULL,
        birth_year SMALLINT,
        employment_form VARCHAR(32) NOT NULL,
        status VARCHAR(32) NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        joined_on DATE,
        left_on DATE,
        applied_at TIMESTAMP WITH TIME ZONE,
        applied_by_issuer TEXT,
        applied_by_subject TEXT,
        escalated_at TIMESTAMP WITH TIME ZONE,
        user_issuer TEXT,
        user_subject TEXT,
        erased_at TIMESTAMP WITH TIME ZONE,
        version INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_members PRIMARY KEY (id),
        CONSTRAINT ck_members_erased_without_key CHECK ((erased_at IS NULL) = (data_key_wrapped IS NOT NULL)),
        CONSTRAINT uq_members_member_number UNIQUE (member_number),
        CONSTRAINT uq_members_document_blind UNIQUE (document_blind),
        CONSTRAINT fk_members_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id)
    )
    """,
    "CREATE INDEX ix_members_applied ON members (path, id) WHERE status = 'applied'",
    "CREATE INDEX ix_members_last4 ON members (last4_blind, path, id)",
    "CREATE INDEX ix_members_name ON members (name, path, id)",
    "CREATE INDEX ix_members_name_initials ON members (name_initials, path, id)",
    "CREATE INDEX ix_members_name_pinyin ON members (name_pinyin, path, id)",
    "CREATE INDEX ix_members_other_initials ON members (other_initials, path, id) WHERE other_initials IS NOT NULL",
    "CREATE INDEX ix_members_other_pinyin ON members (other_pinyin, path, id) WHERE other_pinyin IS NOT NULL",
    "CREATE INDEX ix_members_path_id ON members (path, id)",
    "CREATE INDEX ix_members_phone ON members (phone_blind, path, id) WHERE phone_blind IS NOT NULL",
    "CREATE UNIQUE INDEX uq_members_user ON members (user_issuer, user_subject) WHERE user_subject IS NOT NULL",
    """
    CREATE TABLE affiliations (
        member_id UUID NOT NULL,
        from_version INTEGER NOT NULL,
        organisation_id UUID NOT NULL,
        from_on DATE,
        to_on DATE,
        CONSTRAINT pk_affiliations PRIMARY KEY (member_id, from_version),
        CONSTRAINT ck_affiliations_ends_after_start CHECK (to_on >= from_on),
        CONSTRAINT fk_affiliations_member_id_members FOREIGN KEY(member_id) REFERENCES members (id),
        CONSTRAINT fk_affiliations_organisation_id_organisations FOREIGN KEY(organisation_id) REFERENCES organisations (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_affiliations_holding ON affiliations (member_id) WHERE to_on IS NULL",
    """
    CREATE TABLE member_history (
        member_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happening VARCHAR(32) NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        on_date DATE NOT NULL,
        organisation_id UUID NOT NULL,
        other_organisation_id UUID,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        reason TEXT,
        CONSTRAINT pk_member_history PRIMARY KEY (member_id, version),
        CONSTRAINT fk_member_history_member_id_members FOREIGN KEY(member_id) REFERENCES members (id)
    )
    """,
    """
    CREATE TABLE transfers (
        id UUID NOT NULL,
        member_id UUID NOT NULL,
        from_organisation_id UUID NOT NULL,
        from_path TEXT COLLATE "C" NOT NULL,
        to_organisation_id UUID NOT NULL,
        to_path TEXT COLLATE "C" NOT NULL,
        state VARCHAR(32) NOT NULL,
        status_before VARCHAR(32) NOT NULL,
        reason TEXT NOT NULL,
        requested_by_issuer TEXT NOT NULL,
        requested_by_subject TEXT NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE NOT NULL,
        released_at TIMESTAMP WITH TIME ZONE,
        escalated_at TIMESTAMP WITH TIME ZONE,
        ended_at TIMESTAMP WITH TIME ZONE,
        answer TEXT,
        version INTEGER NOT NULL,
        CONSTRAINT pk_transfers PRIMARY KEY (id),
        CONSTRAINT fk_transfers_member_id_members FOREIGN KEY(member_id) REFERENCES members (id),
        CONSTRAINT fk_transfers_from_organisation_id_organisations
            FOREIGN KEY(from_organisation_id) REFERENCES organisations (id),
        CONSTRAINT fk_transfers_to_organisation_id_organisations FOREIGN KEY(to_organisation_id) REFERENCES organisations (id)
    )
    """,
    "CREATE INDEX ix_transfers_due ON transfers (due_at) WHERE state IN ('requested', 'released') AND escalated_at IS NULL",
    "CREATE INDEX ix_transfers_from_path ON transfers (from_path, id)",
    "CREATE INDEX ix_transfers_to_path ON transfers (to_path, id)",
    "CREATE UNIQUE INDEX uq_transfers_open ON transfers (member_id) WHERE state IN ('requested', 'released')",
    """
    CREATE TABLE daily_uses (
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        day DATE NOT NULL,
        uses INTEGER NOT NULL,
        CONSTRAINT pk_daily_uses PRIMARY KEY (issuer, subject, kind, day)
    )
    """,
)

_VISIBLE = "EXISTS (SELECT FROM members WHERE members.id = member_id)"
_POLICIES = (
    *policy_ddl("members", _SERVICE),
    # From either end. Permissive policies are alternatives; the first call already set up the rest.
    *policy_ddl("transfers", _SERVICE, "from_path"),
    policy_ddl("transfers", _SERVICE, "to_path")[2].replace("transfers_scope", "transfers_scope_to"),
    # Read by member id alone, so the policy asks whether the member is visible. It cannot ask that of a row that is written by
    # the same statement as its member; a row for a member out of sight harms nobody and is refused by the foreign key if made up.
    *(
        statement
        for table in ("affiliations", "member_history")
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY {table}_read ON {table} FOR SELECT TO {_APP} USING ({_VISIBLE})",
            f"CREATE POLICY {table}_insert ON {table} FOR INSERT TO {_APP} WITH CHECK (true)",
            f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)",
        )
    ),
    f"CREATE POLICY affiliations_update ON affiliations FOR UPDATE TO {_APP} USING ({_VISIBLE})",
)

# Look-ups beyond the caller's scope, each of one row and only for starting a transfer and for "members see themselves".
_FUNCTIONS = {
    "find_member_by_document(bytea)": """
    CREATE FUNCTION find_member_by_document(key bytea)
    RETURNS TABLE (id uuid, path text, organisation_id uuid, status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT m.id, m.path, m.organisation_id, m.status FROM members AS m WHERE m.document_blind = key $$
    """,
    "find_member_by_user(text, text)": """
    CREATE FUNCTION find_member_by_user(issuer text, subject text)
    RETURNS TABLE (id uuid, path text, organisation_id uuid, status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        SELECT m.id, m.path, m.organisation_id, m.status FROM members AS m
        WHERE m.user_issuer = issuer AND m.user_subject = subject
    $$
    """,
    "find_organisation_path(uuid)": """
    CREATE FUNCTION find_organisation_path(organisation uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT path FROM organisations WHERE id = organisation AND dissolved_on IS NULL $$
    """,
    # History is insert-only; erasure alone may blank the free texts in it, which might name the person.
    "erase_member_reasons(uuid)": """
    CREATE FUNCTION erase_member_reasons(erased uuid) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        UPDATE member_history SET reason = NULL
        WHERE member_id = erased AND EXISTS (SELECT FROM members WHERE id = erased AND erased_at IS NOT NULL)
    $$
    """,
}


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    for statement in _POLICIES:
        op.execute(statement)
    for table in ("members", "affiliations", "transfers"):
        grant(op, _SERVICE, table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    grant(op, _SERVICE, "member_history", app="SELECT, INSERT", worker="SELECT, INSERT")
    grant(op, _SERVICE, "daily_uses", app="SELECT, INSERT, UPDATE", worker="SELECT, DELETE")
    grant(op, _SERVICE, "SEQUENCE member_numbers", app="USAGE", worker="USAGE")
    for signature, statement in _FUNCTIONS.items():
        op.execute(statement)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {_APP}")


def downgrade() -> None:
    for signature in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
    for table in ("daily_uses", "transfers", "member_history", "affiliations", "members"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE member_numbers")
