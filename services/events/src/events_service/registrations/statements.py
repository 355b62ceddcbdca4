"""The set-based SQL that gives and takes places. asyncpg parameters: $1 now, $2 today in China, $3 issuer and $4 subject of who
acts; then each statement's own.

Whoever runs one has locked the rows of seats (in order of activity and pool) and then the registrations (by id), so that the
sums over registrations and the seats stay the same thing. Each change writes version, history and event of what it changed.
"""
# ruff: noqa: S608 -- every statement is made of constants of this module

from typing import Final

TOPIC: Final = "unionhall.events.registrations.v1"
SOURCE: Final = "/unionhall/events"
_TYPE: Final = "unionhall.events.registration."

#: The public state of the registration `r`.
STATE: Final = """json_build_object(
        'registration_id', r.id, 'activity_id', r.activity_id, 'organisation_id', r.organisation_id, 'member_id', r.member_id,
        'status', r.status, 'registered_at', r.registered_at, 'attended', r.attended, 'satisfaction', r.satisfaction)"""


def _told(rows: str, happening: str, more: str = "") -> str:
    """Parts that write history and event of each row of the part `rows`; `more` are further pairs of the event's data."""
    return f"""remembered AS (
        INSERT INTO registration_history (registration_id, version, happening, happened_at, actor_issuer, actor_subject)
        SELECT r.id, r.version, '{happening}', $1::timestamptz, $3::text, $4::text FROM {rows} r
    ),
    published AS (
        INSERT INTO outbox (event_id, topic, key, type, sequence, source, time, payload)
        SELECT uuidv7(), '{TOPIC}', r.id, '{_TYPE}{happening}.v1', r.version, '{SOURCE}', $1::timestamptz,
            convert_to(json_build_object('on', $2::date, 'state', {STATE}{more})::text, 'UTF8')
        FROM {rows} r
    )"""


#: $5 ids, $6 reason. Whoever was there keeps the place. Gives how many places ended.
CANCEL: Final = f"""
    WITH gone AS (
        UPDATE registrations r SET status = 'cancelled', cancelled_at = $1::timestamptz, cancel_reason = $6::text,
            version = r.version + 1
        WHERE r.id = ANY ($5::uuid[]) AND r.status <> 'cancelled' AND NOT r.attended
        RETURNING r.*, old.status AS old_status
    ),
    freed AS (
        UPDATE activity_seats s SET taken = s.taken - g.freed
        FROM (
            SELECT activity_id, pool, count(*) AS freed FROM gone WHERE old_status = 'confirmed' GROUP BY activity_id, pool
        ) g
        WHERE s.activity_id = g.activity_id AND s.pool = g.pool
    ),
    {_told("gone", "cancelled")}
    SELECT count(*) FROM gone
"""

#: $5 activities and $6 pools: free seats go to the first who wait. Gives how many moved up.
PROMOTE: Final = f"""
    WITH room AS (
        SELECT s.activity_id, s.pool, s.seats - s.taken AS free
        FROM activity_seats s JOIN unnest($5::uuid[], $6::smallint[]) AS p (activity_id, pool) USING (activity_id, pool)
        WHERE s.seats > s.taken AND EXISTS (
            SELECT FROM activities a WHERE a.id = s.activity_id AND a.stage IN ('open', 'closed')
        )
    ),
    next AS (
        SELECT first.id FROM room, LATERAL (
            SELECT w.id FROM registrations w
            WHERE w.activity_id = room.activity_id AND w.pool = room.pool AND w.status = 'waiting'
            ORDER BY w.position LIMIT room.free
        ) first
    ),
    promoted AS (
        UPDATE registrations r SET status = 'confirmed', version = r.version + 1
        FROM next WHERE r.id = next.id RETURNING r.*
    ),
    given AS (
        UPDATE activity_seats s SET taken = s.taken + g.given
        FROM (SELECT activity_id, pool, count(*) AS given FROM promoted GROUP BY activity_id, pool) g
        WHERE s.activity_id = g.activity_id AND s.pool = g.pool
    ),
    {_told("promoted", "promoted")}
    SELECT count(*) FROM promoted
"""

#: $5 activity; $6 ids of drawn entries, $7 their positions in their pools, $8 whether the draw gave them a seat. Whoever gave up
#: since the draw is left out. Gives how many are settled by this.
SETTLE: Final = f"""
    WITH drawn AS (
        UPDATE registrations r SET version = r.version + 1, position = lot.position,
            status = CASE WHEN lot.has_seat AND lot.position <= s.seats THEN 'confirmed' ELSE 'waiting' END
        FROM unnest($6::uuid[], $7::bigint[], $8::boolean[]) AS lot (id, position, has_seat), activity_seats s
        WHERE r.id = lot.id AND r.activity_id = $5::uuid AND r.status = 'entered'
            AND s.activity_id = $5::uuid AND s.pool = r.pool
        RETURNING r.*
    ),
    given AS (
        UPDATE activity_seats s SET taken = s.taken + g.given
        FROM (SELECT pool, count(*) AS given FROM drawn WHERE status = 'confirmed' GROUP BY pool) g
        WHERE s.activity_id = $5::uuid AND s.pool = g.pool
    ),
    {_told("drawn", "drawn")}
    SELECT count(*) FROM drawn
"""

#: $5 ids. Gives those that are marked by this; who has no seat, or was marked before, is not.
ATTEND: Final = f"""
    WITH there AS (
        UPDATE registrations r SET attended = true, version = r.version + 1
        WHERE r.id = ANY ($5::uuid[]) AND r.status = 'confirmed' AND NOT r.attended
        RETURNING r.*
    ),
    {_told("there", "attended")}
    SELECT id FROM there
"""

#: $5 id, $6 score.
RATE: Final = f"""
    WITH rated AS (
        UPDATE registrations r SET satisfaction = $6::smallint, version = r.version + 1
        WHERE r.id = $5::uuid AND r.attended
        RETURNING r.*
    ),
    {_told("rated", "rated")}
    SELECT count(*) FROM rated
"""

#: $5 activities: their registrations follow them to another unit. Gives how many.
HAND_OVER: Final = f"""
    WITH moved AS (
        UPDATE registrations r SET organisation_id = a.organisation_id, path = a.path, version = r.version + 1
        FROM activities a WHERE a.id = ANY ($5::uuid[]) AND r.activity_id = a.id AND r.organisation_id <> a.organisation_id
        RETURNING r.*, old.organisation_id AS previous_organisation_id
    ),
    {_told("moved", "handed-over", ", 'previous_organisation_id', r.previous_organisation_id")}
    SELECT count(*) FROM moved
"""

#: $1 ids of registrations: their seats, locked in the one order; before the registrations themselves.
LOCK_SEATS_OF: Final = """
    SELECT s.activity_id, s.pool FROM activity_seats s
    WHERE (s.activity_id, s.pool) IN (SELECT r.activity_id, r.pool FROM registrations r WHERE r.id = ANY ($1::uuid[]))
    ORDER BY s.activity_id, s.pool FOR NO KEY UPDATE
"""
#: $1 activities.
LOCK_SEATS: Final = """
    SELECT s.activity_id, s.pool FROM activity_seats s WHERE s.activity_id = ANY ($1::uuid[])
    ORDER BY s.activity_id, s.pool FOR NO KEY UPDATE
"""
#: $1 ids.
LOCK: Final = "SELECT r.id FROM registrations r WHERE r.id = ANY ($1::uuid[]) ORDER BY r.id FOR NO KEY UPDATE"

#: $1 activity, $2 how many: places that end with it.
LIVE: Final = """
    SELECT r.id FROM registrations r WHERE r.activity_id = $1 AND r.status <> 'cancelled' AND NOT r.attended
    ORDER BY r.position, r.id LIMIT $2
"""

#: $1 members and $2 when each left, $3 now: places in activities to come of those who left, taken before that, or after it
#: though they do not belong to the union any more.
LEFT_BEHIND: Final = """
    SELECT DISTINCT r.id FROM unnest($1::uuid[], $2::timestamptz[]) AS gone (member_id, left_at)
    JOIN registrations r ON r.member_id = gone.member_id
    JOIN activities a ON a.id = r.activity_id
    LEFT JOIN directory_members m ON m.id = gone.member_id
    WHERE r.status <> 'cancelled' AND NOT r.attended AND a.starts_at > $3
        AND (r.registered_at <= gone.left_at OR coalesce(m.status, '') NOT IN ('active', 'retained', 'transferring'))
"""
