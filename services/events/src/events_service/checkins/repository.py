"""Every query of check-ins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import and_, select, text, tuple_

from events_service.checkins.domain import CheckIn, Way
from events_service.checkins.tables import check_ins
from events_service.registrations.tables import registrations
from shared.contracts.events_service import RegistrationStatus
from shared.database.session import ReadSession, WriteSession, as_columns, driver
from shared.security.acting import By

#: A check-in that is there already only learns of an earlier moment; `new` tells which were not.
_WRITE: Final = """
    INSERT INTO check_ins AS known (registration_id, session_number, activity_id, attended_at, way, recorded_at, actor_issuer,
        actor_subject, device_id, local_id)
    SELECT registration_id, session_number, $1, attended_at, way, $2, $3, $4, device_id, local_id
    FROM unnest($5::uuid[], $6::smallint[], $7::timestamptz[], $8::text[], $9::text[], $10::text[])
        AS new (registration_id, session_number, attended_at, way, device_id, local_id)
    ON CONFLICT (registration_id, session_number) DO UPDATE SET attended_at = excluded.attended_at
    WHERE known.attended_at > excluded.attended_at
    RETURNING registration_id, session_number, xmax = 0 AS new
"""
_LOCK: Final = text("""
    SELECT id, member_id, status FROM registrations WHERE activity_id = :activity AND id = ANY (:ids)
    ORDER BY id FOR NO KEY UPDATE
""")


class Seat(NamedTuple):
    """A registration as a check-in needs it."""

    id: UUID
    member_id: UUID
    status: RegistrationStatus


class Listed(NamedTuple):
    """A check-in with the member it is of."""

    registration_id: UUID
    session_number: int
    member_id: UUID
    attended_at: datetime
    way: Way


async def seat_of(session: ReadSession, activity_id: UUID, member_id: UUID) -> UUID | None:
    """The registration of a member that was not cancelled."""
    columns = registrations.c
    found: UUID | None = await session.scalar(
        select(columns.id).where(
            columns.activity_id == activity_id,
            columns.member_id == member_id,
            columns.status != RegistrationStatus.CANCELLED,
        )
    )
    return found


async def seats_for_change(session: WriteSession, activity_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Seat]:
    """Those of these registrations that belong to the activity, locked in the order of their ids."""
    rows = await session.execute(_LOCK, {"activity": activity_id, "ids": list(ids)})
    return {row.id: Seat(row.id, row.member_id, RegistrationStatus(row.status)) for row in rows}


async def write(
    session: WriteSession, activity_id: UUID, found: Sequence[CheckIn], by: By
) -> set[tuple[UUID, int]]:
    """Keep check-ins, one for each registration and session; (registration, session) of those that were not there."""
    rows = await (await driver(session)).fetch(
        _WRITE, activity_id, by.at, by.issuer, by.subject, *as_columns(found)
    )
    return {(row["registration_id"], row["session_number"]) for row in rows if row["new"]}


async def attended_at(session: ReadSession, registration_id: UUID, session_number: int) -> datetime:
    """The moment of a check-in that is there."""
    columns = check_ins.c
    found = select(columns.attended_at).where(
        columns.registration_id == registration_id, columns.session_number == session_number
    )
    moment: datetime = (await session.execute(found)).scalar_one()
    return moment


async def page(
    session: ReadSession, activity_id: UUID, after: tuple[int, UUID] | None, limit: int
) -> Sequence[Listed]:
    """Up to `limit` check-ins of an activity, session by session."""
    columns = check_ins.c
    found = (
        select(
            columns.registration_id,
            columns.session_number,
            registrations.c.member_id,
            columns.attended_at,
            columns.way,
        )
        .join(registrations, registrations.c.id == columns.registration_id)
        .where(columns.activity_id == activity_id)
    )
    if after:
        found = found.where(
            and_(
                columns.session_number >= after[0],
                tuple_(columns.session_number, columns.registration_id) > after,
            )
        )
    rows = await session.execute(found.order_by(columns.session_number, columns.registration_id).limit(limit))
    return [Listed(*row) for row in rows]
