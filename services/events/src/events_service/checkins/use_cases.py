"""What one can do about who was there: one function per verb, each in the transaction that it is given.

Locks registrations, in the order of their ids, and nothing after them.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from events_service.activities import repository as activities
from events_service.activities.domain import Activity
from events_service.checkins import codes, domain, repository
from events_service.checkins.domain import CheckIn, Outcome, Scanned, Verdict, Way
from events_service.own import own_member
from events_service.registrations import use_cases as registrations
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller


async def code(
    session: ReadSession, caller: Caller, now: datetime, ring: KeyRing, activity_id: UUID, number: int
) -> codes.IssuedCode:
    """The code to show at the entrance now. Only around the session."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.CHECK_IN, activity.path)
    domain.must_take_place(activity.stage)
    if not domain.is_around(domain.session_number(activity.sessions, number), now):
        raise Conflict("check-in-no-session-then")
    return codes.issue(ring, activity_id, number, now)


async def scan(session: WriteSession, caller: Caller, by: By, ring: KeyRing, scanned: str) -> CheckIn:
    """A member signs in by a code. The same again, as often as one likes, gives the same answer."""
    read = codes.read(ring, scanned, by.at)
    member = await own_member(session, caller)
    path = await activities.path_of(session, read.activity_id)
    seat = await repository.seat_of(session, read.activity_id, member.id)
    if path is None or seat is None:
        raise Forbidden("check-in-no-seat")
    # The code is the right to write here, the seat is the caller's own.
    await session.widen_scope(path)
    activity = await activities.get(session, read.activity_id)
    check_in = CheckIn(seat, read.session_number, by.at, Way.CODE)
    return await _take_in(session, activity, check_in, by)


async def by_hand(
    session: WriteSession,
    caller: Caller,
    by: By,
    activity_id: UUID,
    *,
    registration_id: UUID | None,
    member_id: UUID | None,
    number: int | None,
    at: datetime | None,
) -> CheckIn:
    """An organiser signs somebody in: now, or when it was. Raises Invalid unless one of registration and member is given."""
    if (registration_id is None) == (member_id is None):
        raise Invalid("check-in-who", field="registration_id")
    activity = await activities.get(session, activity_id)
    caller.require(Action.CHECK_IN, activity.path)
    moment = at or by.at
    if moment > by.at:
        raise Invalid("check-in-in-future", field="at")
    if number is None:
        number = domain.session_at(activity.sessions, moment)
        if number is None:
            raise Conflict("check-in-no-session-then")
    elif not domain.is_around(domain.session_number(activity.sessions, number), moment):
        raise Conflict("check-in-no-session-then")
    if member_id is not None:
        registration_id = await repository.seat_of(session, activity_id, member_id)
    if registration_id is None:
        raise Forbidden("check-in-no-seat")
    return await _take_in(session, activity, CheckIn(registration_id, number, moment, Way.HAND), by)


async def merge(
    session: WriteSession, caller: Caller, by: By, activity_id: UUID, rows: Sequence[Scanned]
) -> list[Verdict]:
    """Take in what a device wrote down while it was offline, row by row: one that is refused keeps no other out."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.CHECK_IN, activity.path)
    domain.must_take_place(activity.stage)
    seats = await repository.seats_for_change(session, activity_id, [row.registration_id for row in rows])
    judged = [
        domain.judge(
            row,
            activity.sessions,
            seats[row.registration_id].status if row.registration_id in seats else None,
            by.at,
        )
        for row in rows
    ]
    kept = domain.earliest([one for one in judged if isinstance(one, CheckIn)])
    new = await _write(session, activity, kept, by) if kept else set()
    firsts = set(kept)
    verdicts = []
    for one in judged:
        if isinstance(one, Verdict):
            verdicts.append(one)
            continue
        is_first = (one.registration_id, one.session_number) in new and one in firsts
        # Of two entries that are the same in all, one is the first.
        firsts.discard(one)
        outcome = Outcome.ACCEPTED if is_first else Outcome.DUPLICATE
        verdicts.append(Verdict(outcome, None, one.session_number))
    return verdicts


async def _take_in(session: WriteSession, activity: Activity, check_in: CheckIn, by: By) -> CheckIn:
    domain.must_take_place(activity.stage)
    seats = await repository.seats_for_change(session, activity.id, [check_in.registration_id])
    seat = seats.get(check_in.registration_id)
    domain.must_have_seat(seat.status if seat else None)
    await _write(session, activity, [check_in], by)
    first = await repository.attended_at(session, check_in.registration_id, check_in.session_number)
    return check_in._replace(attended_at=first)


async def _write(
    session: WriteSession, activity: Activity, kept: Sequence[CheckIn], by: By
) -> set[tuple[UUID, int]]:
    new = await repository.write(session, activity.id, kept, by)
    # Whoever comes to a second session has attended already: that is said once.
    await registrations.mark_attended(session, sorted({one.registration_id for one in kept}), by)
    return new
