"""What facts of other services do here, each once: a member leaves or moves, a unit is dissolved."""

from collections.abc import Sequence
from typing import Final

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
from welfare_service.cases import handlers as cases
from welfare_service.dossiers import handlers as dossiers

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
        await cases.on_member_events(session, of_members)
        await dossiers.on_member_events(session, of_members)
    if dissolved:
        takeovers = await cases.takeovers(session, dissolved)
        await cases.hand_over(session, takeovers)
        for unit in takeovers:
            await dossiers.hand_over(session, *unit)
