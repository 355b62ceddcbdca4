"""What a draft of an activity says: whom it is for, when, how many seats. Pure: no IO."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.contracts.events_service import AdmissionMode
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus, Role
from shared.kernel.errors import Invalid

MAX_SESSIONS: Final = 50
MAX_QUOTAS: Final = 500
MAX_CAPACITY: Final = 1_000_000


class ActivityKind(StrEnum):
    """What is done together."""

    SPORT = "sport"
    CULTURE = "culture"
    LECTURE = "lecture"
    OUTING = "outing"
    VOLUNTEERING = "volunteering"
    FAMILY_DAY = "family_day"
    BIRTHDAY_PARTY = "birthday_party"
    COURSE = "course"
    COMPETITION = "competition"


@dataclass(frozen=True, slots=True)
class Session:
    """One meeting of an activity; `place` is where, if elsewhere than the activity says."""

    starts_at: datetime
    ends_at: datetime
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """Seats kept for the subtree of a unit (名额分配). Who belongs to none of them shares what is left of the capacity."""

    organisation_id: UUID
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom it is for: members of a subtree; each further condition holds only where given.

    Ages are in years by year of birth, on the year in which the activity begins. `post_roles`: holds one of these posts.
    """

    organisation_id: UUID
    min_age: int | None = None
    max_age: int | None = None
    genders: tuple[Gender, ...] = ()
    employment_forms: tuple[EmploymentForm, ...] = ()
    post_roles: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What of a member an audience is chosen by. `is_below`: belongs to the audience's subtree."""

    status: MemberStatus
    is_below: bool
    gender: Gender
    birth_year: int | None
    employment_form: EmploymentForm
    roles: Collection[Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a draft says; fields are those of Activity with the same names."""

    title: str
    kind: ActivityKind
    description: str
    place: str
    sessions: tuple[Session, ...]
    audience: Audience
    mode: AdmissionMode
    capacity: int
    quotas: tuple[Quota, ...]
    registration_opens_at: datetime
    registration_closes_at: datetime

    def check(self) -> None:
        """Raises Invalid for times in the wrong order, sessions that overlap, quotas above the capacity or named twice."""
        check_sessions(self.sessions)
        check_seats(self.capacity, self.quotas)
        if self.registration_closes_at <= self.registration_opens_at:
            raise Invalid("registration-period-empty", field="registration_closes_at")
        if self.registration_closes_at > self.sessions[0].starts_at:
            raise Invalid("registration-closes-too-late", field="registration_closes_at")
        ages = (self.audience.min_age, self.audience.max_age)
        if ages[0] is not None and ages[1] is not None and ages[0] > ages[1]:
            raise Invalid("audience-ages-swapped", field="audience/max_age")


def check_sessions(sessions: tuple[Session, ...]) -> None:
    """Raises Invalid unless there is one and they follow each other."""
    if not sessions:
        raise Invalid("sessions-missing", field="sessions")
    for place, session in enumerate(sessions):
        if session.ends_at <= session.starts_at:
            raise Invalid("session-ends-before-start", field=f"sessions/{place}/ends_at")
        if place and session.starts_at < sessions[place - 1].ends_at:
            raise Invalid("sessions-overlap", field=f"sessions/{place}/starts_at")


def check_seats(capacity: int, quotas: tuple[Quota, ...]) -> None:
    """Raises Invalid for quotas above the capacity or two for one unit."""
    if len({quota.organisation_id for quota in quotas}) < len(quotas):
        raise Invalid("quota-twice", field="quotas")
    if sum(quota.seats for quota in quotas) > capacity:
        raise Invalid("quotas-above-capacity", field="quotas")


def seats_by_pool(capacity: int, quotas: tuple[Quota, ...]) -> list[int]:
    """Seats of each pool: pool 0 is for all who belong to no quota, pool n for the n-th quota."""
    return [capacity - sum(quota.seats for quota in quotas), *(quota.seats for quota in quotas)]
