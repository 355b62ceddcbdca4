"""The outbox as operators see it. Rows are written by `WriteSession.emit`, sent by the relay."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from shared.database.session import ReadSession
from shared.messaging.relay_source import LEADER_LOCK

_STATUS = text("""
    WITH progress AS MATERIALIZED (SELECT * FROM relay_progress), unsent AS (
        SELECT created_at FROM outbox, progress
        WHERE NOT pg_visible_in_snapshot(xid, previous)
          AND (target IS NULL OR outbox.id > last_id OR NOT pg_visible_in_snapshot(xid, target))
    )
    SELECT count(*) AS backlog, min(created_at) AS oldest,
        extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS oldest_age_seconds,
        (SELECT count(*) FROM outbox) AS retained,
        EXISTS (
            SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
            WHERE datname = current_database() AND locktype = 'advisory' AND classid = 0 AND objid = :lock AND granted
        ) AS leader,
        (SELECT sent_until FROM progress) AS sent_until,
        pg_snapshot_xmin(pg_current_snapshot())::text AS oldest_open_xid,
        (pg_snapshot_xmax(pg_current_snapshot())::text::numeric
         - pg_snapshot_xmin(pg_current_snapshot())::text::numeric)::bigint AS xids_since_oldest_open
    FROM unsent
""")


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """`backlog` unsent rows, the age of the oldest in seconds; `retained` counts sent ones still in their slot too.

    `leader`: some relay holds the lock. `sent_until`: everything committed before is sent. `oldest_open_xid` holds rotation back
    while it stays; `xids_since_oldest_open` tells how far behind it is.
    """

    backlog: int
    oldest: datetime | None
    oldest_age_seconds: float | None
    retained: int
    leader: bool
    sent_until: datetime | None
    oldest_open_xid: str
    xids_since_oldest_open: int


async def outbox_status(session: ReadSession) -> OutboxStatus:
    """How the outbox of this service stands."""
    row = (await session.execute(_STATUS, {"lock": LEADER_LOCK})).mappings().one()
    return OutboxStatus(**row)
