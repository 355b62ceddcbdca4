"""A member's place in an activity. Pure: no IO.

Seats are given and taken back by the statements of `registrations.statements`, set-based and under the lock of the seats row.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from shared.contracts.events_service import RegistrationStatus

#: Reasons that no person gave.
LEFT_THE_UNION: Final = "left-the-union"
ACTIVITY_CANCELLED: Final = "activity-cancelled"


class Happening(StrEnum):
    """What a history entry tells; the first part of the event's type of the same version."""

    REGISTERED = "registered"
    PROMOTED = "promoted"
    DRAWN = "drawn"
    CANCELLED = "cancelled"
    ATTENDED = "attended"
    RATED = "rated"
    HANDED_OVER = "handed-over"


@dataclass(eq=False, kw_only=True)
class Registration:
    """One place. `position` is the order in its pool of seats: of registering or, after a lottery, of the draw."""

    id: UUID
    activity_id: UUID
    member_id: UUID
    organisation_id: UUID
    path: str
    pool: int
    position: int
    status: RegistrationStatus
    registered_at: datetime
    cancelled_at: datetime | None
    cancel_reason: str | None
    attended: bool
    satisfaction: int | None
    version: int


class Lot(NamedTuple):
    """What an entry of a lottery drew: its position in its pool, from 1, and whether that is a seat."""

    registration_id: UUID
    position: int
    has_seat: bool


class Counts(NamedTuple):
    """Registrations of an activity by status."""

    entered: int
    confirmed: int
    waiting: int
    cancelled: int
