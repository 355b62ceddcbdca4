"""Events of the events service: activities and the places in them. No name of a person, no comment.

As with every owner, `state` is the aggregate's whole public state after the change.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.envelope import EventData, Topic, registry
from shared.contracts.membership import State

SOURCE = "/unionhall/events"
ACTIVITIES = Topic("unionhall.events.activities.v1")
REGISTRATIONS = Topic("unionhall.events.registrations.v1")

Score = Annotated[int, Field(ge=1, le=5)]


class ActivityStage(StrEnum):
    """draft → submitted → approved → published → open → closed → held → archived, or cancelled.

    "published" is announced, "open" takes registrations, "closed" takes no more, "held" took place.
    """

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    PUBLISHED = "published"
    OPEN = "open"
    CLOSED = "closed"
    HELD = "held"
    ARCHIVED = "archived"
    CANCELLED = "cancelled"


class AdmissionMode(StrEnum):
    """How seats are given: to whoever comes first, or by lottery among all who asked in time."""

    FIRST_COME = "first_come"
    LOTTERY = "lottery"


class ActivityState(State):
    """An activity. `capacity` counts seats; `starts_at` is the beginning of its first session."""

    activity_id: UUID
    organisation_id: UUID
    title: str
    kind: str
    stage: ActivityStage
    mode: AdmissionMode
    capacity: int
    starts_at: datetime
    ends_at: datetime


class ActivityEvent(EventData):
    """An activity after a change; `on` is the day (in China) from which the change counts."""

    on: date
    state: ActivityState


@registry.event("unionhall.events.activity.drafted.v1", ACTIVITIES)
class ActivityDrafted(ActivityEvent):
    """Somebody began to plan it."""


@registry.event("unionhall.events.activity.changed.v1", ACTIVITIES)
class ActivityChanged(ActivityEvent):
    """Title, time, audience or seats changed; the stage is as before."""


@registry.event("unionhall.events.activity.moved-on.v1", ACTIVITIES)
class ActivityMovedOn(ActivityEvent):
    """It reached another stage, `state.stage`."""

    previous_stage: ActivityStage


@registry.event("unionhall.events.activity.cancelled.v1", ACTIVITIES)
class ActivityCancelled(ActivityEvent):
    """It will not take place."""

    previous_stage: ActivityStage


@registry.event("unionhall.events.activity.handed-over.v1", ACTIVITIES)
class ActivityHandedOver(ActivityEvent):
    """Its unit was dissolved: `state.organisation_id` takes it on."""

    previous_organisation_id: UUID


class RegistrationStatus(StrEnum):
    """entered: in a lottery not yet drawn; confirmed: has a seat; waiting: on the waiting list; cancelled: gave it up."""

    ENTERED = "entered"
    CONFIRMED = "confirmed"
    WAITING = "waiting"
    CANCELLED = "cancelled"


class RegistrationState(State):
    """A member's place in an activity. `organisation_id` is the activity's unit; `satisfaction` is 1 (poor) to 5."""

    registration_id: UUID
    activity_id: UUID
    organisation_id: UUID
    member_id: UUID
    status: RegistrationStatus
    registered_at: datetime
    attended: bool
    satisfaction: Score | None


class RegistrationEvent(EventData):
    """A registration after a change; `on` is the day (in China) from which the change counts."""

    on: date
    state: RegistrationState


@registry.event("unionhall.events.registration.registered.v1", REGISTRATIONS)
class Registered(RegistrationEvent):
    """A member asked for a seat; `state.status` says what came of it."""


@registry.event("unionhall.events.registration.promoted.v1", REGISTRATIONS)
class RegistrationPromoted(RegistrationEvent):
    """A seat became free and went to this member, first on the waiting list."""


@registry.event("unionhall.events.registration.drawn.v1", REGISTRATIONS)
class RegistrationDrawn(RegistrationEvent):
    """The lottery was drawn: `state.status` is confirmed or waiting."""


@registry.event("unionhall.events.registration.cancelled.v1", REGISTRATIONS)
class RegistrationCancelled(RegistrationEvent):
    """The place was given up, by the member or because membership ended."""


@registry.event("unionhall.events.registration.attended.v1", REGISTRATIONS)
class RegistrationAttended(RegistrationEvent):
    """The member was there."""


@registry.event("unionhall.events.registration.rated.v1", REGISTRATIONS)
class RegistrationRated(RegistrationEvent):
    """The member said how it was; a comment stays with the owner."""


@registry.event("unionhall.events.registration.handed-over.v1", REGISTRATIONS)
class RegistrationHandedOver(RegistrationEvent):
    """The activity's unit was dissolved: `state.organisation_id` takes it on."""

    previous_organisation_id: UUID
