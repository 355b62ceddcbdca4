"""Approving a case, where many want one budget at once: read by one statement, judged, written by one statement.

Who approves while others of the same budget are under way is written with all who wait (`shared.web.gathering`).
The reading takes no lock. The writing locks the case, takes the member's turn, and goes on only if the case is the one that was
judged and nothing else was granted to the member since; the budget is locked last. Whatever is not as it was, or is refused, is
left to the ordinary transaction (`use_cases.approve`): that one judges anew under locks and says why.
"""

# ruff: noqa: S608 -- the statement is made of constants

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from shared.contracts.welfare import CaseStage
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import OUTBOX_COLUMNS, as_columns, outbox_row
from shared.directory.members import require_fresh
from shared.kernel.errors import DomainError
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.observability.logs import request_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from shared.web.gathering import Gathering
from shared.web.session import HotStatement
from welfare_service.cases import deciding, events, grounds
from welfare_service.cases.domain import Act, AidCase, HistoryEntry
from welfare_service.cases.grounds import Found
from welfare_service.cases.use_cases import require_level
from welfare_service.funds.domain import Entry, reservation
from welfare_service.funds.repository import posting, values_of
from welfare_service.membership_client import MemberDetail
from welfare_service.programmes.repository import aid_before_sql, year_of

_FIRST: Final = 2
#: Arrays, a value for each who approves; `nth` is the place in them.
_EACH: Final = {
    "case": "uuid", "version": "int", "path": "text",
    "programme": "uuid", "kind": "text", "first": "date", "last": "date",
    "by_this": "date", "by_any": "date", "of_programme": "bigint", "of_kind": "bigint",
    "at": "timestamptz", "on": "date", "due_on": "date", "levels": "smallint", "granted": "bigint", "budget": "uuid",
    "issuer": "text", "subject": "text", "request": "text", "decision": "jsonb",
    "event_id": "uuid", "topic": "text", "key": "uuid", "type": "text", "sequence": "bigint", "source": "text",
    "time": "timestamptz", "payload": "bytea", "traceparent": "text",
}  # fmt: skip
_P: Final = {name: f"(${_FIRST + place}::{kind}[])[nth]" for place, (name, kind) in enumerate(_EACH.items())}
_AID: Final = aid_before_sql(
    "aid_in_turn(once.member_id)", _P["programme"], _P["kind"], _P["first"], _P["last"]
)
# Cases are looked for by what comes out of `s`: the scope is set before row-level security asks for it. Locks are taken in one
# order by all: cases by id, members' turns by id, the budget last. Of one member only the first goes: the other's sum would not
# know of it. If the budget has not enough for all, the division by zero undoes all of it.
_APPROVE: Final = HotStatement(f""", known AS MATERIALIZED (
    SELECT n::int AS nth
    FROM unnest((SELECT ${_FIRST}::uuid[] FROM s)) WITH ORDINALITY AS asked (id, n) ORDER BY asked.id
), c AS MATERIALIZED (
    SELECT nth, found.* FROM known, LATERAL (
        SELECT id, member_id FROM cases WHERE id = {_P["case"]} AND version = {_P["version"]} AND path = {
    _P["path"]
} FOR UPDATE
    ) AS found
), once AS MATERIALIZED (
    SELECT DISTINCT ON (member_id) nth, id, member_id FROM c ORDER BY member_id, nth
), fit AS MATERIALIZED (
    SELECT nth, once.id FROM once, LATERAL ({_AID}) AS aid
    WHERE (aid.by_this, aid.by_any, aid.of_programme, aid.of_kind)
        IS NOT DISTINCT FROM ({_P["by_this"]}, {_P["by_any"]}, {_P["of_programme"]}, {_P["of_kind"]})
), u AS (
    UPDATE cases SET stage = 'approved', stage_since = {_P["at"]}, due_on = {_P["due_on"]}, levels_up = {
    _P["levels"]
},
        approved_fen = {_P["granted"]}, approved_on = {_P["on"]}, budget_id = {_P["budget"]},
        approved_by_issuer = {_P["issuer"]}, approved_by_subject = {_P["subject"]}, version = version + 1,
        updated_at = {_P["at"]}
    FROM fit WHERE cases.id = fit.id
    RETURNING nth, cases.id, organisation_id, path, version
), h AS (
    INSERT INTO case_history
        (case_id, version, happening, stage, happened_at, on_date, organisation_id, actor_issuer, actor_subject, decision)
    SELECT id, version, 'approved', 'approved', {_P["at"]}, {_P["on"]}, organisation_id, {_P["issuer"]}, {
    _P["subject"]
},
        {_P["decision"]} FROM u
    RETURNING 1
), a AS (
    INSERT INTO audit_entries (actor_issuer, actor_subject, request_id, action, subject_kind, subject_id, path)
    SELECT {_P["issuer"]}, {_P["subject"]}, {_P["request"]}, 'case.approved', 'case', id, path FROM u
    RETURNING 1
), e AS (
    INSERT INTO outbox ({", ".join(OUTBOX_COLUMNS)}) SELECT {
    ", ".join(_P[name] for name in OUTBOX_COLUMNS)
} FROM u
    RETURNING 1
), {
    posting(
        _FIRST + len(_EACH),
        '''u WHERE (SELECT count(*) FROM h) + (SELECT count(*) FROM a) + (SELECT count(*) FROM e)
            = 3 * (SELECT count(*) FROM u)''',
    )
}
SELECT nth, 1 / ((SELECT count(*) FROM moved) = (SELECT count(*) FROM u))::int AS approved FROM u
""")


class _Approving(NamedTuple):
    """One approval: what it may see, and its values."""

    scope: Scope
    values: tuple[object, ...]
    reserved: Entry


async def _approve_all(place: tuple[Database, UUID], asked: Sequence[_Approving]) -> Sequence[bool]:
    database, _ = place
    # Each is judged by its own rights; the rows are named one by one.
    scope = Scope(tuple(dict.fromkeys(path for one in asked for path in one.scope.paths)))
    entries = values_of([one.reserved for one in asked])
    rows = await _APPROVE.fetch(database, scope, *as_columns(one.values for one in asked), *entries)
    approved = {row["nth"] for row in rows}
    return [nth in approved for nth, _ in enumerate(asked, 1)]


#: By the budget.
_TOGETHER: Final = Gathering(_approve_all)


async def approve(
    database: Database,
    caller: Caller,
    by: By,
    case_id: UUID,
    version: int,
    amount: Fen | None,
    detail: MemberDetail,
) -> AidCase | None:
    """The approved case, committed; None, with nothing done, when the ordinary transaction has to say what becomes of it."""
    found = await grounds.read(database, caller.scope(), by, case_id)
    if found is None:
        return None
    try:
        entry = _judged(found, caller, by, version, amount, detail)
    except DomainError:
        return None
    case, budget_id = found.case, found.grounds.programme.budget_id
    reserved = reservation(new_id(), budget_id, case.id, Fen(case.approved_fen or 0), by)
    approving = _Approving(_scope(caller, found), _values(found, entry, by), reserved)
    try:
        is_approved = await _TOGETHER.ask((database, budget_id), approving)
    except (asyncpg.DivisionByZeroError, asyncpg.UniqueViolationError):
        return None
    return case if is_approved else None


def _judged(
    found: Found, caller: Caller, by: By, version: int, amount: Fen | None, detail: MemberDetail
) -> HistoryEntry:
    """Approve the case in memory. Raises as `use_cases.approve`."""
    case, programme = found.case, found.grounds.programme
    caller.require(Action.CASE_APPROVE, case.path)
    require_version(version, case.version)
    case.must_be_decided_by_another(
        (caller.issuer, caller.subject),
        found.touched_by,
        is_beneficiary=found.own_member_id == case.member_id,
    )
    require_fresh(found.grounds.member, detail.sequence)
    granted = Fen(case.requested_fen) if amount is None else amount
    decision = deciding.decide_on(found.grounds, granted, detail, by.today)
    require_level(caller, case, decision.levels_up)
    due = deciding.due_by(decision.rules, CaseStage.APPROVED, by.today)
    act = Act(by, by.today, due)
    return case.approve(granted, programme.budget_id, decision.levels_up, act, decision.kept)


def _scope(caller: Caller, found: Found) -> Scope:
    """The caller's, and the budget's unit: one who decides on a case below may use the budget without a look at it."""
    scope = caller.scope()
    if any(found.budget_path.startswith(root) for root in scope.paths):
        return scope
    return scope.with_path(found.budget_path)


def _values(found: Found, entry: HistoryEntry, by: By) -> tuple[object, ...]:
    """The parameters of the statement."""
    case, programme, before = found.case, found.grounds.programme, found.grounds.known.before
    return (
        case.id,
        entry.version - 1,
        case.path,
        programme.id,
        programme.kind.value,
        *year_of(by.today),
        *before,
        by.at,
        by.today,
        case.due_on,
        case.levels_up,
        case.approved_fen,
        programme.budget_id,
        by.issuer,
        by.subject,
        request_id.get(),
        orjson.dumps(entry.decision).decode(),
        *outbox_row(events.event_of(case, entry)),
    )
