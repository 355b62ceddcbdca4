"""Activities, their seats, registrations."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0002_activities"
down_revision = "0001_shared"
branch_labels = None
depends_on = None

_SERVICE = "events"
_APP = "unionhall_events_app"
_WORKER = "unionhall_events_worker"
_SYSTEM = "unionhall_events_worker, unionhall_events_owner"

_TABLES = (
    """
    CREATE TABLE activities (
        id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        title TEXT NOT NULL,
        kind VARCHAR(32) NOT NULL,
        description TEXT NOT NULL,
        place TEXT NOT NULL,
        sessions JSONB NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        audience_organisation_id UUID NOT NULL,
        audience_min_age SMALLINT,
        audience_max_age SMALLINT,
        audience_genders TEXT[] NOT NULL,
        audience_forms TEXT[] NOT NULL,
        audience_roles TEXT[] NOT NULL,
        mode VARCHAR(32) NOT NULL,
        capacity INTEGER NOT NULL,
        quotas JSONB NOT NULL,
        registration_opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
        registration_closes_at TIMESTAMP WITH TIME ZONE NOT NULL,
        stage VARCHAR(32) NOT NULL,
        stage_since TIMESTAMP WITH TIME ZONE NOT NULL,
        returned_reason TEXT,
        cancelled_reason TEXT,
        changed_at TIMESTAMP WITH TIME ZONE,
        version INTEGER NOT NULL,
        CONSTRAINT pk_activities PRIMARY KEY (id),
        CONSTRAINT ck_activities_has_seats CHECK (capacity > 0)
    )
    """,
    "CREATE INDEX ix_activities_path_id ON activities (path, id)",
    "CREATE INDEX ix_activities_path_stage_id ON activities (path, stage, id)",
    "CREATE INDEX ix_activities_organisation_id ON activities (organisation_id)",
    "CREATE INDEX ix_activities_to_open ON activities (registration_opens_at) WHERE stage = 'published'",
    "CREATE INDEX ix_activities_to_close ON activities (registration_closes_at) WHERE stage = 'open'",
    "CREATE INDEX ix_activities_to_hold ON activities (ends_at) WHERE stage = 'closed'",
    """
    CREATE TABLE activity_history (
        activity_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happening VARCHAR(32) NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        stage VARCHAR(32) NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        reason TEXT,
        changes TEXT[] NOT NULL,
        CONSTRAINT pk_activity_history PRIMARY KEY (activity_id, version),
        CONSTRAINT fk_activity_history_activity_id_activities FOREIGN KEY(activity_id) REFERENCES activities (id)
    )
    """,
    """
    CREATE TABLE activity_seats (
        activity_id UUID NOT NULL,
        pool SMALLINT NOT NULL,
        unit_id UUID,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        seats INTEGER NOT NULL,
        taken INTEGER NOT NULL,
        last_position BIGINT NOT NULL,
        is_open BOOLEAN NOT NULL,
        closes_at TIMESTAMP WITH TIME ZONE NOT NULL,
        by_lottery BOOLEAN NOT NULL,
        CONSTRAINT pk_activity_seats PRIMARY KEY (activity_id, pool),
        CONSTRAINT ck_activity_seats_never_oversold CHECK (taken >= 0 AND taken <= seats),
        CONSTRAINT fk_activity_seats_activity_id_activities FOREIGN KEY(activity_id) REFERENCES activities (id)
    ) WITH (fillfactor = 50)
    """,
    "CREATE INDEX ix_activity_seats_organisation_id ON activity_seats (organisation_id)",
    """
    CREATE TABLE unit_successors (
        organisation_id UUID NOT NULL,
        successor_id UUID NOT NULL,
        CONSTRAINT pk_unit_successors PRIMARY KEY (organisation_id)
    )
    """,
    """
    CREATE TABLE registrations (
        id UUID NOT NULL,
        activity_id UUID NOT NULL,
        member_id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        pool SMALLINT NOT NULL,
        position BIGINT NOT NULL,
        status VARCHAR(32) NOT NULL,
        registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
        cancelled_at TIMESTAMP WITH TIME ZONE,
        cancel_reason TEXT,
        attended BOOLEAN DEFAULT false NOT NULL,
        satisfaction SMALLINT,
        version INTEGER NOT NULL,
        CONSTRAINT pk_registrations PRIMARY KEY (id),
        CONSTRAINT ck_registrations_satisfaction_scale CHECK (satisfaction BETWEEN 1 AND 5),
        CONSTRAINT ck_registrations_attended_confirmed CHECK (NOT attended OR status = 'confirmed')
    )
    """,
    "CREATE UNIQUE INDEX uq_registrations_live ON registrations (activity_id, member_id) WHERE status <> 'cancelled'",
    "CREATE INDEX ix_registrations_activity_id ON registrations (activity_id, position, id)",
    "CREATE INDEX ix_registrations_waiting ON registrations (activity_id, pool, position) WHERE status = 'waiting'",
    "CREATE INDEX ix_registrations_member_id ON registrations (member_id, id)",
    "CREATE INDEX ix_registrations_organisation_id ON registrations (organisation_id)",
    """
    CREATE TABLE registration_history (
        registration_id UUID NOT NULL,
        version INTEGER NOT NULL,
        happening VARCHAR(32) NOT NULL,
        happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        CONSTRAINT pk_registration_history PRIMARY KEY (registration_id, version)
    )
    """,
)

# A member without a post sees what is announced by the units above, and the own registrations; `events_service.own` sets both.
_ANNOUNCED = "stage IN ('published', 'open', 'closed', 'held') AND nullif(current_setting('app.member_path', true), '') ^@ path"
_OWN = "member_id = nullif(current_setting('app.member_id', true), '')::uuid"


def _history_policies(table: str, visible: str) -> tuple[str, ...]:
    """Read by the owner's id alone, so the policy asks whether that is visible; as with membership's histories."""
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_read ON {table} FOR SELECT TO {_APP} USING ({visible})",
        f"CREATE POLICY {table}_insert ON {table} FOR INSERT TO {_APP} WITH CHECK (true)",
        f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)",
    )


_POLICIES = (
    *policy_ddl("activities", _SERVICE),
    *policy_ddl("activity_seats", _SERVICE),
    *policy_ddl("registrations", _SERVICE),
    f"CREATE POLICY activities_announced ON activities FOR SELECT TO {_APP} USING ({_ANNOUNCED})",
    f"CREATE POLICY registrations_own ON registrations FOR SELECT TO {_APP} USING ({_OWN})",
    *_history_policies("activity_history", "EXISTS (SELECT FROM activities a WHERE a.id = activity_id)"),
    *_history_policies(
        "registration_history", "EXISTS (SELECT FROM registrations r WHERE r.id = registration_id)"
    ),
)

_STAY_MEMBER = """
    CREATE FUNCTION stay_member(member uuid)
    RETURNS TABLE (id uuid, path text, status text, gender text, birth_year smallint, employment_form text,
        user_issuer text, user_subject text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1
    AS $$
        SELECT m.id, o.path, m.status, m.gender, m.birth_year, m.employment_form, m.user_issuer, m.user_subject
        FROM directory_members AS m JOIN directory_organisations AS o ON o.id = m.organisation_id
        WHERE o.path IS NOT NULL AND m.id = member FOR SHARE OF m
    $$
"""
# The one update that registrations meet in, apart from the long statement around it: whoever has waited for the row looks at it
# anew, and PostgreSQL sets up the whole statement again for that, under the lock. With the caller's rights, so that row-level
# security holds.
_TAKE_SEAT = """
    CREATE FUNCTION take_seat(activity uuid, wanted integer, at timestamptz)
    RETURNS TABLE (organisation_id uuid, path text, "position" bigint, status text)
    LANGUAGE plpgsql VOLATILE ROWS 1
    AS $$ #variable_conflict use_column
    BEGIN
        RETURN QUERY UPDATE public.activity_seats AS t
        SET taken = t.taken + (NOT t.by_lottery AND t.taken < t.seats)::int, last_position = t.last_position + 1
        WHERE t.activity_id = activity AND t.pool = wanted AND t.is_open AND t.closes_at > at
        RETURNING t.organisation_id, t.path, t.last_position,
            CASE WHEN t.by_lottery THEN 'entered' WHEN new.taken > old.taken THEN 'confirmed' ELSE 'waiting' END;
    END $$
"""
_FUNCTIONS = {
    "take_seat(uuid, integer, timestamptz)": _TAKE_SEAT,
    # Where to widen the scope to, for a member who has no post there: the use case asks for the right to.
    "find_activity_path(uuid)": """
    CREATE FUNCTION find_activity_path(activity uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT path FROM activities WHERE id = activity $$
    """,
    # The replica may not be written by the application, so the owner locks for it: whoever leaves the union while registering
    # either is refused here, or the registration is there when the leaving is heard of.
    "stay_member(uuid)": _STAY_MEMBER,
}


def upgrade() -> None:
    for statement in (*_TABLES, *_POLICIES):
        op.execute(statement)
    for table in ("activities", "activity_seats", "registrations"):
        grant(op, _SERVICE, table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    for table in ("activity_history", "registration_history"):
        grant(op, _SERVICE, table, app="SELECT, INSERT", worker="SELECT, INSERT")
    grant(op, _SERVICE, "unit_successors", app="SELECT", worker="SELECT, INSERT, UPDATE")
    for signature, statement in _FUNCTIONS.items():
        op.execute(statement)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {_APP}, {_WORKER}")


def downgrade() -> None:
    for signature in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
    for table in (
        "registration_history",
        "registrations",
        "unit_successors",
        "activity_seats",
        "activity_history",
        "activities",
    ):
        op.execute(f"DROP TABLE {table}")
