"""Lotteries, check-ins, feedback, calendars.

All but the calendars belong to one activity and are read by its id, so they have no path of their own: whoever may see the
activity may see them, and a move or a dissolution touches none of them.
"""

from alembic import op

from shared.database.migrations import grant

revision = "0003_attendance"
down_revision = "0002_activities"
branch_labels = None
depends_on = None

_SERVICE = "events"
_APP = "unionhall_events_app"
_WORKER = "unionhall_events_worker"
_SYSTEM = "unionhall_events_worker, unionhall_events_owner"

_TABLES = (
    """
    CREATE TABLE lotteries (
        activity_id UUID NOT NULL,
        commitment BYTEA NOT NULL,
        committed_at TIMESTAMP WITH TIME ZONE NOT NULL,
        seed_wrapped BYTEA,
        seed BYTEA,
        entries INTEGER,
        entries_digest BYTEA,
        seats INTEGER[],
        drawn_at TIMESTAMP WITH TIME ZONE,
        drawn_by_issuer TEXT,
        drawn_by_subject TEXT,
        CONSTRAINT pk_lotteries PRIMARY KEY (activity_id),
        CONSTRAINT fk_lotteries_activity_id_activities FOREIGN KEY(activity_id) REFERENCES activities (id),
        CONSTRAINT ck_lotteries_sealed_until_drawn CHECK (
            (seed IS NULL) = (drawn_at IS NULL) AND (seed IS NULL) = (seed_wrapped IS NOT NULL))
    )
    """,
    """
    CREATE TABLE lottery_blocks (
        activity_id UUID NOT NULL,
        number INTEGER NOT NULL,
        entries BYTEA NOT NULL,
        CONSTRAINT pk_lottery_blocks PRIMARY KEY (activity_id, number),
        CONSTRAINT fk_lottery_blocks_activity_id_lotteries FOREIGN KEY(activity_id) REFERENCES lotteries (activity_id)
    )
    """,
    # Random ids do not shrink: do not try.
    "ALTER TABLE lottery_blocks ALTER COLUMN entries SET STORAGE EXTERNAL",
    """
    CREATE TABLE check_ins (
        registration_id UUID NOT NULL,
        session_number SMALLINT NOT NULL,
        activity_id UUID NOT NULL,
        attended_at TIMESTAMP WITH TIME ZONE NOT NULL,
        way VARCHAR(32) NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        device_id TEXT,
        local_id TEXT,
        CONSTRAINT pk_check_ins PRIMARY KEY (registration_id, session_number),
        CONSTRAINT fk_check_ins_registration_id_registrations FOREIGN KEY(registration_id) REFERENCES registrations (id)
    )
    """,
    "CREATE INDEX ix_check_ins_activity_id ON check_ins (activity_id, session_number, registration_id)",
    """
    CREATE TABLE feedback (
        registration_id UUID NOT NULL,
        id UUID NOT NULL,
        activity_id UUID NOT NULL,
        comment_sealed BYTEA,
        data_key_wrapped BYTEA,
        key_version SMALLINT,
        given_at TIMESTAMP WITH TIME ZONE NOT NULL,
        changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_feedback PRIMARY KEY (registration_id),
        CONSTRAINT uq_feedback_id UNIQUE (id),
        CONSTRAINT fk_feedback_registration_id_registrations FOREIGN KEY(registration_id) REFERENCES registrations (id)
    )
    """,
    "CREATE INDEX ix_feedback_comments ON feedback (activity_id, id) WHERE comment_sealed IS NOT NULL",
    """
    CREATE TABLE calendar_feeds (
        member_id UUID NOT NULL,
        token_hash BYTEA NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_calendar_feeds PRIMARY KEY (member_id),
        CONSTRAINT uq_calendar_feeds_token_hash UNIQUE (token_hash)
    )
    """,
)

_VISIBLE = "EXISTS (SELECT FROM activities a WHERE a.id = activity_id)"
_SEEN_WITH_THEIR_ACTIVITY = ("lotteries", "lottery_blocks", "check_ins", "feedback")

# A calendar programme has a secret address and no token: what the address opens is chosen here, whatever the caller may see.
_CALENDAR = """
    CREATE FUNCTION calendar_of(secret_hash bytea, since timestamptz)
    RETURNS TABLE (registration_id uuid, confirmed boolean, title text, description text, place text, sessions jsonb,
        sequence integer, stamp timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
        SELECT r.id, r.status = 'confirmed' AND a.stage <> 'cancelled', a.title, a.description, a.place, a.sessions,
            a.version + r.version, greatest(r.registered_at, of_activity.happened_at, of_registration.happened_at)
        FROM calendar_feeds f JOIN registrations r ON r.member_id = f.member_id JOIN activities a ON a.id = r.activity_id
        LEFT JOIN activity_history of_activity ON of_activity.activity_id = a.id AND of_activity.version = a.version
        LEFT JOIN registration_history of_registration
            ON of_registration.registration_id = r.id AND of_registration.version = r.version
        WHERE f.token_hash = secret_hash AND r.status IN ('confirmed', 'cancelled') AND a.ends_at >= since
        ORDER BY a.starts_at, r.id LIMIT 500
    $$
"""
_SIGNATURE = "calendar_of(bytea, timestamptz)"


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    for table in _SEEN_WITH_THEIR_ACTIVITY:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY {table}_scope ON {table} TO {_APP} USING ({_VISIBLE}) WITH CHECK ({_VISIBLE})"
        )
        op.execute(f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)")
    grant(op, _SERVICE, "lotteries", app="SELECT, INSERT, UPDATE", worker="SELECT, UPDATE")
    # What was drawn is never written again, and a check-in only learns of an earlier moment.
    grant(op, _SERVICE, "lottery_blocks", app="SELECT, INSERT", worker="SELECT")
    grant(op, _SERVICE, "check_ins", app="SELECT, INSERT, UPDATE (attended_at)", worker="SELECT")
    grant(op, _SERVICE, "feedback", app="SELECT, INSERT, UPDATE", worker="SELECT, UPDATE")
    grant(op, _SERVICE, "calendar_feeds", app="SELECT, INSERT, UPDATE", worker="SELECT, DELETE")
    op.execute(_CALENDAR)
    op.execute(f"REVOKE ALL ON FUNCTION {_SIGNATURE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {_SIGNATURE} TO {_APP}, {_WORKER}")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {_SIGNATURE}")
    for table in ("calendar_feeds", "feedback", "check_ins", "lottery_blocks", "lotteries"):
        op.execute(f"DROP TABLE {table}")
