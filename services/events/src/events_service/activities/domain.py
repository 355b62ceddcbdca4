"""An activity, whom it is for, and the steps from plan to archive. Pure: no IO.

Every step raises `version` by one and returns the history entry of that version; one version is one event.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from events_service.activities.plan import (
    ActivityKind,
    Audience,
    Candidate,
    Plan,
    Quota,
    Session,
    check_seats,
    check_sessions,
)
from shared.contracts.events_service import ActivityStage, AdmissionMode
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus, Role
from shared.kernel.clock import china_date
from shared.kernel.errors import About, Conflict, Forbidden, Invalid
from shared.security.acting import By

#: Statuses in which a person belongs to a union, and may come.
BELONGING: Final = frozenset({MemberStatus.ACTIVE, MemberStatus.RETAINED, MemberStatus.TRANSFERRING})
#: Stages in which the audience can read of it.
ANNOUNCED: Final = frozenset(
    {ActivityStage.PUBLISHED, ActivityStage.OPEN, ActivityStage.CLOSED, ActivityStage.HELD}
)
#: Stages in which somebody may still give up a seat and somebody else move up.
SEATS_MOVE: Final = frozenset({ActivityStage.OPEN, ActivityStage.CLOSED})

_S = ActivityStage
_STEPS: Final[dict[ActivityStage, frozenset[ActivityStage]]] = {
    _S.SUBMITTED: frozenset({_S.DRAFT}),
    _S.DRAFT: frozenset({_S.SUBMITTED}),
    _S.APPROVED: frozenset({_S.SUBMITTED}),
    _S.PUBLISHED: frozenset({_S.APPROVED}),
    _S.OPEN: frozenset({_S.PUBLISHED}),
    _S.CLOSED: frozenset({_S.OPEN}),
    _S.HELD: frozenset({_S.CLOSED}),
    _S.ARCHIVED: frozenset({_S.HELD}),
    _S.CANCELLED: frozenset({_S.DRAFT, _S.SUBMITTED, _S.APPROVED, _S.PUBLISHED, _S.OPEN, _S.CLOSED}),
}


class Happening(StrEnum):
    """What a history entry tells."""

    DRAFTED = "drafted"
    CHANGED = "changed"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    PUBLISHED = "published"
    OPENED = "opened"
    CLOSED = "closed"
    HELD = "held"
    ARCHIVED = "archived"
    CANCELLED = "cancelled"
    HANDED_OVER = "handed-over"


#: Steps by which somebody made the plan what it is: who did one of them does not approve it.
AUTHORING: Final = frozenset({Happening.DRAFTED, Happening.CHANGED, Happening.SUBMITTED})


@dataclass(eq=False, kw_only=True)
class HistoryEntry:
    """What made one version of an activity. `changes` says which fields are others now."""

    activity_id: UUID
    version: int
    happening: Happening
    happened_at: datetime
    stage: ActivityStage
    actor_issuer: str
    actor_subject: str
    reason: str | None = None
    changes: list[str] = field(default_factory=list)


@dataclass(eq=False, kw_only=True)
class Activity:
    """One activity. Columns of the audience lie flat, so that the database can ask them.

    `changed_at` is when place, text or time changed after the approval: whoever is registered is to be told.
    """

    id: UUID
    organisation_id: UUID
    path: str
    title: str
    kind: ActivityKind
    description: str
    place: str
    sessions: tuple[Session, ...]
    starts_at: datetime
    ends_at: datetime
    audience_organisation_id: UUID
    audience_min_age: int | None
    audience_max_age: int | None
    audience_genders: list[str]
    audience_forms: list[str]
    audience_roles: list[str]
    mode: AdmissionMode
    capacity: int
    quotas: tuple[Quota, ...]
    registration_opens_at: datetime
    registration_closes_at: datetime
    stage: ActivityStage = ActivityStage.DRAFT
    stage_since: datetime
    returned_reason: str | None = None
    cancelled_reason: str | None = None
    changed_at: datetime | None = None
    version: int = 1

    @classmethod
    def draft(
        cls, activity_id: UUID, organisation_id: UUID, path: str, plan: Plan, by: By
    ) -> tuple["Activity", HistoryEntry]:
        """Begin to plan one."""
        plan.check()
        columns = _columns(plan)
        activity = cls(
            id=activity_id, organisation_id=organisation_id, path=path, stage_since=by.at, **columns
        )
        return activity, activity._entry(Happening.DRAFTED, by)

    @property
    def audience(self) -> Audience:
        """Whom it is for."""
        return Audience(
            organisation_id=self.audience_organisation_id,
            min_age=self.audience_min_age,
            max_age=self.audience_max_age,
            genders=tuple(Gender(one) for one in self.audience_genders),
            employment_forms=tuple(EmploymentForm(one) for one in self.audience_forms),
            post_roles=tuple(Role(one) for one in self.audience_roles),
        )

    @property
    def is_open(self) -> bool:
        """Whether registrations are taken (until `registration_closes_at`)."""
        return self.stage is ActivityStage.OPEN

    def welcomes(self, candidate: Candidate) -> bool:
        """Whether the audience includes this member. `activities.audience` says the same in SQL; a test compares the two."""
        audience = self.audience
        age = china_date(self.starts_at).year - candidate.birth_year if candidate.birth_year else None
        limits = (audience.min_age, audience.max_age)
        return (
            candidate.status in BELONGING
            and candidate.is_below
            and (limits[0] is None or (age is not None and age >= limits[0]))
            and (limits[1] is None or (age is not None and age <= limits[1]))
            and (not audience.genders or candidate.gender in audience.genders)
            and (not audience.employment_forms or candidate.employment_form in audience.employment_forms)
            and (not audience.post_roles or not set(audience.post_roles).isdisjoint(candidate.roles))
        )

    @property
    def _about(self) -> About:
        return About("activity", self.id, self.path)

    def change(self, plan: Plan, by: By) -> HistoryEntry:
        """Change a draft as a whole."""
        if self.stage is not ActivityStage.DRAFT:
            raise Conflict("activity-not-draft", about=self._about)
        plan.check()
        return self._set(_columns(plan), by)

    def amend(
        self,
        by: By,
        *,
        place: str | None = None,
        description: str | None = None,
        sessions: tuple[Session, ...] | None = None,
    ) -> HistoryEntry:
        """Change place, text or time of what is approved already: nothing else, and those registered are to be told."""
        if self.stage not in {ActivityStage.APPROVED, *ANNOUNCED - {ActivityStage.HELD}}:
            raise Conflict("activity-not-amendable", about=self._about)
        if sessions is not None:
            check_sessions(sessions)
            if self.registration_closes_at > sessions[0].starts_at:
                raise Invalid("registration-closes-too-late", field="sessions/0/starts_at")
        given: dict[str, Any] = {"place": place, "description": description}
        given |= _times(sessions) if sessions else {}
        entry = self._set({name: value for name, value in given.items() if value is not None}, by)
        self.changed_at = by.at
        return entry

    def change_seats(self, capacity: int, quotas: tuple[Quota, ...], by: By) -> HistoryEntry:
        """Other numbers of seats, for the same units. That none falls below what is taken is for the seats to say."""
        if self.stage not in {ActivityStage.APPROVED, *ANNOUNCED - {ActivityStage.HELD}}:
            raise Conflict("activity-not-amendable", about=self._about)
        check_seats(capacity, quotas)
        if [quota.organisation_id for quota in quotas] != [quota.organisation_id for quota in self.quotas]:
            raise Invalid("quota-units-fixed", field="quotas")
        return self._set({"capacity": capacity, "quotas": quotas}, by)

    def submit(self, by: By) -> HistoryEntry:
        """Ask for approval."""
        if self.starts_at <= by.at:
            raise Conflict("activity-in-past")
        self.returned_reason = None
        return self._move(ActivityStage.SUBMITTED, Happening.SUBMITTED, by)

    def return_(self, by: By, reason: str) -> HistoryEntry:
        """Give it back to be worked over."""
        self.returned_reason = reason
        return self._move(ActivityStage.DRAFT, Happening.RETURNED, by, reason)

    def approve(self, by: By, authors: Collection[tuple[str, str]]) -> HistoryEntry:
        """Approve; `authors` are the users (issuer, subject) of its AUTHORING steps. Four eyes are two persons."""
        if (by.issuer, by.subject) in authors:
            raise Forbidden("activity-own-approval", about=self._about)
        return self._move(ActivityStage.APPROVED, Happening.APPROVED, by)

    def publish(self, by: By) -> HistoryEntry:
        """Announce it to its audience."""
        if self.registration_closes_at <= by.at:
            raise Conflict("registration-period-over")
        return self._move(ActivityStage.PUBLISHED, Happening.PUBLISHED, by)

    def open(self, by: By) -> HistoryEntry:
        """Take registrations, from now: also when the time for it is over by now, or a late job would never move it on."""
        return self._move(ActivityStage.OPEN, Happening.OPENED, by)

    def close(self, by: By) -> HistoryEntry:
        """Take no more."""
        return self._move(ActivityStage.CLOSED, Happening.CLOSED, by)

    def hold(self, by: By) -> HistoryEntry:
        """It took place: not before its first session began."""
        if by.at < self.starts_at:
            raise Conflict("activity-not-begun")
        return self._move(ActivityStage.HELD, Happening.HELD, by)

    def archive(self, by: By) -> HistoryEntry:
        """Nothing more is to be done."""
        return self._move(ActivityStage.ARCHIVED, Happening.ARCHIVED, by)

    def cancel(self, by: By, reason: str) -> HistoryEntry:
        """It will not take place."""
        self.cancelled_reason = reason
        return self._move(ActivityStage.CANCELLED, Happening.CANCELLED, by, reason)

    def hand_over(self, organisation_id: UUID, path: str, by: By) -> HistoryEntry:
        """Its unit was dissolved; another takes it on."""
        if self.audience_organisation_id == self.organisation_id:
            self.audience_organisation_id = organisation_id
        self.organisation_id, self.path = organisation_id, path
        self.version += 1
        return self._entry(Happening.HANDED_OVER, by)

    def _move(
        self, stage: ActivityStage, happening: Happening, by: By, reason: str | None = None
    ) -> HistoryEntry:
        if self.stage not in _STEPS[stage]:
            raise Conflict("activity-stage", stage=self.stage)
        self.stage, self.stage_since = stage, by.at
        self.version += 1
        return self._entry(happening, by, reason)

    def _set(self, columns: dict[str, Any], by: By) -> HistoryEntry:
        changes = [name for name, value in columns.items() if getattr(self, name) != value]
        if not changes:
            raise Invalid("activity-unchanged")
        for name in changes:
            setattr(self, name, columns[name])
        self.version += 1
        entry = self._entry(Happening.CHANGED, by)
        entry.changes = changes
        return entry

    def _entry(self, happening: Happening, by: By, reason: str | None = None) -> HistoryEntry:
        return HistoryEntry(
            activity_id=self.id,
            version=self.version,
            happening=happening,
            happened_at=by.at,
            stage=self.stage,
            actor_issuer=by.issuer,
            actor_subject=by.subject,
            reason=reason,
        )


def _times(sessions: tuple[Session, ...]) -> dict[str, Any]:
    return {"sessions": sessions, "starts_at": sessions[0].starts_at, "ends_at": sessions[-1].ends_at}


def _columns(plan: Plan) -> dict[str, Any]:
    """The columns of an activity that a plan fills."""
    return {
        "title": plan.title,
        "kind": plan.kind,
        "description": plan.description,
        "place": plan.place,
        **_times(plan.sessions),
        "audience_organisation_id": plan.audience.organisation_id,
        "audience_min_age": plan.audience.min_age,
        "audience_max_age": plan.audience.max_age,
        "audience_genders": [str(one) for one in plan.audience.genders],
        "audience_forms": [str(one) for one in plan.audience.employment_forms],
        "audience_roles": [str(one) for one in plan.audience.post_roles],
        "mode": plan.mode,
        "capacity": plan.capacity,
        "quotas": plan.quotas,
        "registration_opens_at": plan.registration_opens_at,
        "registration_closes_at": plan.registration_closes_at,
    }
