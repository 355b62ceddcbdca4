"""The views' consumer: facts first, then what is counted from them, in one transaction a batch."""

from collections.abc import Sequence

from gateway_service.dashboard import repository
from gateway_service.dashboard.use_cases import count_events
from gateway_service.dashboard.weighed.repository import name_programmes
from gateway_service.facts import repository as facts
from gateway_service.live.repository import announce
from shared.contracts.envelope import Received
from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.contracts.welfare import CASES, DOSSIERS, PROGRAMMES
from shared.database.session import WriteSession
from shared.messaging.projection import newest_wins

TOPICS = (ORGANISATIONS, MEMBERS, DOSSIERS, PROGRAMMES, CASES, ACTIVITIES, REGISTRATIONS)


async def apply(session: WriteSession, events: Sequence[Received]) -> None:
    """Record the batch's new facts and count them in the live slot."""
    slot = await repository.locked_live_slot(session)
    new = await facts.append(session, events)
    newest = newest_wins(new)
    await facts.place_members(session, newest)
    programmes = [event for event in newest if event.topic == PROGRAMMES.name]
    if programmes:
        await name_programmes(session, programmes)
    await count_events(session, slot, new)
    await announce(session, new)
