"""What one can do with a registration: one function per verb, each in the transaction that it is given.

Order of locks: the activity (where it changes), its seats, then registrations.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from events_service.activities import repository as activities
from events_service.activities.domain import SEATS_MOVE, Activity
from events_service.activities.plan import Quota, seats_by_pool
from events_service.activities.use_cases import record_change, take
from events_service.own import find_own_member
from events_service.registrations import repository
from events_service.registrations.domain import LEFT_THE_UNION, Lot, Registration
from shared.contracts.events_service import RegistrationStatus
from shared.database.session import WriteSession
from shared.kernel.errors import Conflict
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version


async def see(session: WriteSession, caller: Caller, registration_id: UUID, action: Action) -> Registration:
    """A registration that is the caller's own, or that the caller's posts allow `action` on; then all of its waiting list.

    Raises NotFound, Forbidden.
    """
    own = await find_own_member(session, caller)
    registration = await repository.get(session, registration_id)
    if own is None or registration.member_id != own.id:
        caller.require(action, registration.path)
    else:
        await session.widen_scope(registration.path)
    return registration


async def cancel(
    session: WriteSession, caller: Caller, by: By, registration_id: UUID, version: int, reason: str | None
) -> Registration:
    """Give up a place; its seat goes to the first who waits. Raises Conflict once the activity has begun."""
    seen = await see(session, caller, registration_id, Action.REGISTRATION_CHANGE)
    pools = await repository.lock(session, [registration_id])
    registration = await repository.get(session, registration_id)
    require_version(version, registration.version)
    if registration.status is RegistrationStatus.CANCELLED:
        raise Conflict("registration-cancelled")
    activity = await activities.get(session, seen.activity_id)
    if activity.stage not in SEATS_MOVE or activity.starts_at <= by.at or registration.attended:
        raise Conflict("registration-settled")
    await repository.cancel(session, [registration_id], reason, by)
    await repository.promote(session, pools, by)
    session.audit("registration.cancelled", "registration", registration_id, path=registration.path)
    return await repository.get(session, registration_id)


async def change_seats(
    session: WriteSession,
    caller: Caller,
    by: By,
    activity_id: UUID,
    version: int,
    capacity: int,
    quotas: tuple[Quota, ...],
) -> Activity:
    """Other numbers of seats; new ones go to those who wait. Raises Conflict below what is taken."""
    activity = await take(session, caller, Action.ACTIVITY_CHANGE, activity_id, version)
    entry = activity.change_seats(capacity, quotas, by)
    taken = await activities.taken_for_change(session, activity_id)
    for pool, (seats, held) in enumerate(zip(seats_by_pool(capacity, quotas), taken, strict=False)):
        if seats < held:
            raise Conflict("seats-taken", taken=held, pool=pool)
    await record_change(session, activity, entry)
    await activities.set_seats(session, activity_id, capacity, quotas)
    if activity.stage in SEATS_MOVE:
        await repository.promote(session, [(activity_id, pool) for pool in range(len(taken))], by)
    return activity


async def settle_lots(session: WriteSession, activity_id: UUID, lots: Sequence[Lot], by: By) -> None:
    """Give entries of a lottery what they drew. `lots` go on in the order of the draw: the confirmed of a pool come before those
    who wait, so a seat that somebody gave up since the draw goes to the first who waits.
    """
    pools = await repository.lock_seats(session, [activity_id])
    await repository.settle(session, activity_id, lots, by)
    await repository.promote(session, pools, by)


async def mark_attended(session: WriteSession, registration_ids: Sequence[UUID], by: By) -> list[UUID]:
    """Note who was there; the ids of those whom this marks (not who has no seat, or was marked before)."""
    return await repository.attend(session, registration_ids, by)


async def rate(session: WriteSession, registration_id: UUID, score: int, by: By) -> Registration:
    """Note how it was, 1 (poor) to 5. Raises Conflict for who was not there."""
    if not await repository.rate(session, registration_id, score, by):
        raise Conflict("registration-not-attended")
    return await repository.get(session, registration_id)


async def cancel_some(session: WriteSession, activity_id: UUID, reason: str, by: By, limit: int) -> int:
    """Take back up to `limit` places of an activity that is called off; how many. Nobody moves up."""
    await repository.lock_seats(session, [activity_id])
    ids = await repository.live(session, activity_id, limit)
    return await repository.cancel(session, ids, reason, by) if ids else 0


async def cancel_of_members(session: WriteSession, gone: Mapping[UUID, datetime], by: By) -> int:
    """Take back the places of members who left the union, each at a moment; others move up. How many places ended."""
    ids = await repository.left_behind(session, gone, by.at)
    if not ids:
        return 0
    pools = await repository.lock(session, ids)
    ended = await repository.cancel(session, ids, LEFT_THE_UNION, by)
    await repository.promote(session, pools, by)
    return ended


async def hand_over(session: WriteSession, activity_ids: Sequence[UUID], by: By) -> None:
    """Let registrations follow their activities to another unit."""
    await repository.lock_seats(session, activity_ids)
    await repository.hand_over(session, activity_ids, by)
