"""What one can do with a lottery: one function per verb, each in the transaction that it is given.

Order of locks: the activity, its lottery, its seats, its registrations.
"""

from typing import Final
from uuid import UUID

from events_service.activities import opening
from events_service.activities import repository as activities
from events_service.activities.domain import Activity
from events_service.activities.plan import seats_by_pool
from events_service.lottery import repository
from events_service.lottery.domain import BLOCK, SEED_BYTES, Lottery, commitment_of, unpacked
from events_service.own import own_member
from events_service.registrations import use_cases as registrations
from events_service.registrations.domain import Lot
from shared.contracts.events_service import ActivityStage, AdmissionMode
from shared.database.session import ReadSession, WriteSession
from shared.jobs.queue import enqueue
from shared.kernel.clock import Clock
from shared.kernel.errors import Conflict, NotFound
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.security.randomness import Draw

#: The job that settles what is more than one block.
SETTLE: Final = "lottery.settle"


def commit_seeds(ring: KeyRing, draw: Draw) -> opening.Told:
    """For `opening.tell`: every activity by lottery is announced with the commitment to a seed that `draw` gave."""

    async def told(session: WriteSession, activity: Activity, by: By) -> None:
        if activity.mode is AdmissionMode.LOTTERY:
            await commit_seed(session, activity.id, draw(SEED_BYTES), ring, by)

    return told


async def commit_seed(session: WriteSession, activity_id: UUID, seed: bytes, ring: KeyRing, by: By) -> None:
    """Make the commitment to `seed` public and keep the seed sealed, wrapped like a data key and rotated with them."""
    lottery = Lottery(
        activity_id=activity_id,
        commitment=commitment_of(seed),
        committed_at=by.at,
        seed_wrapped=ring.wrap(seed),
    )
    await repository.add_commitment(session, lottery)


async def read(
    session: ReadSession, caller: Caller, clock: Clock, activity_id: UUID
) -> tuple[Activity, Lottery]:
    """For who reads activities there, and for members of the audience. Raises NotFound for all others."""
    path = await activities.path_of(session, activity_id)
    # An unknown one is told apart from no other that is out of sight: also who is no member hears the same of both.
    if path is None or not caller.allows(Action.ACTIVITY_READ, path):
        member = await own_member(session, caller)
        if path is None or not await activities.is_welcome(session, activity_id, member.id, clock.now()):
            raise NotFound("not-found")
    return await activities.get(session, activity_id), await repository.get(session, activity_id)


async def draw_lots(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, activity_id: UUID
) -> tuple[Activity, Lottery]:
    """Draw, once and for good, when nobody can enter any more; the seed is public from here on."""
    activity = await activities.get_for_change(session, activity_id)
    caller.require(Action.REGISTRATION_CHANGE, activity.path)
    lottery = await repository.get_for_change(session, activity_id)
    lottery.must_wait()
    if activity.stage is not ActivityStage.CLOSED:
        raise Conflict("lottery-not-closed")
    # Whoever gives up an entry locks the seats first: from here on the entries are those that are drawn.
    await activities.taken_for_change(session, activity_id)
    entries, digest = await repository.count_entries(session, activity_id)
    seed = ring.unwrap(lottery.seed_wrapped or b"")
    seats = seats_by_pool(activity.capacity, activity.quotas)
    key = lottery.reveal(seed, entries, digest, seats, by)
    await session.flush()
    await repository.record(session, activity_id, key, seats)
    session.audit("lottery.drawn", "activity", activity_id, {"entries": str(entries)}, path=activity.path)
    await settle(session, activity_id, 0, by)
    if entries > BLOCK:
        await enqueue(session, SETTLE, {"activity_id": str(activity_id)})
    return activity, lottery


async def settle(session: WriteSession, activity_id: UUID, number: int, by: By) -> bool:
    """Let the entries of one block of the record have what they drew; False when there is no such block."""
    block = await repository.block(session, activity_id, number)
    if block is None:
        return False
    lots = [Lot(one.registration_id, one.position, one.is_confirmed) for one in unpacked(number, block)]
    await registrations.settle_lots(session, activity_id, lots, by)
    return True
