"""Every query of aid cases. Lists and work name their subtrees as ranges of paths; row-level security only filters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from shared.contracts.welfare import CaseStage
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from welfare_service.cases.domain import HANDS, RUNNING, WAITING, AidCase, Happening, HistoryEntry, User
from welfare_service.cases.sealing import Payee
from welfare_service.cases.tables import case_history, case_numbers, cases, successions

#: Rows of a list after the last one of the page before: (path, id).
After = tuple[str, UUID]

_NUMBER_DIGITS: Final = 8
_PLAN_ANEW: Final = text("SET LOCAL plan_cache_mode = force_custom_plan")
#: Two decisions about one member take turns: each sees what the other granted.
_TURN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('aid:' || CAST(:member AS text), 0))")
# Whoever is just writing a case of such a unit is waited for.
_LOCK_UNITS: Final = text("SELECT FROM directory_organisations WHERE id = ANY (:ids) ORDER BY id FOR UPDATE")
_LAST_SUCCESSORS: Final = text("""
    WITH RECURSIVE chain AS (
        SELECT organisation_id AS first_id, successor_id, 1 AS depth FROM successions WHERE organisation_id = ANY (:ids)
        UNION ALL
        SELECT chain.first_id, next.successor_id, chain.depth + 1
        FROM chain JOIN successions AS next ON next.organisation_id = chain.successor_id WHERE chain.depth < 64
    )
    SELECT DISTINCT ON (first_id) first_id, successor_id FROM chain ORDER BY first_id, depth DESC
""")
_WAITS: Final = cases.c.stage.in_(WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What cases to list."""

    stage: CaseStage | None = None
    programme_id: UUID | None = None
    member_id: UUID | None = None
    is_flagged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Whose work it is: the user, and the subtrees in which he changes, approves and pays."""

    user: User
    changes: tuple[str, ...]
    approves: tuple[str, ...]
    pays: tuple[str, ...]


async def get(session: ReadSession, case_id: UUID) -> AidCase:
    """The case. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(AidCase).where(cases.c.id == case_id)))


async def get_for_change(session: WriteSession, case_id: UUID) -> AidCase:
    """The case, locked until the transaction ends. The budget is locked after it."""
    locked = select(AidCase).where(cases.c.id == case_id).with_for_update()
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def all_for_change(session: WriteSession, ids: Collection[UUID]) -> Sequence[AidCase]:
    """These cases, locked in order of id, so that two batches never wait for each other. Raises NotFound for any missing."""
    locked = select(AidCase).where(cases.c.id.in_(ids)).order_by(cases.c.id).with_for_update()
    found = (await session.scalars(locked.execution_options(populate_existing=True))).all()
    if len(found) < len(set(ids)):
        raise NotFound("not-found")
    return found


async def running_of_members(session: WriteSession, members: Collection[UUID]) -> Sequence[AidCase]:
    """The running cases of these members, locked in order of id."""
    return await _locked(session, and_(cases.c.member_id.in_(members), cases.c.stage.in_(RUNNING)))


async def waiting_of_organisations(
    session: WriteSession, organisations: Collection[UUID]
) -> Sequence[AidCase]:
    """The cases of these units that still wait for somebody, locked in order of id."""
    return await _locked(session, and_(cases.c.organisation_id.in_(organisations), _WAITS))


async def add_successions(session: WriteSession, successors: Mapping[UUID, UUID]) -> dict[UUID, UUID]:
    """Keep who takes over from these dissolved units; who stands at the end of each chain, whatever order they came in."""
    ids = sorted(successors)
    await session.execute(_LOCK_UNITS, {"ids": ids})
    rows = [{"organisation_id": one, "successor_id": successors[one]} for one in ids]
    await session.execute(insert(successions).on_conflict_do_nothing(), rows)
    return await _last_successors(session, ids)


async def last_successors(session: WriteSession, organisations: Collection[UUID]) -> dict[UUID, UUID]:
    """Who keeps the affairs of those of these units that were dissolved. All are locked, so none is dissolved meanwhile."""
    ids = sorted(organisations)
    await session.execute(_LOCK_UNITS, {"ids": ids})
    return await _last_successors(session, ids)


async def forget_private(session: WriteSession, members: Collection[UUID]) -> None:
    """Destroy the keys of the cases of erased members that are over; the running ones lose theirs when they end."""
    destroyed = {
        "data_key_wrapped": None,
        "reason_sealed": None,
        "payee_name_sealed": None,
        "account_sealed": None,
        "account_masked": None,
    }
    ended = update(cases).where(cases.c.member_id.in_(members), cases.c.stage.not_in(RUNNING))
    await session.execute(ended.values(destroyed), execution_options={"synchronize_session": False})


def add(session: WriteSession, case: AidCase) -> None:
    """Write a new case."""
    session.add(case)


def add_entry(session: WriteSession, entry: HistoryEntry) -> None:
    """Write what happened."""
    session.add(entry)


async def next_case_number(session: WriteSession, year: int) -> str:
    """A fresh case number: the year and eight digits."""
    drawn = await session.scalar(select(case_numbers.next_value()))
    return f"{year}-{str(drawn).zfill(_NUMBER_DIGITS)}"


async def take_turn(session: WriteSession, member_id: UUID) -> None:
    """Wait until no other decision about this member is under way; held until the transaction ends."""
    await session.execute(_TURN, {"member": str(member_id)})


async def touched_by(session: ReadSession, case_id: UUID) -> frozenset[User]:
    """Everybody who drafted, changed or submitted the case."""
    rows = select(case_history.c.actor_issuer, case_history.c.actor_subject).where(
        case_history.c.case_id == case_id, case_history.c.happening.in_(HANDS)
    )
    return frozenset((row.actor_issuer, row.actor_subject) for row in await session.execute(rows))


async def is_dissolved(session: ReadSession, organisation_id: UUID) -> bool:
    """Whether the affairs of the unit were handed over, though the replica of units may not know it yet."""
    found = select(successions.c.successor_id).where(successions.c.organisation_id == organisation_id)
    return await session.scalar(found) is not None


async def payees(session: ReadSession, ids: Collection[UUID]) -> list[Payee]:
    """Who is paid for these cases, sealed, in order of id."""
    columns = (cases.c.id, *(cases.c[name] for name in Payee._fields[1:]))
    rows = await session.execute(select(*columns).where(cases.c.id.in_(ids)).order_by(cases.c.id))
    return [Payee(*row) for row in rows]


async def history(session: ReadSession, case_id: UUID, after: int, limit: int) -> Sequence[HistoryEntry]:
    """Up to `limit` entries of a visible case with a version above `after`, oldest first."""
    page = select(HistoryEntry).where(case_history.c.case_id == case_id, case_history.c.version > after)
    return (await session.scalars(page.order_by(case_history.c.version).limit(limit))).all()


async def last_judgement(session: ReadSession, case_id: UUID) -> HistoryEntry | None:
    """The newest entry of a visible case that keeps what a judgement rested on."""
    judged = select(HistoryEntry).where(
        case_history.c.case_id == case_id,
        case_history.c.happening.in_((Happening.SUBMITTED, Happening.APPROVED)),
    )
    return await session.scalar(judged.order_by(case_history.c.version.desc()).limit(1))


async def of_member(
    session: ReadSession, member_id: UUID, after: UUID | None, limit: int
) -> Sequence[AidCase]:
    """Up to `limit` cases of one member after `after`, oldest first (ids rise with time)."""
    found = select(AidCase).where(cases.c.member_id == member_id)
    if after:
        found = found.where(cases.c.id > after)
    return (await session.scalars(found.order_by(cases.c.id).limit(limit))).all()


async def page(
    session: ReadSession,
    roots: Sequence[str],
    filters: Filters,
    mine: Rights | None,
    after: After | None,
    limit: int,
) -> Sequence[AidCase]:
    """Up to `limit` cases of the subtrees `roots` (sorted, none within another) after `after`, by path and id.

    `mine` keeps those that wait for this user. One statement for each root, each an index range.
    """
    found: list[AidCase] = []
    await session.execute(_PLAN_ANEW)
    for root in roots:
        if after and root <= after[0] and not after[0].startswith(root):
            continue
        conditions = [in_subtree(cases.c.path, root), *_conditions(filters)]
        if mine is not None:
            conditions += [_WAITS, or_(*(condition for _, condition in kinds_of_work(mine)))]
        if after:
            place = tuple_(literal(after[0], cases.c.path.type), literal(after[1]))
            conditions.append(tuple_(cases.c.path, cases.c.id) > place)
        statement = select(AidCase).where(*conditions).order_by(cases.c.path, cases.c.id)
        found.extend(await session.scalars(statement.limit(limit - len(found))))
        if len(found) >= limit:
            break
    return found


async def work(session: ReadSession, rights: Rights, limit: int) -> list[tuple[str, AidCase]]:
    """Up to `limit` cases of each kind that wait for this user, with the kind; those due first. No row of history is read."""
    found: list[tuple[str, AidCase]] = []
    await session.execute(_PLAN_ANEW)
    for kind, statement in work_statements(rights, limit):
        found += [(kind, case) for case in await session.scalars(statement)]
    return found


def work_statements(rights: Rights, limit: int) -> list[tuple[str, Select[AidCase]]]:
    """What `work` asks: one range of an index on what waits for each kind and subtree."""
    ordered = (
        select(AidCase).where(_WAITS).order_by(cases.c.due_on, cases.c.stage_since, cases.c.id).limit(limit)
    )
    return [(kind, ordered.where(condition)) for kind, condition in kinds_of_work(rights)]


def kinds_of_work(rights: Rights) -> list[tuple[str, ColumnElement[bool]]]:
    """What may wait for this user, and which cases that is."""
    columns = cases.c
    is_mine = and_(columns.drafted_by_subject == rights.user[1], columns.drafted_by_issuer == rights.user[0])
    is_mendable = columns.stage.in_([CaseStage.DRAFT, CaseStage.RETURNED])
    was_sent_by_me = and_(
        columns.submitted_by_subject == rights.user[1], columns.submitted_by_issuer == rights.user[0]
    )
    decided = columns.stage.in_([CaseStage.SUBMITTED, CaseStage.APPROVED, CaseStage.DISBURSING])
    kinds = [("case.mend", and_(is_mendable, is_mine))]
    for root in rights.changes:
        inside = in_subtree(columns.path, root)
        returned = and_(columns.stage == CaseStage.RETURNED, columns.is_own, ~is_mine)
        kinds.append(("case.mend", and_(inside, returned)))
        kinds.append(("case.acknowledge", and_(inside, columns.stage == CaseStage.PAID)))
        kinds.append(("case.review", and_(inside, is_mendable, columns.flagged)))
    for root in rights.approves:
        inside = in_subtree(columns.path, root)
        to_decide = and_(columns.stage == CaseStage.SUBMITTED, ~columns.flagged, ~is_mine, ~was_sent_by_me)
        kinds.append(("case.approve", and_(inside, to_decide, _level_reaches(root))))
        kinds.append(("case.review", and_(inside, decided, columns.flagged)))
    for root in rights.pays:
        approved = and_(columns.stage == CaseStage.APPROVED, ~columns.flagged)
        kinds.append(("case.pay", and_(in_subtree(columns.path, root), approved)))
    return kinds


def _level_reaches(root: str) -> ColumnElement[bool]:
    """The unit so many levels above the case's is `root` or below it; nobody is above the root of the tree."""
    depth = root.count("/")
    if depth == 1:
        return literal(value=True)
    own = func.length(cases.c.path) - func.length(func.replace(cases.c.path, "/", ""))
    return own - cases.c.levels_up >= depth


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    columns = cases.c
    conditions: list[ColumnElement[bool]] = []
    if filters.stage:
        conditions.append(columns.stage == filters.stage)
    if filters.programme_id:
        conditions.append(columns.programme_id == filters.programme_id)
    if filters.member_id:
        conditions.append(columns.member_id == filters.member_id)
    if filters.is_flagged:
        conditions.append(columns.flagged)
    return conditions


async def _last_successors(session: WriteSession, ids: Collection[UUID]) -> dict[UUID, UUID]:
    found = await session.execute(_LAST_SUCCESSORS, {"ids": ids})
    return {row.first_id: row.successor_id for row in found}


async def _locked(session: WriteSession, condition: ColumnElement[bool]) -> Sequence[AidCase]:
    locked = select(AidCase).where(condition).order_by(cases.c.id).with_for_update()
    return (await session.scalars(locked.execution_options(populate_existing=True))).all()


def _found(case: AidCase | None) -> AidCase:
    if case is None:
        raise NotFound("not-found")
    return case
