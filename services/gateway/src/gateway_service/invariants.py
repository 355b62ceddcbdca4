"""What must hold in the gateway's database: `python -m gateway_service.invariants` (see shared.web.invariants)."""

import sys
from typing import Final

from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS
from shared.contracts.membership import MEMBERS
from shared.contracts.welfare import CASES
from shared.web.invariants import Invariant, run

#: Younger events are still all on their topics: compaction leaves no holes yet. Letters that were redriven are kept as long.
_COMPLETE: Final = "interval '30 days'"
#: The topics whose aggregates count, each in its table, with the column of their id.
_COUNTED: Final = (
    ("dashboard_members", "member_id", (MEMBERS,)),
    ("dashboard_weighed", "id", (CASES, ACTIVITIES, REGISTRATIONS)),
)

INVARIANTS: Final = (
    # An event took effect once: one fact, and the counting views counted the newest of each aggregate.
    Invariant("I2", "facts", "SELECT event_id FROM facts GROUP BY event_id HAVING count(*) > 1"),
    Invariant(
        "I2",
        "dashboard",
        " UNION ALL ".join(
            f"""
            SELECT fact.subject FROM (
                SELECT subject, max(sequence) AS sequence FROM facts
                WHERE topic IN ({", ".join(f"'{topic.name}'" for topic in topics)}) GROUP BY subject
            ) AS fact
            LEFT JOIN {table} AS counted
                ON counted.slot = (SELECT live FROM dashboard_state) AND counted.{column} = fact.subject
            WHERE counted.sequence IS DISTINCT FROM fact.sequence
            """  # noqa: S608 - constants
            for table, column, topics in _COUNTED
        ),
    ),
    # Nothing is missing between two versions, and none came after a later one, unless it was a letter that was redriven.
    Invariant(
        "I6",
        "facts",
        f"""
        SELECT subject FROM (
            SELECT subject, sequence, lag(sequence) OVER versions AS before, lag(time) OVER versions AS before_time
            FROM facts WINDOW versions AS (PARTITION BY subject ORDER BY sequence)
        ) AS step
        WHERE sequence > before + 1 AND before_time > now() - {_COMPLETE}
        UNION
        SELECT subject FROM (
            SELECT subject, event_id, sequence, recorded_at, lag(sequence) OVER arrivals AS before
            FROM facts WINDOW arrivals AS (PARTITION BY subject ORDER BY id)
        ) AS arrival
        WHERE sequence < before AND recorded_at > now() - {_COMPLETE}
          AND NOT EXISTS (SELECT FROM dead_letters letter WHERE letter.event_id = arrival.event_id AND state = 'redriven')
        """,  # noqa: S608 - a constant
    ),
)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
