"""Every query of dossiers. Lists and searches name their subtrees as ranges of paths; row-level security only filters."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from welfare_service.dossiers.domain import Dossier, HistoryEntry, Line, Person
from welfare_service.dossiers.kinds import Relation
from welfare_service.dossiers.records import Decision
from welfare_service.dossiers.tables import (
    daily_uses,
    dossier_aid,
    dossier_decisions,
    dossier_gatherers,
    dossier_history,
    dossier_lines,
    dossier_numbers,
    dossier_persons,
    dossiers,
)

_NUMBER_DIGITS = 10
_PLAN_ANEW = text("SET LOCAL plan_cache_mode = force_custom_plan")
_IS_STANDING = text("SELECT is_standing_person(:keys)")
_OF_MEMBER = text("SELECT * FROM find_dossier_of_member(:member)")

#: Rows of a list after the last one of the page before: (path, id).
After = tuple[str, UUID]


class Standing(NamedTuple):
    """The dossier in which a member stands, seen by the caller or not: for this service, never for the caller."""

    id: UUID
    path: str
    organisation_id: UUID
    status: DossierStatus
    hardship_class: HardshipClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What dossiers to list. `is_awaiting`: only those that wait for a decision."""

    status: DossierStatus | None = None
    hardship_class: HardshipClass | None = None
    is_awaiting: bool = False
    number: str | None = None
    last4_blinds: tuple[bytes, ...] = ()
    member_id: UUID | None = None


async def get(session: ReadSession, dossier_id: UUID) -> Dossier:
    """The dossier with all who stand in it. Raises NotFound, also for what the caller may not see."""
    return await _whole(session, await session.get(Dossier, dossier_id))


async def get_for_change(session: WriteSession, dossier_id: UUID) -> Dossier:
    """The dossier, locked until the transaction ends, so that versions and their events have one order."""
    return await _whole(
        session, await session.get(Dossier, dossier_id, with_for_update=True, populate_existing=True)
    )


async def find_of_member(session: ReadSession, member_id: UUID) -> Standing | None:
    """Where a member stands, in whoever's scope that is."""
    row = (await session.execute(_OF_MEMBER, {"member": member_id})).one_or_none()
    if row is None:
        return None
    return Standing(
        row.id, row.path, row.organisation_id, DossierStatus(row.status), HardshipClass(row.hardship_class)
    )


async def headed(session: WriteSession, member_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Of these members those who head a household, with its dossier; for the worker, who sees all."""
    persons = dossier_persons.c
    rows = await session.execute(
        select(persons.member_id, persons.dossier_id).where(
            persons.member_id.in_(member_ids), persons.is_standing, persons.relation == Relation.HEAD
        )
    )
    return {row.member_id: row.dossier_id for row in rows}


async def is_standing(session: ReadSession, document_blinds: Sequence[bytes]) -> bool:
    """Whether somebody with a document stands in a dossier, in whoever's scope that is."""
    found = await session.execute(_IS_STANDING, {"keys": list(document_blinds)})
    return bool(found.scalar_one())


async def persons_after(session: WriteSession, person_id: UUID, limit: int) -> Sequence[Person]:
    """The next persons of all dossiers by id, locked and without lines: for jobs."""
    page = select(Person).where(dossier_persons.c.id > person_id)
    return (await session.scalars(page.order_by(dossier_persons.c.id).limit(limit).with_for_update())).all()


async def next_number(session: WriteSession) -> str:
    """A fresh file number, ten digits."""
    drawn = await session.scalar(select(dossier_numbers.next_value()))
    return str(drawn).zfill(_NUMBER_DIGITS)


async def replace_lines(session: WriteSession, person: Person, lines: Collection[Line]) -> None:
    """Put these lines in the place of what the person had."""
    await session.execute(
        delete(dossier_lines).where(dossier_lines.c.person_id == person.id),
        execution_options={"synchronize_session": False},
    )
    session.add_all(lines)


async def add_gatherer(session: WriteSession, dossier_id: UUID, issuer: str, subject: str) -> None:
    """Remember who gathered."""
    row = {"dossier_id": dossier_id, "issuer": issuer, "subject": subject}
    await session.execute(insert(dossier_gatherers).values(row).on_conflict_do_nothing())


async def gatherers(session: ReadSession, dossier_id: UUID) -> set[tuple[str, str]]:
    """Who gathered, as (issuer, subject)."""
    columns = dossier_gatherers.c
    rows = await session.execute(
        select(columns.issuer, columns.subject).where(columns.dossier_id == dossier_id)
    )
    return {(row.issuer, row.subject) for row in rows}


async def add_aid(session: WriteSession, dossier_id: UUID, member_id: UUID, amount: Fen, on: date) -> None:
    """Write down aid that a household received."""
    row = {
        "id": new_id(),
        "dossier_id": dossier_id,
        "member_id": member_id,
        "amount_fen": amount,
        "on_date": on,
    }
    await session.execute(insert(dossier_aid).values(row))


async def aid_of(session: ReadSession, dossier_id: UUID, after: date) -> list[tuple[int, date]]:
    """The aid that a household received after a day, oldest first."""
    columns = dossier_aid.c
    rows = await session.execute(
        select(columns.amount_fen, columns.on_date)
        .where(columns.dossier_id == dossier_id, columns.on_date > after)
        .order_by(columns.on_date, columns.id)
    )
    return [(row.amount_fen, row.on_date) for row in rows]


async def history(session: ReadSession, dossier_id: UUID, after: int, limit: int) -> Sequence[HistoryEntry]:
    """Up to `limit` entries with a version above `after`, oldest first."""
    page = select(HistoryEntry).where(
        dossier_history.c.dossier_id == dossier_id, dossier_history.c.version > after
    )
    return (await session.scalars(page.order_by(dossier_history.c.version).limit(limit))).all()


async def decisions(session: ReadSession, dossier_id: UUID) -> Sequence[Decision]:
    """The decisions on a dossier, newest first."""
    found = select(Decision).where(dossier_decisions.c.dossier_id == dossier_id)
    return (await session.scalars(found.order_by(dossier_decisions.c.version.desc()))).all()


async def decision(session: ReadSession, dossier_id: UUID, decision_id: UUID) -> Decision:
    """One decision on a dossier. Raises NotFound."""
    found = await session.get(Decision, decision_id)
    if found is None or found.dossier_id != dossier_id:
        raise NotFound("not-found")
    return found


async def use_today(session: WriteSession, issuer: str, subject: str, kind: str, day: date, cap: int) -> bool:
    """Count one use of a user on a day; False, and nothing counted, when there were `cap` already. Exact under concurrency."""
    counted = (
        insert(daily_uses)
        .values(issuer=issuer, subject=subject, kind=kind, day=day, uses=1)
        .on_conflict_do_update(
            index_elements=["issuer", "subject", "kind", "day"],
            set_={"uses": daily_uses.c.uses + 1},
            where=daily_uses.c.uses < cap,
        )
        .returning(daily_uses.c.uses)
    )
    return await session.scalar(counted) is not None


async def forget_uses(session: WriteSession, before: date) -> None:
    """Delete the counts of the days before this one."""
    await session.execute(delete(daily_uses).where(daily_uses.c.day < before))


async def page(
    session: ReadSession, roots: Sequence[str], filters: Filters, after: After | None, limit: int
) -> Sequence[Dossier]:
    """Up to `limit` dossiers (without persons) of the subtrees `roots` after `after`, by path and id."""
    found: list[Dossier] = []
    # A plan made for a province would be kept for a small unit too.
    await session.execute(_PLAN_ANEW)
    for root in roots:
        if after and root <= after[0] and not after[0].startswith(root):
            continue
        listed = select(Dossier).where(*_conditions(root, filters, after))
        listed = listed.order_by(dossiers.c.path, dossiers.c.id).limit(limit - len(found))
        found.extend(await session.scalars(listed))
        if len(found) >= limit:
            break
    return found


async def awaiting(session: ReadSession, roots: Sequence[str], limit: int) -> Sequence[Dossier]:
    """Up to `limit` dossiers of each subtree that wait for a decision, the oldest first, without persons."""
    found: list[Dossier] = []
    for root in roots:
        waiting = (
            select(Dossier)
            .where(in_subtree(dossiers.c.path, root), dossiers.c.awaiting_since.is_not(None))
            .order_by(dossiers.c.awaiting_since, dossiers.c.id)
        )
        found.extend(await session.scalars(waiting.limit(limit)))
    return found


async def numbers(session: ReadSession, ids: Collection[UUID]) -> dict[UUID, str]:
    """File numbers by id."""
    rows = await session.execute(select(dossiers.c.id, dossiers.c.number).where(dossiers.c.id.in_(ids)))
    return {row.id: row.number for row in rows}


async def of_unit(session: ReadSession, organisation_id: UUID) -> Sequence[UUID]:
    """The dossiers that a unit keeps and that are not closed."""
    kept = (dossiers.c.organisation_id == organisation_id, dossiers.c.status != DossierStatus.CLOSED)
    return (await session.scalars(select(dossiers.c.id).where(*kept).order_by(dossiers.c.id))).all()


async def erase_member(session: WriteSession, member_id: UUID) -> None:
    """Destroy the data keys of a person in all dossiers, and all that only they open or that finds the person."""
    gone = dict.fromkeys(
        (
            "name_sealed",
            "document_sealed",
            "document_blind",
            "last4_blind",
            "phone_sealed",
            "illness_sealed",
            "data_key_wrapped",
        )
    )
    await session.execute(
        update(dossier_persons).where(dossier_persons.c.member_id == member_id).values(gone),
        execution_options={"synchronize_session": False},
    )


def _conditions(root: str, filters: Filters, after: After | None) -> list[ColumnElement[bool]]:
    columns = dossiers.c
    conditions: list[ColumnElement[bool]] = [in_subtree(columns.path, root)]
    if after:
        conditions.append(
            tuple_(columns.path, columns.id) > tuple_(literal(after[0], columns.path.type), literal(after[1]))
        )
    if filters.status:
        conditions.append(columns.status == filters.status)
    if filters.hardship_class:
        conditions.append(columns.hardship_class == filters.hardship_class)
    if filters.is_awaiting:
        conditions.append(columns.awaiting_since.is_not(None))
    if filters.number is not None:
        conditions.append(columns.number == filters.number)
    if filters.last4_blinds:
        persons = dossier_persons.c
        conditions.append(
            exists().where(
                persons.dossier_id == columns.id,
                persons.last4_blind.in_(filters.last4_blinds),
                persons.relation == "head",
            )
        )
    if filters.member_id is not None:
        standing = dossier_persons.c
        conditions.append(
            columns.id.in_(
                select(standing.dossier_id).where(
                    standing.member_id == filters.member_id, standing.is_standing
                )
            )
        )
    return conditions


async def _whole(session: ReadSession, dossier: Dossier | None) -> Dossier:
    """The dossier with its persons, by the order of their entry, and their lines. Raises NotFound for None."""
    if dossier is None:
        raise NotFound("not-found")
    standing = (dossier_persons.c.dossier_id == dossier.id, dossier_persons.c.left_on.is_(None))
    persons = (await session.scalars(select(Person).where(*standing).order_by(dossier_persons.c.id))).all()
    ids = [person.id for person in persons]
    lines: dict[UUID, list[Line]] = defaultdict(list)
    rows = select(Line).where(dossier_lines.c.person_id.in_(ids)).order_by(dossier_lines.c.id)
    for line in await session.scalars(rows):
        lines[line.person_id].append(line)
    for person in persons:
        person.lines = lines[person.id]
    dossier.persons = list(persons)
    return dossier
