"""What of membership waits for the caller: applications, returned ones, transfers. Open things only, each by a partial index."""

from datetime import date, datetime
from typing import Final

from membership_service.members import repository
from membership_service.members.domain import APPLICATION_WORKING_DAYS, Member
from membership_service.members.transfers import repository as transfers
from membership_service.members.transfers.domain import Transfer, TransferState
from shared.contracts.membership import MemberStatus
from shared.database.session import ReadSession
from shared.kernel.calendar import WorkingCalendar, seeded_calendar
from shared.kernel.clock import china_date
from shared.security.policy import Action, Caller
from shared.web.work import LARGEST_WORK, WorkItem, WorkList

_AT_MOST: Final = LARGEST_WORK + 1


async def work_of(session: ReadSession, caller: Caller) -> WorkList:
    """What the caller can do now, by due date, then by age. Nothing waits for somebody without a post."""
    calendar = seeded_calendar()
    items = [
        *await _applications(session, caller, calendar),
        *await _returned(session, caller),
        *await _transfers(session, caller),
    ]
    items.sort(key=lambda item: (item.due_on or date.max, item.since, item.id))
    return WorkList(items=items[:LARGEST_WORK], more=len(items) > LARGEST_WORK)


async def _applications(session: ReadSession, caller: Caller, calendar: WorkingCalendar) -> list[WorkItem]:
    """Not those that the caller answers for: four eyes are two persons."""
    found = await repository.waiting(
        session,
        caller.paths(Action.MEMBER_APPROVE),
        MemberStatus.APPLIED,
        not_by=(caller.issuer, caller.subject),
        limit=_AT_MOST,
    )
    return [_application(member, calendar) for member in found]


def _application(member: Member, calendar: WorkingCalendar) -> WorkItem:
    since = member.applied_at or member.updated_at
    return WorkItem(
        kind="member.approve",
        id=member.id,
        label=member.name,
        organisation_id=member.organisation_id,
        since=since,
        due_on=calendar.add_workdays(china_date(since), APPLICATION_WORKING_DAYS),
        flagged=member.escalated_at is not None,
    )


async def _returned(session: ReadSession, caller: Caller) -> list[WorkItem]:
    paths = caller.paths(Action.MEMBER_APPLY)
    found = await repository.waiting(session, paths, MemberStatus.RETURNED, limit=_AT_MOST)
    return [
        WorkItem(
            kind="member.apply",
            id=member.id,
            label=member.name,
            organisation_id=member.organisation_id,
            since=member.updated_at,
            due_on=None,
        )
        for member in found
    ]


async def _transfers(session: ReadSession, caller: Caller) -> list[WorkItem]:
    found = await transfers.waiting(session, caller.paths(Action.MEMBER_TRANSFER), _AT_MOST)
    items = [_transfer(caller, transfer) for transfer in found]
    return [item for item in items if item is not None]


def _transfer(caller: Caller, transfer: Transfer) -> WorkItem | None:
    """As the step that the caller's place allows: release by the old side, acceptance by the new, a decision from above."""
    at_home = caller.allows(Action.MEMBER_TRANSFER, transfer.from_path)
    at_target = caller.allows(Action.MEMBER_TRANSFER, transfer.to_path)
    common = transfer.common_path
    if transfer.escalated_at is not None and common and caller.allows(Action.MEMBER_TRANSFER, common):
        return _item("transfer.decide", transfer)
    if transfer.state is TransferState.REQUESTED and at_home:
        return _item("transfer.release", transfer)
    if transfer.state is TransferState.RELEASED and at_target:
        return _item("transfer.accept", transfer)
    return None


def _item(kind: str, transfer: Transfer) -> WorkItem:
    since: datetime = transfer.released_at or transfer.requested_at
    organisation_id = (
        transfer.from_organisation_id if kind == "transfer.release" else transfer.to_organisation_id
    )
    return WorkItem(
        kind=kind,
        id=transfer.id,
        label=transfer.member_number or "",
        organisation_id=organisation_id,
        since=since,
        due_on=china_date(transfer.due_at),
        flagged=transfer.escalated_at is not None,
    )
