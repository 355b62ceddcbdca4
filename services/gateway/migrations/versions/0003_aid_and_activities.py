"""Figures of aid and activities, facts that concern several members, and an end to what is read of erased ones."""

from alembic import op

revision = "0003_aid_and_activities"
down_revision = "0002_views"
branch_labels = None
depends_on = None

_SLOTTED = ("dashboard_weighed", "dashboard_people")

# Whom a dossier's fact concerns besides its subject: the timeline of each of them is one indexed read, too.
_FACT_MEMBERS = """
    CREATE TABLE fact_members (
        fact_id bigint NOT NULL, member_id uuid NOT NULL, time timestamptz NOT NULL,
        CONSTRAINT pk_fact_members PRIMARY KEY (fact_id, member_id)
    );
    CREATE INDEX ix_fact_members_member_id_time ON fact_members (member_id, time, fact_id);
    GRANT SELECT ON fact_members TO unionhall_gateway_app;
    GRANT SELECT, INSERT ON fact_members TO unionhall_gateway_worker;
    ALTER TABLE fact_members ENABLE ROW LEVEL SECURITY;
    ALTER TABLE fact_members FORCE ROW LEVEL SECURITY;
    CREATE POLICY fact_members_unscoped ON fact_members TO unionhall_gateway_worker, unionhall_gateway_owner
        USING (true) WITH CHECK (true);
"""

# The figures of past days go on being counted from an erased member's facts, under an id that leads to nobody; but nobody
# reads them any more, whatever comes late. Only the erasure itself, a fact without data, is shown.
_ERASED = """
    ALTER TABLE member_places ADD COLUMN erased boolean NOT NULL DEFAULT false;
    UPDATE member_places SET erased = true FROM facts
    WHERE facts.member_id = member_places.member_id AND facts.data IS NULL;
    CREATE POLICY fact_members_scope ON fact_members FOR SELECT TO unionhall_gateway_app USING (EXISTS (
        SELECT FROM member_places p WHERE p.member_id = fact_members.member_id AND NOT p.erased));
    DROP POLICY facts_scope ON facts;
    CREATE POLICY facts_scope ON facts FOR SELECT TO unionhall_gateway_app USING (
        EXISTS (SELECT FROM member_places p
                WHERE p.member_id = facts.member_id AND (facts.data IS NULL OR NOT p.erased))
        OR EXISTS (SELECT FROM fact_members f WHERE f.fact_id = facts.id));
"""

# The application reads ids and versions of what is weighed, for `unionhall verify`, and never a weight.
# Standing totals stand together, so that all cells of one kind are one short range however many days lie behind them.
_DASHBOARD = """
    CREATE TABLE dashboard_weighed (
        slot smallint NOT NULL, id uuid NOT NULL, topic text NOT NULL, sequence bigint NOT NULL, day date NOT NULL,
        organisation_id uuid NOT NULL, cells jsonb NOT NULL,
        CONSTRAINT pk_dashboard_weighed PRIMARY KEY (slot, id)
    ) PARTITION BY LIST (slot);
    GRANT SELECT (slot, id, topic, sequence, organisation_id) ON dashboard_weighed TO unionhall_gateway_app;
    ALTER TABLE dashboard_weighed ENABLE ROW LEVEL SECURITY;
    ALTER TABLE dashboard_weighed FORCE ROW LEVEL SECURITY;
    CREATE POLICY dashboard_weighed_scope ON dashboard_weighed FOR SELECT TO unionhall_gateway_app USING (EXISTS (
        SELECT FROM directory_organisations o
        WHERE o.id = dashboard_weighed.organisation_id
          AND o.path ^@ ANY (string_to_array(nullif(current_setting('app.scope', true), ''), ','))));
    CREATE POLICY dashboard_weighed_unscoped ON dashboard_weighed TO unionhall_gateway_worker, unionhall_gateway_owner
        USING (true) WITH CHECK (true);
    CREATE TABLE dashboard_people (
        slot smallint NOT NULL, organisation_id uuid NOT NULL, member_id uuid NOT NULL, days jsonb NOT NULL,
        CONSTRAINT pk_dashboard_people PRIMARY KEY (slot, organisation_id, member_id)
    ) PARTITION BY LIST (slot);
    CREATE INDEX ix_dashboard_totals_standing ON dashboard_totals (slot, organisation_id, cell) WHERE day = 'infinity';
    CREATE TABLE programme_names (
        id uuid NOT NULL, name text NOT NULL, sequence bigint NOT NULL,
        CONSTRAINT pk_programme_names PRIMARY KEY (id)
    );
    GRANT SELECT ON programme_names TO unionhall_gateway_app;
    GRANT SELECT, INSERT, UPDATE ON programme_names TO unionhall_gateway_worker;
"""


def upgrade() -> None:
    for statements in (_FACT_MEMBERS, _ERASED, _DASHBOARD):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)
    for table in _SLOTTED:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO unionhall_gateway_worker")
        for slot in (0, 1):
            op.execute(f"CREATE TABLE {table}_{slot} PARTITION OF {table} FOR VALUES IN ({slot})")
            op.execute(f"GRANT TRUNCATE ON {table}_{slot} TO unionhall_gateway_worker")


def downgrade() -> None:
    op.execute("DROP POLICY facts_scope ON facts")
    op.execute("""
        CREATE POLICY facts_scope ON facts FOR SELECT TO unionhall_gateway_app USING (EXISTS (
            SELECT FROM member_places p WHERE p.member_id = facts.member_id))
    """)
    op.execute("DROP TABLE fact_members, programme_names, dashboard_weighed, dashboard_people")
    op.execute("DROP INDEX ix_dashboard_totals_standing")
    op.execute("ALTER TABLE member_places DROP COLUMN erased")
