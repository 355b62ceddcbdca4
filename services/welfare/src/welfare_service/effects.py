"""What facts of other services do here, each once: a member leaves or moves, a unit is dissolved."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.membership import (
    MEMBER_ERASED,
    MEMBERS,
    ORGANISATIONS,
    MemberDeceased,
    MemberTransferred,
    MemberWithdrawn,
    OrganisationDissolved,
)
from shared.database.session import WriteSession
from shared.messaging.projection import newest_wins
from welfare_service.cases import handlers as cases
from welfare_service.dossiers import handlers as dossiers
from welfare_service.dossiers.repository import headed
from welfare_service.funds import use_cases as funds
from welfare_service.payouts import use_cases as payouts

TOPICS: Final = (MEMBERS, ORGANISATIONS)
#: The others change nothing here; they pass by in their thousands.
_OF_MEMBERS: Final = frozenset(
    {MemberWithdrawn.type, MemberDeceased.type, MemberTransferred.type, MEMBER_ERASED}
)


async def apply(session: WriteSession, events: Sequence[Received]) -> None:
    """Handler of the consumer "welfare.effects"; it sees every event once."""
    of_members = [event for event in events if event.type in _OF_MEMBERS]
    dissolved = [event for event in events if event.type == OrganisationDissolved.type]
    if of_members:
        await _follow(session, [event for event in of_members if event.type == MemberTransferred.type])
        await cases.on_member_events(session, of_members)
        await dossiers.on_member_events(session, of_members)
    if dissolved:
        takeovers = await cases.takeovers(session, dissolved)
        for unit, successor, path, _ in takeovers:
            await payouts.hand_over(session, unit, successor, path)
        await cases.hand_over(session, takeovers)
        for takeover in takeovers:
            await dossiers.hand_over(session, *takeover)
        for unit, successor, path, _ in takeovers:
            await funds.hand_over(session, unit, successor, path)


async def _follow(session: WriteSession, transferred: Sequence[Received]) -> None:
    """Dossiers before cases: so does the consumer of units, when all that a moved unit keeps is moved along."""
    newest = newest_wins(transferred)
    files = await headed(session, [event.subject for event in newest])
    moved = [(event, unit) for event in newest if event.subject in files and (unit := _unit(event))]
    keepers = await cases.keepers(session, {unit for _, unit in moved}) if moved else {}
    arrivals = [
        dossiers.Arrival(files[event.subject], event.subject, event.sequence, *keepers[unit], event.time)
        for event, unit in moved
    ]
    await dossiers.follow(session, arrivals)


def _unit(event: Received) -> UUID | None:
    return None if event.data is None else UUID(event.data["state"]["organisation_id"])
