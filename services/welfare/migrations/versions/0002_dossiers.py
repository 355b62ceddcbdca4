"""Rules as rows, household dossiers."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import in_scope, policy_ddl

revision = "0002_dossiers"
down_revision = "0001_shared"
branch_labels = None
depends_on = None

_SERVICE = "welfare"
_APP = "unionhall_welfare_app"
_SYSTEM = "unionhall_welfare_worker, unionhall_welfare_owner"

_RULES = (
    # For one value of a key in one place on one day; a trusted extension, so the owner may add it.
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    CREATE TABLE rules (
        id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        key VARCHAR(32) NOT NULL,
        value JSONB NOT NULL,
        valid_from DATE NOT NULL,
        valid_to DATE,
        source TEXT NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_rules PRIMARY KEY (id),
        CONSTRAINT ck_rules_ends_after_start CHECK (valid_to >= valid_from),
        CONSTRAINT ex_rules_validity EXCLUDE USING gist
            (organisation_id WITH =, key WITH =, daterange(valid_from, valid_to, '[]') WITH &&)
    )
    """,
    "CREATE INDEX ix_rules_path_id ON rules (path, id)",
    "CREATE INDEX ix_rules_path_key ON rules (path, key, valid_from)",
    "ALTER TABLE rules ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE rules FORCE ROW LEVEL SECURITY",
    # What a decision rests on is no secret of the unit above that set it: everybody reads, the place decides who writes.
    f"CREATE POLICY rules_read ON rules FOR SELECT TO {_APP} USING (true)",
    f"CREATE POLICY rules_insert ON rules FOR INSERT TO {_APP} WITH CHECK ({in_scope('path')})",
    # Without a check of its own, what it may see is what it may leave behind.
    f"CREATE POLICY rules_update ON rules FOR UPDATE TO {_APP} USING ({in_scope('path')})",
    f"CREATE POLICY rules_unscoped ON rules TO {_SYSTEM} USING (true) WITH CHECK (true)",
    # A value never changes, so a decision that names a rule can be recomputed.
    f"GRANT SELECT, INSERT, UPDATE (valid_to, version) ON rules TO {_APP}",
    "GRANT SELECT, UPDATE (path) ON rules TO unionhall_welfare_worker",
)

_DOSSIERS = (
    "CREATE SEQUENCE dossier_numbers",
    """
    CREATE TABLE dossiers (
        id UUID NOT NULL,
        number TEXT NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        status VARCHAR(32) NOT NULL,
        primary_cause VARCHAR(32) NOT NULL,
        secondary_cause VARCHAR(32),
        exclusions JSONB NOT NULL,
        hardship_class VARCHAR(32) NOT NULL,
        classified_on DATE,
        recheck_on DATE,
        awaiting_since TIMESTAMP WITH TIME ZONE,
        data_key_wrapped BYTEA NOT NULL,
        key_version SMALLINT NOT NULL,
        version INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_dossiers PRIMARY KEY (id),
        CONSTRAINT uq_dossiers_number UNIQUE (number)
    )
    """,
    "CREATE INDEX ix_dossiers_path_id ON dossiers (path, id)",
    "CREATE INDEX ix_dossiers_organisation_id ON dossiers (organisation_id)",
    "CREATE INDEX ix_dossiers_awaiting ON dossiers (path, awaiting_since, id) WHERE awaiting_since IS NOT NULL",
    "CREATE INDEX ix_dossiers_recheck ON dossiers (recheck_on, id) WHERE recheck_on IS NOT NULL",
    """
    CREATE TABLE dossier_persons (
        id UUID NOT NULL,
        dossier_id UUID NOT NULL,
        member_id UUID,
        relation VARCHAR(32) NOT NULL,
        health VARCHAR(32) NOT NULL,
        insurance VARCHAR(32) NOT NULL,
        occupation VARCHAR(32) NOT NULL,
        is_able BOOLEAN NOT NULL,
        birth_year SMALLINT,
        document_type VARCHAR(32) NOT NULL,
        name_sealed BYTEA,
        document_sealed BYTEA,
        document_blind BYTEA,
        last4_blind BYTEA,
        phone_sealed BYTEA,
        illness_sealed BYTEA,
        data_key_wrapped BYTEA,
        key_version SMALLINT NOT NULL,
        entered_on DATE NOT NULL,
        left_on DATE,
        is_standing BOOLEAN NOT NULL,
        CONSTRAINT pk_dossier_persons PRIMARY KEY (id),
        CONSTRAINT fk_dossier_persons_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    "CREATE INDEX ix_dossier_persons_dossier_id ON dossier_persons (dossier_id)",
    "CREATE INDEX ix_dossier_persons_last4 ON dossier_persons (last4_blind, dossier_id)",
    """
    CREATE UNIQUE INDEX uq_dossier_persons_document ON dossier_persons (document_blind)
        WHERE is_standing AND document_blind IS NOT NULL
    """,
    "CREATE UNIQUE INDEX uq_dossier_persons_member ON dossier_persons (member_id) WHERE is_standing AND member_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_dossier_persons_head ON dossier_persons (dossier_id) WHERE is_standing AND relation = 'head'",
    """
    CREATE TABLE dossier_lines (
        id UUID NOT NULL,
        person_id UUID NOT NULL,
        kind VARCHAR(32) NOT NULL,
        on_date DATE NOT NULL,
        amount_sealed BYTEA NOT NULL,
        CONSTRAINT pk_dossier_lines PRIMARY KEY (id),
        CONSTRAINT fk_dossier_lines_person_id_dossier_persons FOREIGN KEY(person_id) REFERENCES dossier_persons (id)
    )
    """,
    "CREATE INDEX ix_dossier_lines_person_id ON dossier_lines (person_id)",
    """
    CREATE TABLE dossier_aid (
        id UUID NOT NULL,
        dossier_id UUID NOT NULL,
        member_id UUID NOT NULL,
        amount_fen BIGINT NOT NULL,
        on_date DATE NOT NULL,
        CONSTRAINT pk_dossier_aid PRIMARY KEY (id),
        CONSTRAINT ck_dossier_aid_amount_positive CHECK (amount_fen > 0),
        CONSTRAINT fk_dossier_aid_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    "CREATE INDEX ix_dossier_aid_dossier_id ON dossier_aid (dossier_id)",
    """
    CREATE TABLE dossier_history (
        dossier_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happening VARCHAR(32) NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        on_date DATE NOT NULL,
        organisation_id UUID NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        reason TEXT,
        note_sealed BYTEA,
        CONSTRAINT pk_dossier_history PRIMARY KEY (dossier_id, version),
        CONSTRAINT fk_dossier_history_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    """
    CREATE TABLE dossier_gatherers (
        dossier_id UUID NOT NULL,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        CONSTRAINT pk_dossier_gatherers PRIMARY KEY (dossier_id, issuer, subject),
        CONSTRAINT fk_dossier_gatherers_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    """
    CREATE TABLE dossier_decisions (
        id UUID NOT NULL,
        dossier_id UUID NOT NULL,
        version INTEGER NOT NULL,
        decided_on DATE NOT NULL,
        decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
        decided_by_issuer TEXT NOT NULL,
        decided_by_subject TEXT NOT NULL,
        hardship_class VARCHAR(32) NOT NULL,
        inputs_digest TEXT NOT NULL,
        inputs_sealed BYTEA NOT NULL,
        rules JSONB NOT NULL,
        CONSTRAINT pk_dossier_decisions PRIMARY KEY (id),
        CONSTRAINT fk_dossier_decisions_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_dossier_decisions_dossier_id_version ON dossier_decisions (dossier_id, version)",
    """
    CREATE TABLE dossier_reviews (
        id UUID NOT NULL,
        dossier_id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        kind VARCHAR(32) NOT NULL,
        reason TEXT NOT NULL,
        member_id UUID,
        since TIMESTAMP WITH TIME ZONE NOT NULL,
        due_on DATE,
        done_at TIMESTAMP WITH TIME ZONE,
        done_by_issuer TEXT,
        done_by_subject TEXT,
        outcome TEXT,
        CONSTRAINT pk_dossier_reviews PRIMARY KEY (id),
        CONSTRAINT fk_dossier_reviews_dossier_id_dossiers FOREIGN KEY(dossier_id) REFERENCES dossiers (id)
    )
    """,
    "CREATE INDEX ix_dossier_reviews_dossier_id ON dossier_reviews (dossier_id, id)",
    "CREATE INDEX ix_dossier_reviews_organisation_id ON dossier_reviews (organisation_id)",
    "CREATE INDEX ix_dossier_reviews_open ON dossier_reviews (path, due_on, id) WHERE done_at IS NULL",
    """
    CREATE UNIQUE INDEX uq_dossier_reviews_open ON dossier_reviews (dossier_id, kind, reason, member_id)
        NULLS NOT DISTINCT WHERE done_at IS NULL
    """,
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

_IN_DOSSIER = "EXISTS (SELECT FROM dossiers WHERE dossiers.id = dossier_id)"
_IN_PERSON = "EXISTS (SELECT FROM dossier_persons WHERE dossier_persons.id = person_id)"
#: Rows that belong to a dossier are seen where it is seen. A row written for one out of sight harms nobody: it is told of
#: to nobody, and what is made up is refused by the foreign key.
_PARTS = {
    "dossier_persons": _IN_DOSSIER,
    "dossier_lines": _IN_PERSON,
    "dossier_aid": _IN_DOSSIER,
    "dossier_history": _IN_DOSSIER,
    "dossier_gatherers": _IN_DOSSIER,
    "dossier_decisions": _IN_DOSSIER,
}

_POLICIES = (
    *policy_ddl("dossiers", _SERVICE),
    *policy_ddl("dossier_reviews", _SERVICE),
    *(
        statement
        for table, visible in _PARTS.items()
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY {table}_read ON {table} FOR SELECT TO {_APP} USING ({visible})",
            f"CREATE POLICY {table}_insert ON {table} FOR INSERT TO {_APP} WITH CHECK (true)",
            f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)",
        )
    ),
    f"CREATE POLICY dossier_persons_update ON dossier_persons FOR UPDATE TO {_APP} USING ({_IN_DOSSIER})",
    f"CREATE POLICY dossier_lines_delete ON dossier_lines FOR DELETE TO {_APP} USING ({_IN_PERSON})",
)

#: Beyond the caller's scope, of one household alone: for its class, and for what a payment or a member's leaving does to it.
_FIND = """
    CREATE FUNCTION find_dossier_of_member(member uuid)
    RETURNS TABLE (id uuid, path text, organisation_id uuid, status text, hardship_class text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        SELECT d.id, d.path, d.organisation_id, d.status, d.hardship_class
        FROM dossier_persons AS p JOIN dossiers AS d ON d.id = p.dossier_id
        WHERE p.member_id = member AND p.is_standing
    $$
"""
#: The same of a person who is not known as a member, while index keys are rotated: the unique index guards one key alone.
_FIND_STANDING = """
    CREATE FUNCTION is_standing_person(keys bytea[]) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM dossier_persons WHERE document_blind = ANY (keys) AND is_standing) $$
"""
_FUNCTIONS = {"find_dossier_of_member(uuid)": _FIND, "is_standing_person(bytea[])": _FIND_STANDING}


def upgrade() -> None:
    for statement in (*_RULES, *_DOSSIERS, *_POLICIES):
        op.execute(statement)
    for table in ("dossiers", "dossier_reviews"):
        grant(op, _SERVICE, table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    grant(op, _SERVICE, "dossier_persons", app="SELECT, INSERT, UPDATE", worker="SELECT, UPDATE")
    grant(op, _SERVICE, "dossier_lines", app="SELECT, INSERT, DELETE", worker="SELECT")
    for table in ("dossier_aid", "dossier_history", "dossier_gatherers", "dossier_decisions"):
        grant(op, _SERVICE, table, app="SELECT, INSERT", worker="SELECT, INSERT")
    grant(op, _SERVICE, "daily_uses", app="SELECT, INSERT, UPDATE", worker="SELECT, DELETE")
    grant(op, _SERVICE, "SEQUENCE dossier_numbers", app="USAGE", worker="USAGE")
    for signature, statement in _FUNCTIONS.items():
        op.execute(statement)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {_APP}, unionhall_welfare_worker")


def downgrade() -> None:
    for signature in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
    tables = ("daily_uses", "dossier_reviews", "dossier_decisions", "dossier_gatherers", "dossier_history")
    for table in (*tables, "dossier_aid", "dossier_lines", "dossier_persons", "dossiers", "rules"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE dossier_numbers")
    op.execute("DROP EXTENSION btree_gist")
