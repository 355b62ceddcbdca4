"""Examples of the events service's events."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from shared.contracts import events_service as e
from shared.contracts.envelope import EventData, Topic
from shared.contracts.examples.people_and_units import DAY, MEMBER, OTHER_UNIT, TIME, UNIT

_ACTIVITY: Final = UUID("01958f00-0000-7000-8000-000000000501")
_REGISTRATION: Final = UUID("01958f00-0000-7000-8000-000000000601")
SUBJECTS: Final[dict[Topic, UUID]] = {e.ACTIVITIES: _ACTIVITY, e.REGISTRATIONS: _REGISTRATION}

_activity: Final = e.ActivityState(
    activity_id=_ACTIVITY,
    organisation_id=UNIT,
    title="示例春季健步走",
    kind="sport",
    stage=e.ActivityStage.DRAFT,
    mode=e.AdmissionMode.FIRST_COME,
    capacity=80,
    starts_at=datetime(2026, 4, 11, 1, 0, tzinfo=UTC),
    ends_at=datetime(2026, 4, 11, 4, 0, tzinfo=UTC),
)
_registration: Final = e.RegistrationState(
    registration_id=_REGISTRATION,
    activity_id=_ACTIVITY,
    organisation_id=UNIT,
    member_id=MEMBER,
    status=e.RegistrationStatus.CONFIRMED,
    registered_at=TIME,
    attended=False,
    satisfaction=None,
)


def _activity_with(**changes: Any) -> e.ActivityState:
    return _activity.model_copy(update=changes)


def _registration_with(**changes: Any) -> e.RegistrationState:
    return _registration.model_copy(update=changes)


EXAMPLES: Final[tuple[EventData, ...]] = (
    e.ActivityDrafted(on=DAY, state=_activity),
    e.ActivityChanged(on=DAY, state=_activity_with(capacity=100)),
    e.ActivityMovedOn(
        on=DAY,
        state=_activity_with(stage=e.ActivityStage.OPEN),
        previous_stage=e.ActivityStage.PUBLISHED,
    ),
    e.ActivityCancelled(
        on=DAY,
        state=_activity_with(stage=e.ActivityStage.CANCELLED),
        previous_stage=e.ActivityStage.OPEN,
    ),
    e.ActivityHandedOver(
        on=DAY, state=_activity_with(organisation_id=OTHER_UNIT), previous_organisation_id=UNIT
    ),
    e.Registered(on=DAY, state=_registration_with(status=e.RegistrationStatus.WAITING)),
    e.RegistrationPromoted(on=DAY, state=_registration),
    e.RegistrationDrawn(on=DAY, state=_registration),
    e.RegistrationCancelled(on=DAY, state=_registration_with(status=e.RegistrationStatus.CANCELLED)),
    e.RegistrationAttended(on=DAY, state=_registration_with(attended=True)),
    e.RegistrationRated(on=DAY, state=_registration_with(attended=True, satisfaction=5)),
    e.RegistrationHandedOver(
        on=DAY, state=_registration_with(organisation_id=OTHER_UNIT), previous_organisation_id=UNIT
    ),
)
