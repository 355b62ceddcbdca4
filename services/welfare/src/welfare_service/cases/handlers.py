"""Facts of membership, as steps of cases. What they need is in the events; the replica of units is asked for a path alone."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBER_ERASED, MemberDeceased, MemberTransferred, MemberWithdrawn
from shared.database.session import WriteSession
from shared.directory.organisations import path_of_organisation
from shared.kernel.clock import china_date
from shared.kernel.errors import Unavailable
from shared.security.acting import SYSTEM, By
from welfare_service.cases import repository
from welfare_service.cases.domain import Act, FlagReason
from welfare_service.cases.recording import record
from welfare_service.consumers import EFFECTS
from welfare_service.programmes import repository as programmes
from welfare_service.programmes.use_cases import record as record_programme

_REASONS: Final = {
    MemberWithdrawn.type: FlagReason.WITHDRAWN,
    MemberDeceased.type: FlagReason.DECEASED,
    MemberTransferred.type: FlagReason.TRANSFERRED,
    MEMBER_ERASED: FlagReason.ERASED,
}


async def on_member_events(session: WriteSession, events: Sequence[Received]) -> None:
    """Flag the running cases of members who left, died, moved or were erased; of several facts the newest is shown."""
    newest: dict[UUID, Received] = {}
    for event in events:
        known = newest.get(event.subject)
        if event.type in _REASONS and (known is None or known.sequence < event.sequence):
            newest[event.subject] = event
    for case in await repository.running_of_members(session, newest.keys()):
        event = newest[case.member_id]
        entry = case.flag(_REASONS[event.type], _act(event.time))
        if entry is not None:
            await record(session, case, entry)
    erased = [subject for subject, event in newest.items() if event.type == MEMBER_ERASED]
    if erased:
        await repository.forget_private(session, erased)


class Takeover(NamedTuple):
    """A dissolved unit, who takes its running affairs on, where that one stands, and when it was dissolved."""

    organisation_id: UUID
    successor_id: UUID
    path: str
    at: datetime


async def takeovers(session: WriteSession, events: Sequence[Received]) -> list[Takeover]:
    """Who takes over in the end, whatever order the dissolutions of a chain come in. Raises Unavailable to be tried again."""
    named = {event.subject: UUID(event.data["successor_id"]) for event in events if event.data is not None}
    at = {event.subject: event.time for event in events}
    last = await repository.add_successions(session, named)
    found = []
    for unit, successor in sorted(last.items()):
        found.append(Takeover(unit, successor, await _path(session, successor), at[unit]))
    return found


async def keepers(session: WriteSession, organisations: Collection[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Who keeps the affairs of these units, itself or whoever took over, and where. Raises Unavailable to be tried again."""
    last = await repository.last_successors(session, organisations)
    found = {}
    for unit in organisations:
        keeper = last.get(unit, unit)
        found[unit] = (keeper, await _path(session, keeper))
    return found


async def hand_over(session: WriteSession, dissolved: Sequence[Takeover]) -> None:
    """Programmes go to who takes over, and the cases that wait for somebody; those that are over stay where they were."""
    by_unit = {takeover.organisation_id: takeover for takeover in dissolved}
    for programme in await programmes.of_organisations(session, by_unit.keys()):
        to = by_unit[programme.organisation_id]
        programme.hand_over(to.successor_id, to.path, to.at)
        budget = await programmes.budget_figures(session, programme.budget_id)
        by = By(SYSTEM, EFFECTS, to.at)
        await record_programme(session, programme, by, budget.allocated_fen if budget else 0)
    for case in await repository.waiting_of_organisations(session, by_unit.keys()):
        to = by_unit[case.organisation_id]
        entry = case.hand_over(to.successor_id, to.path, _act(to.at))
        if entry is not None:
            await record(session, case, entry)


async def _path(session: WriteSession, organisation_id: UUID) -> str:
    path = await path_of_organisation(session, organisation_id)
    if path is None:
        # The units come by a consumer of their own, which may be behind.
        raise Unavailable("directory-behind", retry_after=1)
    return path


def _act(at: datetime) -> Act:
    day: date = china_date(at)
    return Act(By(SYSTEM, EFFECTS, at), day)
