"""Facts of membership, as steps of cases. What they need is in the events; the replica of units is asked for a path alone."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
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


async def on_dissolved(session: WriteSession, successors: Mapping[UUID, tuple[UUID, Received]]) -> None:
    """Hand what waits in dissolved units to who takes over, whatever order the dissolutions of a chain come in."""
    last = await repository.add_successions(
        session, {unit: successor for unit, (successor, _) in successors.items()}
    )
    paths = {unit: await _path_of(session, unit) for unit in set(last.values())}
    for programme in await programmes.of_organisations(session, last.keys()):
        successor = last[programme.organisation_id]
        at = successors[programme.organisation_id][1].time
        programme.hand_over(successor, paths[successor], at)
        budget = await programmes.budget_figures(session, programme.budget_id)
        by = By(SYSTEM, EFFECTS, at)
        await record_programme(session, programme, by, budget.allocated_fen if budget else 0)
    for case in await repository.waiting_of_organisations(session, last.keys()):
        successor = last[case.organisation_id]
        act = _act(successors[case.organisation_id][1].time)
        entry = case.hand_over(successor, paths[successor], act)
        if entry is not None:
            await record(session, case, entry)


async def _path_of(session: WriteSession, organisation_id: UUID) -> str:
    """Where the successor stands. The units come by a consumer of their own, which may be behind: then this is tried again."""
    path = await path_of_organisation(session, organisation_id)
    if path is None:
        raise Unavailable("directory-behind", retry_after=1)
    return path


def _act(at: datetime) -> Act:
    day: date = china_date(at)
    return Act(By(SYSTEM, EFFECTS, at), day)
