"""What happens here because of what happened in membership: once for each event, whatever comes twice or late.

The replica is brought up to date in the same transaction (newest sequence wins, so its own consumer changes nothing by coming
later): from then on nobody who left registers, and no dissolved unit begins an activity.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from events_service.activities import repository as activities
from events_service.activities.use_cases import hand_over
from events_service.calendars import repository as calendars
from events_service.consumers import EFFECTS
from events_service.feedback import repository as feedback
from events_service.registrations import use_cases as registrations
from shared.contracts.envelope import Received
from shared.contracts.membership import (
    MEMBER_ERASED,
    MEMBERS,
    ORGANISATIONS,
    MemberDeceased,
    MemberWithdrawn,
    OrganisationDissolved,
)
from shared.database.session import WriteSession
from shared.directory.replica import apply_with
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.messaging.consumer_apply import Handler
from shared.security.acting import SYSTEM, By

TOPICS: Final = (MEMBERS, ORGANISATIONS)
_LEFT: Final = frozenset({MemberWithdrawn.type, MemberDeceased.type, MEMBER_ERASED})
_CHUNK: Final = 500


def handler(moved_along: Sequence[str], clock: Clock) -> Handler:
    """The handler of the effects; `moved_along` as in `shared.directory.replica.handler`."""

    async def apply(session: WriteSession, events: Sequence[Received]) -> None:
        by = By(SYSTEM, EFFECTS, clock.now())
        await apply_with(session, events, moved_along)
        dissolved = {
            event.subject: UUID(event.data["successor_id"])
            for event in events
            if event.type == OrganisationDissolved.type and event.data is not None
        }
        if dissolved:
            await _hand_over(session, dissolved, by)
        gone = {event.subject: event.time for event in sorted(events, key=_sequence) if event.type in _LEFT}
        if gone:
            await registrations.cancel_of_members(session, gone, by)
        erased = [event.subject for event in events if event.type == MEMBER_ERASED]
        if erased:
            await feedback.forget(session, erased)
            await calendars.forget(session, erased)

    return apply


async def _hand_over(session: WriteSession, dissolved: dict[UUID, UUID], by: By) -> None:
    for unit, successor in sorted(dissolved.items()):
        await activities.succeed(session, unit, successor)
    for unit, (heir, path) in sorted((await activities.heirs(session, list(dissolved))).items()):
        if path is None:
            # The successor is not in the replica yet: the event comes again.
            raise Unavailable("database-busy", retry_after=1)
        while handed := await hand_over(session, by, unit, heir, path, _CHUNK):
            await registrations.hand_over(session, handed, by)


def _sequence(event: Received) -> int:
    return event.sequence
