"""Every query of programmes, and the eligibility rule as SQL over the replicas, the dossiers and the cases."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import or_, select, text

from shared.contracts.membership import MemberStatus
from shared.contracts.welfare import HardshipClass
from shared.database.paths import ancestors, in_subtree, path_end
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from welfare_service.programmes.domain import Programme, ProgrammeVersion
from welfare_service.programmes.eligibility import (
    MAX_AGE,
    Age,
    AllOf,
    AnyOf,
    Criterion,
    Everybody,
    MemberMonths,
    Not,
    NotHelped,
    OneOf,
    Rule,
    Within,
    months_before,
    units_of,
)
from welfare_service.programmes.tables import programmes

#: Who belongs to a union, and may be helped.
BELONGING: Final = (MemberStatus.ACTIVE, MemberStatus.TRANSFERRING, MemberStatus.RETAINED)

_COLUMNS: Final = {Criterion.GENDER: "m.gender", Criterion.EMPLOYMENT_FORM: "m.employment_form"}
_OF_CLASS: Final = "m.id IN (SELECT c.member_id FROM members_of_class({classes}) AS c (member_id))"
_NOT_HELPED: Final = """
    m.id NOT IN (SELECT h.member_id FROM helped_since({since}, CAST({programme} AS uuid)) AS h (member_id))
"""
# The label below the unit that was asked for; '' is that unit itself. One aggregate over the members, no query per row.
_PREVIEW: Final = """
    WITH counted AS (
        SELECT o.id, o.path, count(*) AS people
        FROM directory_organisations AS o JOIN directory_members AS m ON m.organisation_id = o.id
        WHERE o.path >= :low AND o.path < :high AND m.status = ANY (:belonging) AND {condition}
        GROUP BY o.id
    ), below AS (
        SELECT split_part(path, '/', :depth) AS label, sum(people)::bigint AS people FROM counted GROUP BY 1
    )
    SELECT unit.id, unit.name, below.people FROM below JOIN directory_organisations AS unit
        ON unit.path = :low || CASE label WHEN '' THEN '' ELSE label || '/' END
    ORDER BY unit.path
"""
_BUDGET: Final = text("""
    SELECT path, allocated_fen, allocated_fen - reserved_fen - paid_fen AS available_fen FROM budgets WHERE id = :id
""")
_AID_BEFORE: Final = """
    SELECT max(approved_on) FILTER (WHERE programme_id = {programme}) AS by_this, max(approved_on) AS by_any,
        coalesce(sum(approved_fen) FILTER (
            WHERE programme_id = {programme} AND approved_on BETWEEN {first} AND {last}), 0)::bigint AS of_programme,
        coalesce(sum(approved_fen) FILTER (
            WHERE kind = {kind} AND approved_on BETWEEN {first} AND {last}), 0)::bigint AS of_kind
    FROM {aid}
"""


def aid_before_sql(aid: str, programme: str, kind: str, first: str, last: str) -> str:
    """The four figures of `AidBefore` out of `aid`, a call of a function that gives a member's aid; the others are SQL too."""
    return _AID_BEFORE.format(aid=aid, programme=programme, kind=kind, first=first, last=last)


_AID_OF_MEMBER: Final = text(
    aid_before_sql("aid_of_member(:member)", ":programme", ":kind", ":first", ":last")
)


class BudgetFigures(NamedTuple):
    """What a budget holds, in fen."""

    path: str
    allocated_fen: int
    available_fen: int


class UnitCount(NamedTuple):
    """Eligible members of a unit directly below the one asked for, with all below it (or of that unit itself)."""

    organisation_id: UUID
    name: str
    people: int


class AidBefore(NamedTuple):
    """When a member was last helped, by this programme and by any; what was granted in the year, in fen."""

    by_this: date | None
    by_any: date | None
    year_of_programme_fen: int
    year_of_kind_fen: int


async def get(session: ReadSession, programme_id: UUID) -> Programme:
    """The programme. Raises NotFound, also for what the caller may not see."""
    return _found(await session.get(Programme, programme_id))


async def get_for_change(session: WriteSession, programme_id: UUID) -> Programme:
    """The programme, locked."""
    locked = select(Programme).where(programmes.c.id == programme_id).with_for_update()
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def get_to_stand_on(session: WriteSession, programme_id: UUID) -> Programme:
    """The programme as a case begins or is decided under it; not locked: its versions are kept."""
    fresh = select(Programme).where(programmes.c.id == programme_id)
    return _found(await session.scalar(fresh.execution_options(populate_existing=True)))


async def of_organisations(session: WriteSession, organisation_ids: Collection[UUID]) -> Sequence[Programme]:
    """The programmes of these units, locked in order of id."""
    found = (
        select(Programme).where(programmes.c.organisation_id.in_(organisation_ids)).order_by(programmes.c.id)
    )
    return (await session.scalars(found.with_for_update().execution_options(populate_existing=True))).all()


def add(session: WriteSession, programme: Programme) -> None:
    """Write a new programme."""
    session.add(programme)


async def version(session: ReadSession, programme_id: UUID, number: int) -> ProgrammeVersion:
    """What a version of a visible programme said. Raises NotFound."""
    found = await session.get(ProgrammeVersion, (programme_id, number))
    if found is None:
        raise NotFound("not-found")
    return found


def add_version(session: WriteSession, version: ProgrammeVersion) -> None:
    """Keep what this version said."""
    session.add(version)


async def page(
    session: ReadSession, roots: Sequence[str], running_on: date | None, after: UUID | None, limit: int
) -> Sequence[Programme]:
    """Up to `limit` programmes of the subtrees `roots` and of the units above them, oldest first."""
    columns = programmes.c
    above = {path for root in roots for path in ancestors(root)}
    found = select(Programme).where(
        or_(columns.path.in_(above), *(in_subtree(columns.path, root) for root in roots))
    )
    if running_on:
        found = found.where(columns.starts_on <= running_on, columns.ends_on >= running_on)
    if after:
        found = found.where(columns.id > after)
    return (await session.scalars(found.order_by(columns.id).limit(limit))).all()


async def running_for(
    session: ReadSession, path: str, today: date, after: UUID | None, limit: int
) -> Sequence[Programme]:
    """Up to `limit` programmes that take cases today for members of the unit at `path`, oldest first."""
    columns = programmes.c
    found = select(Programme).where(
        columns.path.in_(ancestors(path)), columns.starts_on <= today, columns.ends_on >= today
    )
    if after:
        found = found.where(columns.id > after)
    return (await session.scalars(found.order_by(columns.id).limit(limit))).all()


async def budget_figures(session: ReadSession, budget_id: UUID) -> BudgetFigures | None:
    """What the budget holds; None when the caller does not see it."""
    row = (await session.execute(_BUDGET, {"id": budget_id})).first()
    return BudgetFigures(*row) if row else None


async def paths_of(session: ReadSession, organisation_ids: Collection[UUID]) -> dict[UUID, str]:
    """Where units stand today, by id; unknown ones are missing."""
    statement = text(
        "SELECT id, path FROM directory_organisations WHERE id = ANY (:ids) AND path IS NOT NULL"
    )
    rows = await session.execute(statement, {"ids": list(organisation_ids)})
    return {row.id: row.path for row in rows}


async def aid_before(session: ReadSession, member_id: UUID, programme: Programme, today: date) -> AidBefore:
    """What was approved for the member before, wherever: a transfer does not make it undone."""
    first, last = year_of(today)
    parameters = {
        "member": member_id,
        "programme": programme.id,
        "kind": programme.kind.value,
        "first": first,
        "last": last,
    }
    return AidBefore(*(await session.execute(_AID_OF_MEMBER, parameters)).one())


def year_of(day: date) -> tuple[date, date]:
    """The first and the last day of the year over which caps are counted."""
    return date(day.year, 1, 1), date(day.year, 12, 31)


async def preview(
    session: ReadSession, rule: Rule, programme_id: UUID, root: str, today: date
) -> list[UnitCount]:
    """How many members of the subtree `root` the rule selects, by unit directly below; ages are by year of birth."""
    compiled = compiled_rule(rule, programme_id, today, await paths_of(session, units_of(rule)))
    parameters = compiled.parameters | {
        "low": root,
        "high": path_end(root),
        "depth": root.count("/") + 1,
        "belonging": list(BELONGING),
    }
    rows = await session.execute(text(_PREVIEW.format(condition=compiled.condition)), parameters)
    return [UnitCount(*row) for row in rows]


@dataclass(slots=True)
class Compiled:
    """A condition over `m` (directory_members) and `o` (its unit) that is never NULL, and its parameters."""

    programme_id: UUID
    today: date
    paths: Mapping[UUID, str]
    condition: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """A parameter for `value`."""
        name = f"rule_{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"


def compiled_rule(rule: Rule, programme_id: UUID, today: date, paths: Mapping[UUID, str]) -> Compiled:
    """The rule as SQL: what `eligibility.reasons` says of one member, for all at once."""
    compiled = Compiled(programme_id, today, paths)
    compiled.condition = _condition(rule, compiled)
    return compiled


def _condition(rule: Rule, into: Compiled) -> str:
    match rule:
        case Everybody():
            return "true"
        case Not(part):
            return f"NOT ({_condition(part, into)})"
        case AllOf(parts) | AnyOf(parts):
            joint = " AND " if isinstance(rule, AllOf) else " OR "
            return "(" + joint.join(_condition(part, into) for part in parts) + ")"
        case OneOf(criterion, values):
            return _one_of(criterion, values, into)
        case Age():
            return _age(rule, into)
        case _:
            return _belonging(rule, into)


def _belonging(rule: Within | MemberMonths | NotHelped, into: Compiled) -> str:
    match rule:
        case Within(organisation_id):
            path = into.paths.get(organisation_id)
            if path is None:
                return "false"
            return f"(o.path >= {into.bind(path)} AND o.path < {into.bind(path_end(path))})"
        case MemberMonths(months):
            return f"coalesce(m.joined_on <= {into.bind(months_before(into.today, months))}, false)"
        case NotHelped(months, by):
            since = into.bind(months_before(into.today, months))
            programme = into.bind(into.programme_id if by == "this" else None)
            return _NOT_HELPED.format(since=since, programme=programme)


def _one_of(criterion: Criterion, values: frozenset[str], into: Compiled) -> str:
    """Who stands in no open dossier has the class "none"."""
    if criterion is not Criterion.HARDSHIP_CLASS:
        return f"{_COLUMNS[criterion]} = ANY ({into.bind(sorted(values))})"
    if HardshipClass.NONE not in values:
        return _OF_CLASS.format(classes=into.bind(sorted(values)))
    return "NOT " + _OF_CLASS.format(classes=into.bind(sorted(set(HardshipClass) - values)))


def _age(age: Age, into: Compiled) -> str:
    year = into.today.year
    oldest = into.bind(year - (MAX_AGE if age.most is None else age.most))
    youngest = into.bind(year - (age.least or 0))
    return f"coalesce(m.birth_year BETWEEN {oldest} AND {youngest}, false)"


def _found(programme: Programme | None) -> Programme:
    if programme is None:
        raise NotFound("not-found")
    return programme
