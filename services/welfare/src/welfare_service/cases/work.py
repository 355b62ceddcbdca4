"""Which cases wait for a user, and what for."""

from datetime import date

from shared.database.session import ReadSession
from shared.security.policy import Action, Caller
from shared.web.work import WorkItem
from welfare_service.cases import repository
from welfare_service.cases.repository import Rights


def rights_of(caller: Caller) -> Rights:
    """Where the caller changes, approves and pays."""
    return Rights(
        user=(caller.issuer, caller.subject),
        changes=caller.paths(Action.CASE_CHANGE),
        approves=caller.paths(Action.CASE_APPROVE),
        pays=caller.paths(Action.PAYOUT_CHANGE),
    )


async def waiting(session: ReadSession, caller: Caller, _today: date, limit: int) -> list[WorkItem]:
    """At most `limit` items of each kind: to mend, approve, pay, acknowledge, or to be looked at because of the member."""
    found = await repository.work(session, rights_of(caller), limit)
    return [
        WorkItem(
            kind=kind,
            id=case.id,
            label=case.case_number,
            organisation_id=case.organisation_id,
            since=case.flagged_at if kind == "case.review" and case.flagged_at else case.stage_since,
            due_on=case.due_on,
            flagged=case.flagged,
        )
        for kind, case in found
    ]
