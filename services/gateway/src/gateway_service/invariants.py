"""What must hold in the gateway's database: `python -m gateway_service.invariants` (see shared.web.invariants)."""

import sys
from typing import Final

from shared.web.invariants import Invariant, run

#: Younger events are still all on their topics: compaction leaves no holes yet.
_COMPLETE: Final = "interval '30 days'"

INVARIANTS: Final = (
    # An event took effect once: one fact, and the counting view counted the newest of each member.
    Invariant("I2", "facts", "SELECT event_id FROM facts GROUP BY event_id HAVING count(*) > 1"),
    Invariant(
        "I2",
        "dashboard",
        """
        SELECT fact.member_id FROM (
            SELECT member_id, max(sequence) AS sequence FROM facts WHERE member_id IS NOT NULL GROUP BY member_id
        ) AS fact
        LEFT JOIN dashboard_members AS counted
            ON counted.slot = (SELECT live FROM dashboard_state) AND counted.member_id = fact.member_id
        WHERE counted.sequence IS DISTINCT FROM fact.sequence
        """,
    ),
    Invariant(
        "I6",
        "facts",
        f"""
        SELECT subject FROM (
            SELECT subject, sequence, lag(sequence) OVER earlier AS before, lag(time) OVER earlier AS before_time
            FROM facts WINDOW earlier AS (PARTITION BY subject ORDER BY id)
        ) AS step
        WHERE sequence < before OR sequence > before + 1 AND before_time > now() - {_COMPLETE}
        """,  # noqa: S608 - a constant
    ),
)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
