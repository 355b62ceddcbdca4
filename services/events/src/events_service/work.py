"""What waits for the caller in this service."""

from collections.abc import Sequence
from typing import Final

from events_service.activities import repository
from events_service.activities.domain import Activity
from shared.contracts.events_service import ActivityStage
from shared.security.policy import Action, Caller
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import Read
from shared.web.work import LARGEST_WORK, WorkItem, WorkList

router = api_router("/internal/v1", "work")

_ORGANISER: Final = {
    ActivityStage.DRAFT: "activity.revise",
    ActivityStage.APPROVED: "activity.publish",
    ActivityStage.HELD: "activity.archive",
}


@router.get("/work")
async def work(session: Read, caller: CurrentCaller) -> WorkList:
    """Activities to approve, plans that came back, what is to be published or archived; oldest first."""
    submitted = await _find(session, caller, Action.ACTIVITY_APPROVE, (ActivityStage.SUBMITTED,))
    ids = [activity.id for activity in submitted]
    # Four eyes: one's own plan waits for somebody else.
    own = await repository.authored(session, ids, caller.issuer, caller.subject)
    items = [_item("activity.approve", activity) for activity in submitted if activity.id not in own]
    items += [
        _item(_ORGANISER[activity.stage], activity)
        for activity in await _find(session, caller, Action.ACTIVITY_CHANGE, tuple(_ORGANISER))
    ]
    items.sort(key=lambda item: (item.since, item.id))
    return WorkList(items=items[:LARGEST_WORK], more=len(items) > LARGEST_WORK)


async def _find(
    session: Read, caller: Caller, action: Action, stages: Sequence[ActivityStage]
) -> Sequence[Activity]:
    roots = caller.paths(action)
    return await repository.in_stages(session, roots, stages, LARGEST_WORK + 1) if roots else ()


def _item(kind: str, activity: Activity) -> WorkItem:
    return WorkItem(
        kind=kind,
        id=activity.id,
        label=activity.title,
        organisation_id=activity.organisation_id,
        since=activity.stage_since,
        due_on=None,
    )
