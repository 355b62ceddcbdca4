"""Bodies of requests and replies about registrations."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from events_service.registrations.domain import Counts, Registration
from shared.contracts.events_service import RegistrationStatus
from shared.web.body import Body, Reason


class RegisterBody(Body):
    """Empty for oneself; an organiser names the member, and the version of it that was seen, if one was."""

    member_id: UUID | None = None
    member_sequence: Annotated[int, Field(strict=True, ge=1)] | None = None


class CancelBody(Body):
    """Why the place is given up; for one's own none is asked."""

    reason: Reason | None = None


class RegisteredReply(BaseModel):
    """What came of it. How far up the waiting list one stands is read from the registration: it changes."""

    id: UUID
    activity_id: UUID
    status: RegistrationStatus
    version: int


class RegistrationView(BaseModel):
    """A place. `position` is the order of registering or drawing among those who compete for the same seats."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    activity_id: UUID
    member_id: UUID
    pool: int
    position: int
    status: RegistrationStatus
    registered_at: datetime
    cancelled_at: datetime | None
    cancel_reason: str | None
    attended: bool
    satisfaction: int | None
    version: int

    @classmethod
    def of(cls, registration: Registration) -> Self:
        """As it stands."""
        return cls.model_validate(registration)


class RegistrationDetail(RegistrationView):
    """A place, and for who waits how many stand before: 0 is next."""

    ahead: int | None = None


class CountsView(BaseModel):
    """Registrations of an activity by status."""

    entered: int
    confirmed: int
    waiting: int
    cancelled: int

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """For the reply."""
        return cls(**counts._asdict())
