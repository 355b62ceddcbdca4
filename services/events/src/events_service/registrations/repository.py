"""Every query of registrations. Set-based changes go through the driver: see `registrations.statements`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_

from events_service.registrations import statements
from events_service.registrations.domain import Counts, Lot, Registration
from events_service.registrations.tables import registrations
from shared.contracts.events_service import RegistrationStatus
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession, as_columns, driver
from shared.kernel.errors import NotFound
from shared.security.acting import By

Pools = Sequence[tuple[UUID, int]]
#: Seconds. A draw of a million entries is one statement.
_LONG: Final = 900.0


async def get(session: ReadSession, registration_id: UUID) -> Registration:
    """The registration as it is now. Raises NotFound, also for what the caller may not see."""
    wanted = select(Registration).where(registrations.c.id == registration_id)
    found = await session.scalar(wanted.execution_options(populate_existing=True))
    if found is None:
        raise NotFound("not-found")
    return found


async def find_live(session: ReadSession, activity_id: UUID, member_id: UUID) -> Registration | None:
    """The place that a member has in an activity, if there is one."""
    columns = registrations.c
    return await session.scalar(
        select(Registration).where(
            columns.activity_id == activity_id,
            columns.member_id == member_id,
            columns.status != RegistrationStatus.CANCELLED,
        )
    )


async def page_of_activity(
    session: ReadSession,
    activity_id: UUID,
    status: RegistrationStatus | None,
    after: tuple[int, UUID] | None,
    limit: int,
) -> Sequence[Registration]:
    """Up to `limit` registrations of an activity, by position."""
    columns = registrations.c
    found = select(Registration).where(columns.activity_id == activity_id)
    if status:
        found = found.where(columns.status == status)
    if after:
        found = found.where(tuple_(columns.position, columns.id) > after)
    return (await session.scalars(found.order_by(columns.position, columns.id).limit(limit))).all()


async def page_of_member(
    session: ReadSession,
    member_id: UUID,
    before: UUID | None,
    limit: int,
    *,
    within: Sequence[str] | None = None,
) -> Sequence[Registration]:
    """Up to `limit` registrations of a member, newest first (ids rise with time); those of some subtrees, or all."""
    columns = registrations.c
    found = select(Registration).where(columns.member_id == member_id)
    if within is not None:
        found = found.where(or_(*(in_subtree(columns.path, root) for root in within)))
    if before:
        found = found.where(columns.id < before)
    return (await session.scalars(found.order_by(columns.id.desc()).limit(limit))).all()


async def counts(session: ReadSession, activity_id: UUID) -> Counts:
    """Registrations of an activity by status."""
    columns = registrations.c
    rows = await session.execute(
        select(columns.status, func.count())
        .where(columns.activity_id == activity_id)
        .group_by(columns.status)
    )
    found: Mapping[Any, int] = {row[0]: row[1] for row in rows}
    return Counts(**{status.value: found.get(status, 0) for status in RegistrationStatus})


async def count_ahead(session: ReadSession, registration: Registration) -> int | None:
    """How many wait before this one; None for one that does not wait. The session must see the whole waiting list."""
    if registration.status is not RegistrationStatus.WAITING:
        return None
    columns = registrations.c
    return await session.scalar(
        select(func.count()).where(
            columns.activity_id == registration.activity_id,
            columns.pool == registration.pool,
            columns.status == RegistrationStatus.WAITING,
            columns.position < registration.position,
        )
    )


async def lock(session: WriteSession, ids: Sequence[UUID]) -> Pools:
    """Lock the seats of these registrations, then them; the pools they are in."""
    connection = await driver(session)
    rows = await connection.fetch(statements.LOCK_SEATS_OF, list(ids))
    await connection.fetch(statements.LOCK, list(ids))
    return [(row["activity_id"], row["pool"]) for row in rows]


async def lock_seats(session: WriteSession, activity_ids: Sequence[UUID]) -> Pools:
    """Lock all seats of these activities; their pools."""
    connection = await driver(session)
    rows = await connection.fetch(statements.LOCK_SEATS, list(activity_ids))
    return [(row["activity_id"], row["pool"]) for row in rows]


async def cancel(session: WriteSession, ids: Sequence[UUID], reason: str | None, by: By) -> int:
    """End these places and free their seats; how many did. Locked before."""
    ended: int = (await _run(session, statements.CANCEL, by, list(ids), reason))["count"]
    return ended


async def promote(session: WriteSession, pools: Pools, by: By) -> int:
    """Give free seats of these pools to the first who wait; how many moved up. Seats are locked before."""
    activity_ids, numbers = [pool[0] for pool in pools], [pool[1] for pool in pools]
    promoted: int = (await _run(session, statements.PROMOTE, by, activity_ids, numbers))["count"]
    return promoted


async def settle(session: WriteSession, activity_id: UUID, lots: Sequence[Lot], by: By) -> int:
    """Give these entries what they drew; how many are settled by this. Seats are locked before."""
    settled: int = (await _run(session, statements.SETTLE, by, activity_id, *as_columns(lots)))["count"]
    return settled


async def attend(session: WriteSession, ids: Sequence[UUID], by: By) -> list[UUID]:
    """Mark confirmed registrations as attended; the ids of those that are so by this."""
    connection = await driver(session)
    await connection.fetch(statements.LOCK, list(ids))
    rows = await connection.fetch(statements.ATTEND, *_who(by), list(ids))
    return [row["id"] for row in rows]


async def rate(session: WriteSession, registration_id: UUID, score: int, by: By) -> int:
    """Note the satisfaction of who was there; 0 if nobody was."""
    rated: int = (await _run(session, statements.RATE, by, registration_id, score))["count"]
    return rated


async def hand_over(session: WriteSession, activity_ids: Sequence[UUID], by: By) -> int:
    """Let registrations follow their activities to another unit; how many did."""
    moved: int = (await _run(session, statements.HAND_OVER, by, list(activity_ids)))["count"]
    return moved


async def live(session: WriteSession, activity_id: UUID, limit: int) -> list[UUID]:
    """Up to `limit` places of an activity that end with it."""
    connection = await driver(session)
    return [row["id"] for row in await connection.fetch(statements.LIVE, activity_id, limit)]


async def left_behind(session: WriteSession, gone: Mapping[UUID, datetime], now: datetime) -> list[UUID]:
    """Places in activities to come of members who left, each at a moment."""
    connection = await driver(session)
    rows = await connection.fetch(statements.LEFT_BEHIND, list(gone), list(gone.values()), now)
    return [row["id"] for row in rows]


async def _run(session: WriteSession, statement: str, by: By, *arguments: Any) -> Any:
    connection = await driver(session)
    return await connection.fetchrow(statement, *_who(by), *arguments, timeout=_LONG)


def _who(by: By) -> tuple[Any, ...]:
    return by.at, by.today, by.issuer, by.subject
