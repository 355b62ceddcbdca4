"""What must hold in membership's database: `python -m membership_service.invariants` (see shared.web.invariants)."""

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

INVARIANTS: Final = (
    Invariant("I6", "members", _HISTORY.format(owners="members", key="member_id", history="member_history")),
    Invariant(
        "I6",
        "organisations",
        _HISTORY.format(owners="organisations", key="organisation_id", history="organisation_history"),
    ),
    Invariant(
        "I12",
        "affiliations",
        "SELECT member_id FROM affiliations WHERE to_on IS NULL GROUP BY member_id HAVING count(*) > 1",
    ),
    Invariant(
        "I12",
        "documents",
        """
        SELECT min(id::text) FROM members WHERE document_blind IS NOT NULL
        GROUP BY document_blind HAVING count(*) > 1
        """,
    ),
)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
