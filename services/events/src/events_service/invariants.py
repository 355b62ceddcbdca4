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
)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
