"""Bodies of requests and replies about activities. Unknown fields are refused: nobody sets a stage or an approver by body."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from events_service.activities.domain import Activity, Happening, HistoryEntry
from events_service.activities.plan import (
    MAX_CAPACITY,
    MAX_QUOTAS,
    MAX_SESSIONS,
    ActivityKind,
    Audience,
    Plan,
    Quota,
    Session,
)
from shared.contracts.events_service import ActivityStage, AdmissionMode
from shared.contracts.membership import EmploymentForm, Gender, Role
from shared.web.body import Body, Reason

_Line = StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
Line = Annotated[str, _Line]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Seats = Annotated[int, Field(strict=True, ge=0, le=MAX_CAPACITY)]
Capacity = Annotated[int, Field(strict=True, ge=1, le=MAX_CAPACITY)]
Age = Annotated[int, Field(strict=True, ge=0, le=150)]
#: Within what a calendar can reckon with, whatever the offset.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), le=datetime(2199, 12, 31, tzinfo=UTC))
]


class SessionBody(Body):
    """One meeting; `place` if it is elsewhere than the activity."""

    starts_at: Moment
    ends_at: Moment
    place: Line | None = None


class QuotaBody(Body):
    """Seats kept for the subtree of a unit."""

    organisation_id: UUID
    seats: Seats


class AudienceBody(Body):
    """Whom it is for. Without a unit, the subtree of the activity's own; what is left out or empty limits nothing."""

    organisation_id: UUID | None = None
    min_age: Age | None = None
    max_age: Age | None = None
    genders: list[Gender] = Field([], max_length=3)
    employment_forms: list[EmploymentForm] = Field([], max_length=7)
    post_roles: list[Role] = Field([], max_length=7)


class PlanBody(Body):
    """A plan as a whole."""

    title: Line
    kind: ActivityKind
    description: Description = ""
    place: Line
    sessions: Annotated[list[SessionBody], Field(min_length=1, max_length=MAX_SESSIONS)]
    audience: AudienceBody = AudienceBody()
    mode: AdmissionMode = AdmissionMode.FIRST_COME
    capacity: Capacity
    quotas: list[QuotaBody] = Field([], max_length=MAX_QUOTAS)
    registration_opens_at: Moment
    registration_closes_at: Moment

    def plan(self, organisation_id: UUID) -> Plan:
        """The plan of an activity of this unit."""
        audience = self.audience
        return Plan(
            title=self.title,
            kind=self.kind,
            description=self.description,
            place=self.place,
            sessions=sessions_of(self.sessions),
            audience=Audience(
                organisation_id=audience.organisation_id or organisation_id,
                min_age=audience.min_age,
                max_age=audience.max_age,
                genders=tuple(audience.genders),
                employment_forms=tuple(audience.employment_forms),
                post_roles=tuple(audience.post_roles),
            ),
            mode=self.mode,
            capacity=self.capacity,
            quotas=quotas_of(self.quotas),
            registration_opens_at=self.registration_opens_at,
            registration_closes_at=self.registration_closes_at,
        )


class DraftBody(PlanBody):
    """A new activity of a unit."""

    organisation_id: UUID


class AmendBody(Body):
    """What may change after the approval; what is left out stays."""

    place: Line | None = None
    description: Description | None = None
    sessions: Annotated[list[SessionBody], Field(min_length=1, max_length=MAX_SESSIONS)] | None = None


class SeatsBody(Body):
    """Other numbers of seats, quotas for the same units in the same order."""

    capacity: Capacity
    quotas: list[QuotaBody] = Field([], max_length=MAX_QUOTAS)


class ReasonBody(Body):
    """A step that needs a reason."""

    reason: Reason


class SessionView(BaseModel):
    """One meeting."""

    model_config = ConfigDict(from_attributes=True)

    starts_at: datetime
    ends_at: datetime
    place: str | None


class QuotaView(BaseModel):
    """Seats kept for the subtree of a unit."""

    model_config = ConfigDict(from_attributes=True)

    organisation_id: UUID
    seats: int


class AudienceView(BaseModel):
    """Whom it is for."""

    model_config = ConfigDict(from_attributes=True)

    organisation_id: UUID
    min_age: int | None
    max_age: int | None
    genders: list[Gender]
    employment_forms: list[EmploymentForm]
    post_roles: list[Role]


class ActivityView(BaseModel):
    """An activity. `changed_at` is when place, text or time changed after the approval."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    organisation_id: UUID
    title: str
    kind: ActivityKind
    description: str
    place: str
    sessions: list[SessionView]
    starts_at: datetime
    ends_at: datetime
    audience: AudienceView
    mode: AdmissionMode
    capacity: int
    quotas: list[QuotaView]
    registration_opens_at: datetime
    registration_closes_at: datetime
    stage: ActivityStage
    stage_since: datetime
    returned_reason: str | None
    cancelled_reason: str | None
    changed_at: datetime | None
    version: int

    @classmethod
    def of(cls, activity: Activity) -> Self:
        """As it stands."""
        return cls.model_validate(activity)


class EntryView(BaseModel):
    """What made one version."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    happening: Happening
    happened_at: datetime
    stage: ActivityStage
    actor_subject: str
    reason: str | None
    changes: list[str]

    @classmethod
    def of(cls, entry: HistoryEntry) -> Self:
        """For the reply."""
        return cls.model_validate(entry)


def sessions_of(bodies: list[SessionBody]) -> tuple[Session, ...]:
    """The sessions as the domain has them."""
    return tuple(Session(**_fields(body)) for body in bodies)


def quotas_of(bodies: list[QuotaBody]) -> tuple[Quota, ...]:
    """The quotas as the domain has them."""
    return tuple(Quota(**_fields(body)) for body in bodies)


def _fields(body: Body) -> dict[str, Any]:
    return dict(body)
