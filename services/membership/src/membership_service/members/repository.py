"""Every query of members. Lists and searches name their subtrees as ranges of paths; row-level security only filters."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import selectinload

from membership_service.members.domain import HistoryEntry, Member
from membership_service.members.tables import (
    daily_uses,
    member_history,
    member_numbers,
    members,
)
from shared.contracts.membership import MemberStatus
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound

#: Above every string that begins with the text before it, in byte order.
_LAST: Final = "\U0010ffff"
_NUMBER_DIGITS: Final = 10
_PLAN_ANEW: Final = text("SET LOCAL plan_cache_mode = force_custom_plan")

#: Rows of a list after the last one of the page before: (path, id).
After = tuple[str, UUID]


@dataclass(frozen=True, slots=True)
class Registered:
    """What the look-up across all scopes tells the service (never the caller) of somebody who is registered somewhere."""

    id: UUID
    path: str
    organisation_id: UUID
    status: MemberStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What members to list. `is_escalated`: only applications that nobody answered in time. Keys are normalised."""

    status: MemberStatus | None = None
    is_escalated: bool = False
    name: str | None = None
    pinyin: str | None = None
    exact: bool = False
    last4_blinds: tuple[bytes, ...] = ()
    phone_blinds: tuple[bytes, ...] = ()


async def get(session: ReadSession, member_id: UUID) -> Member:
    """The member with affiliations. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(_with_affiliations(member_id)))


async def get_for_change(session: WriteSession, member_id: UUID) -> Member:
    """The member, locked until the transaction ends, so that versions and their events have one order.

    Whoever also locks an organisation does that first: a move locks units before members.
    """
    locked = (
        _with_affiliations(member_id).with_for_update(of=members).execution_options(populate_existing=True)
    )
    return _found(await session.scalar(locked))


def add_entry(session: WriteSession, entry: HistoryEntry) -> None:
    """Write what happened."""
    session.add(entry)


async def forget_reasons(session: WriteSession, member_id: UUID) -> None:
    """Blank the reasons in a member's history: free text may name the person."""
    await session.execute(select(func.erase_member_reasons(member_id)))


async def next_member_number(session: WriteSession) -> str:
    """A fresh member number, ten digits. In bulk SQL: `lpad(nextval('member_numbers')::text, 10, '0')`."""
    drawn = await session.scalar(select(member_numbers.next_value()))
    return str(drawn).zfill(_NUMBER_DIGITS)


async def history(session: ReadSession, member_id: UUID, after: int, limit: int) -> Sequence[HistoryEntry]:
    """Up to `limit` entries of a visible member with a version above `after`, oldest first."""
    page = select(HistoryEntry).where(
        member_history.c.member_id == member_id, member_history.c.version > after
    )
    return (await session.scalars(page.order_by(member_history.c.version).limit(limit))).all()


async def names(session: ReadSession, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names by id, of those the caller sees; erased members have none."""
    rows = select(members.c.id, members.c.name).where(members.c.id.in_(ids), members.c.erased_at.is_(None))
    return {row.id: row.name for row in await session.execute(rows)}


async def by_ids(session: ReadSession, ids: Collection[UUID]) -> Sequence[Member]:
    """Those of these members whom the caller sees, without affiliations; erased ones are left out."""
    found = select(Member).where(members.c.id.in_(ids), members.c.erased_at.is_(None))
    return (await session.scalars(found)).all()


async def waiting(
    session: ReadSession,
    roots: Sequence[str],
    status: MemberStatus,
    *,
    not_by: tuple[str, str] | None = None,
    limit: int,
) -> Sequence[Member]:
    """Up to `limit` members of the subtrees `roots` in a status in which they wait, longest waiting first.

    `not_by`: leave out those for whom this user (issuer, subject) answers, and the user's own application.
    """
    columns = members.c
    found: list[Member] = []
    since = columns.applied_at if status is MemberStatus.APPLIED else columns.updated_at
    await session.execute(_PLAN_ANEW)
    for root in roots:
        # The status stands in the statement as a constant: only so it matches the partial index under every plan.
        statement = select(Member).where(
            columns.status == literal_column(f"'{status.value}'"), in_subtree(columns.path, root)
        )
        if not_by:
            asker = tuple_(*map(literal, not_by))
            for user in (
                tuple_(columns.applied_by_issuer, columns.applied_by_subject),
                tuple_(columns.user_issuer, columns.user_subject),
            ):
                statement = statement.where(user.is_distinct_from(asker))
        found.extend(await session.scalars(statement.order_by(since, columns.id).limit(limit)))
    return found


async def find_by_document(session: ReadSession, document_blinds: Sequence[bytes]) -> Registered | None:
    """Whether a person is registered anywhere, seen by the caller or not: for the one permitted hint.

    `document_blinds` is the document under each index key in use; while keys are rotated there are two.
    """
    for key in document_blinds:
        found = await _registered(session, text("SELECT * FROM find_member_by_document(:key)"), key=key)
        if found is not None:
            return found
    return None


async def find_by_user(session: ReadSession, issuer: str, subject: str) -> Registered | None:
    """The member who is this user, wherever: members see themselves."""
    look_up = text("SELECT * FROM find_member_by_user(:issuer, :subject)")
    return await _registered(session, look_up, issuer=issuer, subject=subject)


async def organisation_path(session: ReadSession, organisation_id: UUID) -> str | None:
    """The path of a standing unit, seen by the caller or not: for whoever joins it or moves there without a post."""
    path: str | None = await session.scalar(select(func.find_organisation_path(organisation_id)))
    return path


async def count_same_phone(session: ReadSession, member: Member) -> int:
    """How many others in the caller's scope have the same phone. A family's phone is one: a warning, never an error."""
    others = select(func.count()).where(
        members.c.phone_blind == member.phone_blind, members.c.id != member.id, members.c.erased_at.is_(None)
    )
    return (await session.scalar(others) or 0) if member.phone_blind else 0


async def use_today(
    session: WriteSession, issuer: str, subject: str, kind: str, day: date, cap: int, *, uses: int = 1
) -> bool:
    """Count `uses` of a user on a day; False, and nothing counted, when that is more than `cap`. Exact under concurrency."""
    if uses > cap:
        return False
    counted = (
        insert(daily_uses)
        .values(issuer=issuer, subject=subject, kind=kind, day=day, uses=uses)
        .on_conflict_do_update(
            index_elements=["issuer", "subject", "kind", "day"],
            set_={"uses": daily_uses.c.uses + uses},
            where=daily_uses.c.uses + uses <= cap,
        )
        .returning(daily_uses.c.uses)
    )
    return await session.scalar(counted) is not None


async def forget_uses(session: WriteSession, before: date) -> None:
    """Delete the counts of the days before this one."""
    await session.execute(delete(daily_uses).where(daily_uses.c.day < before))


async def page(
    session: ReadSession, roots: Sequence[str], filters: Filters, after: After | None, limit: int
) -> Sequence[Member]:
    """Up to `limit` members of the subtrees `roots` (sorted, none within another) after `after`, by path and id.

    One statement for each root, each an index range: together they cost what is looked at, not what there is.
    """
    found: list[Member] = []
    # A plan made for a province would be kept for an enterprise too: plan each anew, which costs less than one wrong plan.
    await session.execute(_PLAN_ANEW)
    for root in roots:
        if after and root <= after[0] and not after[0].startswith(root):
            continue
        statement = listed(root, filters, after).limit(limit - len(found))
        found.extend(await session.scalars(statement))
        if len(found) >= limit:
            break
    return found


async def escalate(session: WriteSession, before: datetime, now: datetime, limit: int) -> int:
    """Mark up to `limit` applications that wait since before `before`; says how many. Public state and version stay."""
    waiting = (
        select(members.c.id)
        .where(
            members.c.status == MemberStatus.APPLIED,
            members.c.applied_at < before,
            members.c.escalated_at.is_(None),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    marked = await session.execute(
        update(members).where(members.c.id.in_(waiting)).values(escalated_at=now).returning(members.c.id),
        execution_options={"synchronize_session": False},
    )
    return len(marked.all())


def listed(root: str, filters: Filters, after: After | None) -> Select[Member]:
    """The query of one subtree, by path and id."""
    columns = members.c
    conditions: list[ColumnElement[bool]] = [in_subtree(columns.path, root)]
    if after:
        conditions.append(
            tuple_(columns.path, columns.id) > tuple_(literal(after[0], columns.path.type), literal(after[1]))
        )
    if filters.status:
        conditions.append(columns.status == filters.status)
    if filters.is_escalated:
        conditions.append(columns.escalated_at.is_not(None))
    key = _equals if filters.exact else _begins
    if filters.name is not None:
        conditions.append(key(columns.name, filters.name))
    if filters.pinyin is not None:
        keys = (columns.name_pinyin, columns.other_pinyin, columns.name_initials, columns.other_initials)
        conditions.append(or_(*(key(column, filters.pinyin) for column in keys)))
    # One blind index as a rule, two while index keys are rotated.
    for column, blinds in (
        (columns.last4_blind, filters.last4_blinds),
        (columns.phone_blind, filters.phone_blinds),
    ):
        if blinds:
            conditions.append(or_(*(column == blind for blind in blinds)))
    conditions.append(columns.erased_at.is_(None))
    return select(Member).where(*conditions).order_by(columns.path, columns.id)


Matches = Callable[[ColumnElement[Any], str], ColumnElement[bool]]


def _equals(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    return column == value


def _begins(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """A range instead of a prefix operator: it stays an index condition when the plan is generic."""
    return and_(column >= value, column < value + _LAST)


def _with_affiliations(member_id: UUID) -> Select[Member]:
    return select(Member).where(members.c.id == member_id).options(selectinload(Member.affiliations))  # type: ignore[arg-type]


async def _registered(session: ReadSession, look_up: Any, **parameters: object) -> Registered | None:
    row = (await session.execute(look_up, parameters)).one_or_none()
    return (
        None if row is None else Registered(row.id, row.path, row.organisation_id, MemberStatus(row.status))
    )


def _found(member: Member | None) -> Member:
    if member is None:
        raise NotFound("not-found")
    return member
