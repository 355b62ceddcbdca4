"""What others' events do to dossiers. Called by the service's effects consumer: each event once, in its transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.contracts import membership as contract
from shared.contracts.envelope import Received
from shared.database.session import WriteSession
from shared.security.acting import SYSTEM, By
from welfare_service.dossiers import repository
from welfare_service.dossiers.domain import MEMBER_TRANSFERRED
from welfare_service.dossiers.reviews import repository as reviews
from welfare_service.dossiers.use_cases import add_review_task, record

#: Event type -> why the dossier of the member is to be looked at again.
REASONS: Final[Mapping[str, str]] = {
    contract.MemberWithdrawn.type: "member-withdrawn",
    contract.MemberDeceased.type: "member-deceased",
    contract.MemberTransferred.type: MEMBER_TRANSFERRED,
    contract.MEMBER_ERASED: "member-erased",
}


class Arrival(NamedTuple):
    """Who heads a dossier's household belongs to another unit by version `sequence`: who keeps it there, where, since when."""

    dossier_id: UUID
    member_id: UUID
    sequence: int
    organisation_id: UUID
    path: str
    at: datetime


async def follow(session: WriteSession, arrivals: Sequence[Arrival]) -> None:
    """The files of households go with their heads, and what is to be looked at goes with the files."""
    for arrival in sorted(arrivals):
        by = By(SYSTEM, "dossiers", arrival.at)
        dossier = await repository.get_for_change(session, arrival.dossier_id)
        unit, path = arrival.organisation_id, arrival.path
        entry = dossier.follow(arrival.member_id, arrival.sequence, unit, path, by)
        if entry is not None:
            await record(session, dossier, entry, by)
            await reviews.hand_over(session, dossier.id, unit, path)


async def on_member_events(session: WriteSession, events: Sequence[Received]) -> None:
    """Who left, died, moved or was erased: the dossier gets a review task; of the erased nothing can be read any more."""
    for event in events:
        reason = REASONS.get(event.type)
        if reason is None:
            continue
        await add_review_task(session, event.subject, reason, event.time)
        if event.type == contract.MEMBER_ERASED:
            await repository.erase_member(session, event.subject)


async def hand_over(
    session: WriteSession, organisation_id: UUID, successor_id: UUID, path: str, at: datetime
) -> None:
    """A unit was dissolved: its dossiers that are not closed are kept by its successor at `path` from now on."""
    by = By(SYSTEM, "dossiers", at)
    for dossier_id in await repository.of_unit(session, organisation_id):
        dossier = await repository.get_for_change(session, dossier_id)
        await record(session, dossier, dossier.hand_over(successor_id, path, by), by)
        await reviews.hand_over(session, dossier_id, successor_id, path)
