"""The directory replica, the facts, and the dashboard in its two slots."""

from alembic import op

revision = "0002_views"
down_revision = "0001_shared"
branch_labels = None
depends_on = None

_SLOTTED = ("dashboard_members", "dashboard_tree", "dashboard_ancestry", "dashboard_own", "dashboard_totals")

_DIRECTORY = """
    CREATE TABLE directory_organisations (
        id uuid NOT NULL, number bigint NOT NULL, code text NOT NULL, name text NOT NULL, kind text NOT NULL,
        parent_id uuid, path text COLLATE "C", founded_on date NOT NULL, dissolved_on date, sequence bigint NOT NULL,
        CONSTRAINT pk_directory_organisations PRIMARY KEY (id)
    );
    CREATE INDEX ix_directory_organisations_parent_id ON directory_organisations (parent_id);
    CREATE INDEX ix_directory_organisations_path ON directory_organisations (path);
    CREATE TABLE directory_posts (
        id uuid NOT NULL, issuer text NOT NULL, subject text NOT NULL, role text NOT NULL, organisation_id uuid NOT NULL,
        starts_on date NOT NULL, ends_on date, sequence bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_directory_posts PRIMARY KEY (id)
    );
    CREATE INDEX ix_directory_posts_subject_issuer ON directory_posts (subject, issuer);
    GRANT SELECT ON directory_organisations, directory_posts TO unionhall_gateway_app;
    GRANT SELECT, INSERT, UPDATE ON directory_organisations, directory_posts TO unionhall_gateway_worker;
"""

# Who may read a member's facts follows from where the member is now.
_FACTS = """
    CREATE TABLE facts (
        id bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL, topic text NOT NULL, type text NOT NULL,
        source text NOT NULL, subject uuid NOT NULL, sequence bigint NOT NULL, time timestamptz NOT NULL, member_id uuid,
        data jsonb, recorded_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_facts PRIMARY KEY (id), CONSTRAINT uq_facts_subject_sequence UNIQUE (subject, sequence)
    );
    CREATE INDEX ix_facts_member_id_time ON facts (member_id, time, id);
    CREATE TABLE member_places (
        member_id uuid NOT NULL, organisation_id uuid NOT NULL, sequence bigint NOT NULL,
        CONSTRAINT pk_member_places PRIMARY KEY (member_id)
    );
    GRANT SELECT ON facts, member_places TO unionhall_gateway_app;
    GRANT SELECT, INSERT ON facts TO unionhall_gateway_worker;
    GRANT SELECT, INSERT, UPDATE ON member_places TO unionhall_gateway_worker;

    ALTER TABLE member_places ENABLE ROW LEVEL SECURITY;
    ALTER TABLE member_places FORCE ROW LEVEL SECURITY;
    CREATE POLICY member_places_scope ON member_places FOR SELECT TO unionhall_gateway_app USING (EXISTS (
        SELECT FROM directory_organisations o
        WHERE o.id = member_places.organisation_id
          AND o.path ^@ ANY (string_to_array(nullif(current_setting('app.scope', true), ''), ','))));
    CREATE POLICY member_places_unscoped ON member_places TO unionhall_gateway_worker, unionhall_gateway_owner
        USING (true) WITH CHECK (true);
    ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
    ALTER TABLE facts FORCE ROW LEVEL SECURITY;
    CREATE POLICY facts_scope ON facts FOR SELECT TO unionhall_gateway_app USING (EXISTS (
        SELECT FROM member_places p WHERE p.member_id = facts.member_id));
    CREATE POLICY facts_unscoped ON facts TO unionhall_gateway_worker, unionhall_gateway_owner
        USING (true) WITH CHECK (true);
"""

_DASHBOARD = """
    CREATE TABLE dashboard_state (
        id boolean NOT NULL DEFAULT true, live smallint NOT NULL DEFAULT 0, building smallint,
        built_up_to bigint NOT NULL DEFAULT 0, switched_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_dashboard_state PRIMARY KEY (id), CONSTRAINT ck_dashboard_state_only_row CHECK (id)
    );
    INSERT INTO dashboard_state DEFAULT VALUES;
    CREATE TABLE dashboard_members (
        slot smallint NOT NULL, member_id uuid NOT NULL, sequence bigint NOT NULL, day date NOT NULL,
        organisation_id uuid NOT NULL, status text, gender text NOT NULL, birth_year int, employment_form text NOT NULL,
        CONSTRAINT pk_dashboard_members PRIMARY KEY (slot, member_id)
    ) PARTITION BY LIST (slot);
    CREATE TABLE dashboard_tree (
        slot smallint NOT NULL, organisation_id uuid NOT NULL, during daterange NOT NULL, parent_id uuid,
        CONSTRAINT pk_dashboard_tree PRIMARY KEY (slot, organisation_id, during)
    ) PARTITION BY LIST (slot);
    CREATE TABLE dashboard_ancestry (
        slot smallint NOT NULL, organisation_id uuid NOT NULL, ancestor_id uuid NOT NULL, during daterange NOT NULL,
        CONSTRAINT pk_dashboard_ancestry PRIMARY KEY (slot, organisation_id, ancestor_id, during)
    ) PARTITION BY LIST (slot);
    CREATE INDEX ix_dashboard_ancestry_ancestor_id ON dashboard_ancestry (slot, ancestor_id);
    CREATE TABLE dashboard_own (
        slot smallint NOT NULL, organisation_id uuid NOT NULL, cell text COLLATE "C" NOT NULL, day date NOT NULL,
        change bigint NOT NULL,
        CONSTRAINT pk_dashboard_own PRIMARY KEY (slot, organisation_id, cell, day)
    ) PARTITION BY LIST (slot);
    CREATE TABLE dashboard_totals (
        slot smallint NOT NULL, organisation_id uuid NOT NULL, cell text COLLATE "C" NOT NULL, day date NOT NULL,
        count bigint NOT NULL,
        CONSTRAINT pk_dashboard_totals PRIMARY KEY (slot, organisation_id, cell, day)
    ) PARTITION BY LIST (slot);
    ALTER TABLE dashboard_totals ENABLE ROW LEVEL SECURITY;
    ALTER TABLE dashboard_totals FORCE ROW LEVEL SECURITY;
    CREATE POLICY dashboard_totals_scope ON dashboard_totals FOR SELECT TO unionhall_gateway_app USING (EXISTS (
        SELECT FROM directory_organisations o
        WHERE o.id = dashboard_totals.organisation_id
          AND o.path ^@ ANY (string_to_array(nullif(current_setting('app.scope', true), ''), ','))));
    CREATE POLICY dashboard_totals_unscoped ON dashboard_totals TO unionhall_gateway_worker, unionhall_gateway_owner
        USING (true) WITH CHECK (true);
    GRANT SELECT ON dashboard_state, dashboard_totals TO unionhall_gateway_app;
    GRANT SELECT, UPDATE ON dashboard_state TO unionhall_gateway_worker;
"""


def upgrade() -> None:
    for statements in (_DIRECTORY, _FACTS, _DASHBOARD):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)
    for table in _SLOTTED:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO unionhall_gateway_worker")
        for slot in (0, 1):
            op.execute(f"CREATE TABLE {table}_{slot} PARTITION OF {table} FOR VALUES IN ({slot})")
            op.execute(f"GRANT TRUNCATE ON {table}_{slot} TO unionhall_gateway_worker")


def downgrade() -> None:
    for table in (
        *_SLOTTED,
        "dashboard_state",
        "facts",
        "member_places",
        "directory_organisations",
        "directory_posts",
    ):
        op.execute(f"DROP TABLE {table}")
