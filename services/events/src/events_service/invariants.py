"""What must hold in the events service's database: `python -m events_service.invariants` (see shared.web.invariants)."""

import sys
from typing import Final

from shared.web.invariants import Invariant, run

#: The history has one entry for each version, from 1 on: as many as the newest says, which is the aggregate's own.
_HISTORY: Final = """
    SELECT owner.id FROM {owners} AS owner LEFT JOIN (
        SELECT {key} AS id, count(*) AS entries, max(version) AS newest FROM {history} GROUP BY 1
    ) AS history USING (id)
    WHERE history.entries IS DISTINCT FROM owner.version OR history.newest IS DISTINCT FROM owner.version
"""

#: The record of a draw, entry by entry: 16 bytes of id, 2 of pool, 1 of result, 4 of position (see events_service.lottery).
_DRAWN: Final = """
    SELECT encode(substring(e FROM 1 FOR 16), 'hex')::uuid AS id, get_byte(e, 16) * 256 + get_byte(e, 17) AS pool,
        get_byte(e, 18) = 1 AS confirmed, ('x' || encode(substring(e FROM 20), 'hex'))::bit(32)::int AS position, rank,
        sha256(key || substring(e FROM 1 FOR 16)) AS lot
    FROM (
        SELECT substring(b.entries FROM n * 23 + 1 FOR 23) AS e, b.number * 10000 + n + 1 AS rank,
            sha256(l.seed || l.entries_digest) AS key
        FROM lottery_blocks b, generate_series(0, length(b.entries) / 23 - 1) AS n WHERE b.activity_id = l.activity_id
        OFFSET 0
    ) AS packed
"""

INVARIANTS: Final[tuple[Invariant, ...]] = (
    Invariant(
        "I6",
        "activities",
        _HISTORY.format(owners="activities", key="activity_id", history="activity_history"),
    ),
    Invariant(
        "I6",
        "registrations",
        _HISTORY.format(owners="registrations", key="registration_id", history="registration_history"),
    ),
    Invariant(
        "I11",
        "seats taken",
        """
        SELECT s.activity_id FROM activity_seats s LEFT JOIN (
            SELECT activity_id, pool, count(*) AS confirmed FROM registrations WHERE status = 'confirmed' GROUP BY 1, 2
        ) AS held USING (activity_id, pool)
        WHERE s.taken <> coalesce(held.confirmed, 0) OR s.taken > s.seats
        """,
    ),
    Invariant(
        "I11",
        "seats of an activity",
        """
        SELECT a.id FROM activities a JOIN (
            SELECT activity_id, sum(seats) AS seats FROM activity_seats GROUP BY 1
        ) AS pools ON pools.activity_id = a.id WHERE pools.seats <> a.capacity
        """,
    ),
    Invariant(
        "I11",
        "waiting while a seat is free",
        """
        SELECT s.activity_id FROM activity_seats s JOIN activities a ON a.id = s.activity_id
        WHERE s.taken < s.seats AND a.stage IN ('open', 'closed') AND EXISTS (
            SELECT FROM registrations r WHERE r.activity_id = s.activity_id AND r.pool = s.pool AND r.status = 'waiting'
        )
        """,
    ),
    Invariant(
        "I11",
        "order of waiting",
        """
        SELECT min(id::text) FROM registrations WHERE status = 'waiting'
        GROUP BY activity_id, pool, position HAVING count(*) > 1
        """,
    ),
    Invariant(
        "I11",
        "lottery without a commitment",
        """
        SELECT a.id FROM activities a WHERE a.mode = 'lottery' AND a.stage IN ('published', 'open', 'closed', 'held', 'archived')
            AND NOT EXISTS (SELECT FROM lotteries l WHERE l.activity_id = a.id)
        """,
    ),
    Invariant(
        "I11",
        "result of a lottery",
        f"""
        SELECT l.activity_id FROM lotteries l WHERE l.drawn_at IS NOT NULL AND (
            sha256(l.seed) <> l.commitment
            OR l.entries <> (SELECT coalesce(sum(length(entries)) / 23, 0) FROM lottery_blocks WHERE activity_id = l.activity_id)
            OR EXISTS (
                SELECT FROM (
                    SELECT drawn.*, row_number() OVER (ORDER BY lot) AS true_rank,
                        row_number() OVER (PARTITION BY pool ORDER BY lot) AS place
                    FROM ({_DRAWN}) AS drawn
                ) AS d LEFT JOIN registrations r ON r.id = d.id
                WHERE d.rank <> d.true_rank OR d.position <> d.place OR d.confirmed <> (d.place <= l.seats[d.pool + 1])
                    OR r.pool IS DISTINCT FROM d.pool
                    OR (r.position <> d.place AND r.status IN ('confirmed', 'waiting'))
            )
        )
        """,  # noqa: S608 - made of the constant above
    ),
    Invariant(
        "I11",
        "lottery that is not settled",
        """
        SELECT r.activity_id FROM lotteries l JOIN registrations r ON r.activity_id = l.activity_id
        WHERE l.drawn_at < now() - interval '1 hour' AND r.status = 'entered'
            AND NOT EXISTS (
                SELECT FROM jobs j WHERE j.kind = 'lottery.settle' AND j.state IN ('waiting', 'running')
                    AND j.payload->>'activity_id' = r.activity_id::text)
        """,
    ),
    Invariant(
        "I11",
        "attended without a check-in",
        """
        SELECT r.id FROM registrations r
        WHERE r.attended AND NOT EXISTS (SELECT FROM check_ins c WHERE c.registration_id = r.id)
        """,
    ),
    Invariant(
        "I11",
        "check-in of nobody who attended",
        """
        SELECT c.registration_id FROM check_ins c LEFT JOIN registrations r ON r.id = c.registration_id
        WHERE NOT coalesce(r.attended AND r.activity_id = c.activity_id, false)
        """,
    ),
)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
