"""The views' consumer: facts first, then what is counted from them, in one transaction a batch."""

from collections.abc import Sequence

from gateway_service.dashboard import repository
from gateway_service.dashboard.use_cases import count_events
from gateway_service.facts import repository as facts
from gateway_service.live.repository import announce
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.database.session import WriteSession
from shared.messaging.projection import newest_wins

TOPICS = (ORGANISATIONS, MEMBERS)


async def apply(session: WriteSession, events: Sequence[Received]) -> None:
    """Record the batch's new facts and count them in the live slot."""
    slot = await repository.locked_live_slot(session)
    new = await facts.append(session, events)
    await facts.place_members(session, newest_wins(new))
    await count_events(session, slot, new)
    await announce(session, new)
