"""What must hold in welfare's database: `python -m welfare_service.invariants` (see shared.web.invariants)."""

import sys
from typing import Final

from shared.web.invariants import Invariant, run

#: Of every budget: what its lines add up to, at every position, is what is written there, and at the last what the budget says.
_JOURNAL: Final = """
    WITH running AS (
        SELECT line.*, sum(line.amount_fen) FILTER (WHERE line.account = 'available') OVER upto AS available,
            sum(line.amount_fen) FILTER (WHERE line.account = 'reserved') OVER upto AS reserved,
            sum(line.amount_fen) FILTER (WHERE line.account = 'paid') OVER upto AS paid
        FROM journal_lines line
        WINDOW upto AS (PARTITION BY line.budget_id ORDER BY line.version)
    ), summed AS (
        SELECT budget_id, count(DISTINCT version) AS entries, max(version) AS newest,
            coalesce(sum(amount_fen) FILTER (WHERE account IN ('available', 'reserved', 'paid')), 0) AS allocated,
            coalesce(sum(amount_fen) FILTER (WHERE account = 'reserved'), 0) AS reserved,
            coalesce(sum(amount_fen) FILTER (WHERE account = 'paid'), 0) AS paid,
            bool_and((available_fen, reserved_fen, paid_fen)
                = (coalesce(available, 0), coalesce(reserved, 0), coalesce(paid, 0))) AS agrees
        FROM running GROUP BY budget_id
    )
    SELECT budget.id FROM budgets budget LEFT JOIN summed ON summed.budget_id = budget.id
    WHERE (coalesce(summed.allocated, 0), coalesce(summed.reserved, 0), coalesce(summed.paid, 0),
            coalesce(summed.entries, 0), coalesce(summed.newest, 0))
        <> (budget.allocated_fen, budget.reserved_fen, budget.paid_fen, budget.version, budget.version)
        OR NOT coalesce(summed.agrees, true)
"""

FUNDS: Final = (
    Invariant(
        "I3",
        "journal_entries",
        """
        SELECT entry.id FROM journal_entries entry LEFT JOIN journal_lines line ON line.entry_id = entry.id
        GROUP BY entry.id HAVING count(line.entry_id) < 2 OR sum(line.amount_fen) <> 0
        """,
    ),
    Invariant("I3", "accounts", "SELECT sum(amount_fen) FROM journal_lines HAVING sum(amount_fen) <> 0"),
    Invariant("I3", "budgets", _JOURNAL),
    Invariant(
        "I4",
        "budgets",
        "SELECT id FROM budgets WHERE reserved_fen + paid_fen > allocated_fen OR least(reserved_fen, paid_fen) < 0",
    ),
    Invariant(
        "I4",
        "journal_lines",
        "SELECT DISTINCT budget_id FROM journal_lines WHERE least(available_fen, reserved_fen, paid_fen) < 0",
    ),
)

#: The history has one entry for each version, from 1 on: as many as the newest says, which is the aggregate's own.
_HISTORY: Final = """
    SELECT owner.id FROM {owners} AS owner LEFT JOIN (
        SELECT {key} AS id, count(*) AS entries, max(version) AS newest FROM {history} GROUP BY 1
    ) AS history USING (id)
    WHERE history.entries IS DISTINCT FROM owner.version OR history.newest IS DISTINCT FROM owner.version
"""

CASES: Final = (
    Invariant("I6", "cases", _HISTORY.format(owners="cases", key="case_id", history="case_history")),
    Invariant(
        "I6",
        "programmes",
        _HISTORY.format(owners="programmes", key="programme_id", history="programme_history"),
    ),
)

#: Nobody stands in two dossiers, by document or as a member; a closed dossier holds nobody, and each other one has one head.
DOSSIERS: Final = (
    Invariant(
        "I6", "dossiers", _HISTORY.format(owners="dossiers", key="dossier_id", history="dossier_history")
    ),
    *(
        Invariant(
            "I12",
            f"dossier_persons.{column}",
            f"""
            SELECT min(id::text) FROM dossier_persons WHERE is_standing AND {column} IS NOT NULL
            GROUP BY {column} HAVING count(*) > 1
            """,  # noqa: S608 - of the line below
        )
        for column in ("document_blind", "member_id")
    ),
    Invariant(
        "I12",
        "dossiers.standing",
        """
        SELECT dossier.id FROM dossiers dossier LEFT JOIN dossier_persons person
            ON person.dossier_id = dossier.id AND person.is_standing
        GROUP BY dossier.id
        HAVING count(person.id) FILTER (WHERE person.relation = 'head') <> (dossier.status <> 'closed')::int
            OR (dossier.status = 'closed' AND count(person.id) > 0)
        """,
    ),
)

_PAID: Final = """
    SELECT entry.case_id, line.amount_fen FROM journal_entries entry
    JOIN journal_lines line ON line.entry_id = entry.id AND line.account = 'paid' WHERE entry.kind = 'payment'
"""

#: One approved payment has one instruction under way, and at most one settlement in the journal, of the same amount.
PAYOUTS: Final = (
    Invariant(
        "I5",
        "payout_lines",
        f"""
        SELECT coalesce(line.case_id, settled.case_id) FROM (
            SELECT case_id, amount_fen FROM payout_lines WHERE state = 'paid'
        ) AS line FULL JOIN ({_PAID}) AS settled USING (case_id)
        WHERE line.amount_fen IS DISTINCT FROM settled.amount_fen
        """,  # noqa: S608 - constants
    ),
    Invariant(
        "I5",
        "cases",
        f"""
        SELECT coalesce(owner.id, settled.case_id) FROM (
            SELECT id, paid_fen FROM cases WHERE stage IN ('paid', 'acknowledged')
        ) AS owner FULL JOIN ({_PAID}) AS settled ON settled.case_id = owner.id
        WHERE owner.paid_fen IS DISTINCT FROM settled.amount_fen
        """,  # noqa: S608 - constants
    ),
    Invariant(
        "I5",
        "instructions",
        """
        SELECT owner.id FROM cases owner LEFT JOIN payout_lines line ON line.case_id = owner.id AND line.state <> 'failed'
        GROUP BY owner.id, owner.stage
        HAVING count(line.id) <> (owner.stage IN ('disbursing', 'paid', 'acknowledged'))::int
        """,
    ),
    Invariant(
        "I5",
        "reservations",
        """
        SELECT owner.id FROM cases owner LEFT JOIN (
            SELECT case_id, count(*) FILTER (WHERE kind = 'reservation') AS begun,
                count(*) FILTER (WHERE kind IN ('payment', 'release')) AS ended
            FROM journal_entries WHERE case_id IS NOT NULL GROUP BY case_id
        ) AS journal ON journal.case_id = owner.id
        WHERE (coalesce(journal.begun, 0), coalesce(journal.ended, 0)) <> CASE
            WHEN owner.stage IN ('approved', 'disbursing') THEN (1::bigint, 0::bigint)
            WHEN owner.stage IN ('paid', 'acknowledged', 'cancelled') THEN (1::bigint, 1::bigint)
            ELSE (0::bigint, 0::bigint) END
        """,
    ),
)

INVARIANTS: Final[tuple[Invariant, ...]] = (*FUNDS, *CASES, *DOSSIERS, *PAYOUTS)

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
