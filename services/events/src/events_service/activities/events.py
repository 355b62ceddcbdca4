"""A step of an activity as the event that other services read."""

from typing import Any
from uuid import UUID

from events_service.activities.domain import Activity, Happening, HistoryEntry
from shared.contracts import events_service as contract
from shared.contracts.envelope import Event
from shared.contracts.events_service import ActivityEvent, ActivityStage, ActivityState
from shared.kernel.clock import china_date
from shared.messaging.publication import publication


def state_of(activity: Activity) -> ActivityState:
    """The public state."""
    return ActivityState(
        activity_id=activity.id,
        organisation_id=activity.organisation_id,
        title=activity.title,
        kind=activity.kind,
        stage=activity.stage,
        mode=activity.mode,
        capacity=activity.capacity,
        starts_at=activity.starts_at,
        ends_at=activity.ends_at,
    )


def event_of(
    activity: Activity, entry: HistoryEntry, previous_stage: ActivityStage, previous_organisation_id: UUID
) -> Event:
    """The one event of the version that `entry` made; what stood before it, for the events that tell."""
    data: dict[str, Any] = {"on": china_date(entry.happened_at), "state": state_of(activity)}
    kind: type[ActivityEvent]
    match entry.happening:
        case Happening.DRAFTED:
            kind = contract.ActivityDrafted
        case Happening.CHANGED:
            kind = contract.ActivityChanged
        case Happening.HANDED_OVER:
            kind = contract.ActivityHandedOver
            data["previous_organisation_id"] = previous_organisation_id
        case Happening.CANCELLED:
            kind = contract.ActivityCancelled
            data["previous_stage"] = previous_stage
        case _:
            kind = contract.ActivityMovedOn
            data["previous_stage"] = previous_stage
    return publication(kind.model_validate(data), activity.id, entry.version, entry.happened_at)
