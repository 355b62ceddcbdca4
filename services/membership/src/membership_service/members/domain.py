"""A member: a person for life, and the steps of belonging. Pure: no IO.

Every step raises `version` by one and returns the history entry of that version; one version is one event.
"""

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from membership_service.members.documents import DocumentType
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.kernel.clock import china_date
from shared.kernel.errors import About, Conflict, Forbidden, Invalid
from shared.security.acting import By

#: Statuses in which a person belongs to a union.
BELONGING: Final = frozenset({MemberStatus.ACTIVE, MemberStatus.RETAINED, MemberStatus.TRANSFERRING})
#: Statuses from which one may apply (again).
MAY_APPLY: Final = frozenset({MemberStatus.RETURNED, MemberStatus.WITHDRAWN})
#: Working days after which an unanswered application escalates.
APPLICATION_WORKING_DAYS: Final = 3
#: How many identities a user may unmask in one day of China.
UNMASK_DAILY_CAP: Final = 50


class Happening(StrEnum):
    """What a history entry tells; the first part of the event's type of the same version."""

    APPLIED = "applied"
    RETURNED = "returned"
    ADMITTED = "admitted"
    CHANGED = "changed"
    TRANSFER_REQUESTED = "transfer-requested"
    TRANSFER_ENDED = "transfer-ended"
    TRANSFERRED = "transferred"
    RETAINED = "retained"
    RESTORED = "restored"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Act:
    """A step to be done: by whom and when, on which day of China it counts, and why."""

    by: By
    on: date
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is stored of a person; fields are those of Member with the same names. `sealing.details` makes it."""

    name: str
    name_pinyin: str
    name_initials: str
    other_pinyin: str | None
    other_initials: str | None
    document_type: DocumentType
    document_sealed: bytes
    document_blind: bytes
    last4_blind: bytes
    phone_sealed: bytes | None
    phone_blind: bytes | None
    birth_date_sealed: bytes | None
    data_key_wrapped: bytes
    key_version: int
    gender: Gender
    birth_year: int | None
    employment_form: EmploymentForm

    def columns(self) -> dict[str, Any]:
        """Values by column."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(eq=False, kw_only=True)
class HistoryEntry:
    """What made one version of a member. `organisation_id` is where the member stood after it.

    `other_organisation_id` is the unit aimed at by a transfer, or left by it.
    """

    member_id: UUID
    version: int
    happening: Happening
    happened_at: datetime
    on_date: date
    organisation_id: UUID
    other_organisation_id: UUID | None = None
    actor_issuer: str
    actor_subject: str
    reason: str | None = None


@dataclass(eq=False, kw_only=True)
class Affiliation:
    """A dated link to one organisation, opened by the member's version `from_version`.

    `from_on` is None while the application waits; it stays None for one that was never admitted. Without `to_on` it holds.
    """

    member_id: UUID
    from_version: int
    organisation_id: UUID
    from_on: date | None = None
    to_on: date | None = None


@dataclass(eq=False, kw_only=True)
class Member:
    """A person and where the person stands. Columns ending in `_sealed` and `_blind` come from `sealing`."""

    id: UUID
    member_number: str | None = None
    name: str
    name_pinyin: str
    name_initials: str
    other_pinyin: str | None = None
    other_initials: str | None = None
    document_type: DocumentType
    document_sealed: bytes | None
    document_blind: bytes | None
    last4_blind: bytes | None
    phone_sealed: bytes | None = None
    phone_blind: bytes | None = None
    birth_date_sealed: bytes | None = None
    data_key_wrapped: bytes | None
    key_version: int
    gender: Gender
    birth_year: int | None
    employment_form: EmploymentForm
    status: MemberStatus
    organisation_id: UUID
    path: str
    joined_on: date | None = None
    left_on: date | None = None
    applied_at: datetime | None = None
    applied_by_issuer: str | None = None
    applied_by_subject: str | None = None
    escalated_at: datetime | None = None
    user_issuer: str | None = None
    user_subject: str | None = None
    erased_at: datetime | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime
    affiliations: list[Affiliation] = field(default_factory=list)

    @classmethod
    def apply(
        cls, member_id: UUID, details: Details, organisation_id: UUID, path: str, act: Act
    ) -> "tuple[Member, HistoryEntry]":
        """Somebody new asks to join; version 1."""
        member = cls(
            id=member_id,
            **details.columns(),
            status=MemberStatus.APPLIED,
            organisation_id=organisation_id,
            path=path,
            applied_at=act.by.at,
            applied_by_issuer=act.by.issuer,
            applied_by_subject=act.by.subject,
            version=0,
            created_at=act.by.at,
            updated_at=act.by.at,
        )
        entry = member._step(Happening.APPLIED, act)
        member._open(organisation_id, None)
        return member, entry

    def take(self, details: Details) -> None:
        """Replace what is stored of the person."""
        for name, value in details.columns().items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    def apply_again(self, details: Details, organisation_id: UUID, path: str, act: Act) -> HistoryEntry:
        """Apply after a return or after leaving: the same row, a new affiliation."""
        self._must(MAY_APPLY, "member-exists")
        self.take(details)
        self.status, self.organisation_id, self.path = MemberStatus.APPLIED, organisation_id, path
        self.joined_on = self.left_on = self.escalated_at = None
        self.applied_at = act.by.at
        self.applied_by_issuer, self.applied_by_subject = act.by.issuer, act.by.subject
        entry = self._step(Happening.APPLIED, act)
        self._open(organisation_id, None)
        return entry

    def approve(self, member_number: str, act: Act) -> HistoryEntry:
        """Admit the applicant; membership begins on the day of approval. Four eyes are two persons."""
        self._must({MemberStatus.APPLIED}, "member-not-applied")
        applicant = (self.applied_by_issuer, self.applied_by_subject)
        if (act.by.issuer, act.by.subject) in {applicant, (self.user_issuer, self.user_subject)}:
            raise Forbidden("four-eyes", about=About("member", self.id, self.path))
        self.member_number = self.member_number or member_number
        self.status, self.joined_on, self.escalated_at = MemberStatus.ACTIVE, act.on, None
        self._holding().from_on = act.on
        return self._step(Happening.ADMITTED, act)

    def return_application(self, act: Act) -> HistoryEntry:
        """Give the application back; a return always needs a reason."""
        self._must({MemberStatus.APPLIED}, "member-not-applied")
        _need_reason(act)
        self.status, self.escalated_at = MemberStatus.RETURNED, None
        self._close(act.on)
        return self._step(Happening.RETURNED, act)

    def change(self, details: Details, act: Act) -> HistoryEntry:
        """Correct or complete what is known of the person."""
        self._must(set(MemberStatus) - {MemberStatus.DECEASED}, "member-deceased")
        self.take(details)
        self._answer_for(act)
        return self._step(Happening.CHANGED, act)

    def link(self, issuer: str, subject: str, act: Act) -> HistoryEntry:
        """Say which user of the identity provider this member is."""
        self._must(set(MemberStatus) - {MemberStatus.DECEASED}, "member-deceased")
        if (issuer, subject) == (self.user_issuer, self.user_subject):
            raise Invalid("member-unchanged")
        self.user_issuer, self.user_subject = issuer, subject
        self._answer_for(act)
        return self._step(Happening.CHANGED, act)

    def unlink(self, act: Act) -> HistoryEntry:
        """Take the account away; also a dead member's, which must not be used any more."""
        if self.user_subject is None:
            raise Conflict("member-without-user")
        self.user_issuer = self.user_subject = None
        self._answer_for(act)
        return self._step(Happening.CHANGED, act)

    def retain(self, act: Act) -> HistoryEntry:
        """Keep membership without duties: retirement, unemployment (保留会籍)."""
        self._must({MemberStatus.ACTIVE}, "member-not-active")
        _need_reason(act)
        self.status = MemberStatus.RETAINED
        return self._step(Happening.RETAINED, act)

    def restore(self, act: Act) -> HistoryEntry:
        """Active again on re-employment."""
        self._must({MemberStatus.RETAINED}, "member-not-retained")
        self.status = MemberStatus.ACTIVE
        return self._step(Happening.RESTORED, act)

    def withdraw(self, act: Act) -> HistoryEntry:
        """Leave the union, or take back an application."""
        self._must(
            {MemberStatus.ACTIVE, MemberStatus.RETAINED, MemberStatus.APPLIED}, "member-cannot-withdraw"
        )
        _need_reason(act)
        self.status = MemberStatus.WITHDRAWN
        self._leave(act.on)
        return self._step(Happening.WITHDRAWN, act)

    def take_back(self, act: Act) -> HistoryEntry:
        """The applicant takes the own application back, and owes nobody a reason."""
        self._must({MemberStatus.APPLIED}, "member-not-applied")
        self.status = MemberStatus.WITHDRAWN
        self._leave(act.on)
        return self._step(Happening.WITHDRAWN, act)

    def decease(self, act: Act) -> HistoryEntry:
        """The member died on `act.on`. A running transfer must be cancelled first."""
        self._must(
            set(MemberStatus) - {MemberStatus.DECEASED, MemberStatus.TRANSFERRING}, "member-cannot-decease"
        )
        if act.on > china_date(act.by.at):
            raise Invalid("date-in-future", field="on")
        if self.joined_on and act.on < self.joined_on:
            raise Invalid("date-before-joining", field="on", joined=self.joined_on.isoformat())
        self.status = MemberStatus.DECEASED
        self._leave(act.on)
        return self._step(Happening.DECEASED, act)

    def request_transfer(self, target_id: UUID, act: Act) -> HistoryEntry:
        """Ask for a move to another unit."""
        self._must({MemberStatus.ACTIVE, MemberStatus.RETAINED}, "member-not-active")
        if target_id == self.organisation_id:
            raise Invalid("transfer-same-organisation", field="to_organisation_id")
        self.status = MemberStatus.TRANSFERRING
        return self._step(Happening.TRANSFER_REQUESTED, act, target_id)

    def end_transfer(self, target_id: UUID, status_before: MemberStatus, act: Act) -> HistoryEntry:
        """The move was refused or cancelled; the member stays as before."""
        self._must({MemberStatus.TRANSFERRING}, "member-not-transferring")
        self.status = status_before
        return self._step(Happening.TRANSFER_ENDED, act, target_id)

    def arrive(self, target_id: UUID, path: str, act: Act) -> HistoryEntry:
        """Belong to the new unit from `act.on`; a retained member is active again there."""
        self._must({MemberStatus.TRANSFERRING}, "member-not-transferring")
        left = self.organisation_id
        self._close(act.on)
        self.status, self.organisation_id, self.path = MemberStatus.ACTIVE, target_id, path
        self.joined_on, self.left_on = act.on, None
        entry = self._step(Happening.TRANSFERRED, act, left)
        self._open(target_id, act.on)
        return entry

    def erase(self, act: Act) -> HistoryEntry:
        """Make the person unreadable for good: the data key and everything personal go, the row stays as a pseudonym."""
        if self.erased_at is not None:
            raise Conflict("member-erased")
        if self.status is MemberStatus.TRANSFERRING:
            raise Conflict("member-transferring")
        _need_reason(act)
        self.name = self.name_pinyin = self.name_initials = ""
        self.other_pinyin = self.other_initials = None
        self.document_sealed = self.document_blind = self.last4_blind = self.data_key_wrapped = None
        self.phone_sealed = self.phone_blind = self.birth_date_sealed = None
        self.birth_year, self.gender = None, Gender.UNKNOWN
        self.user_issuer = self.user_subject = None
        self.erased_at = act.by.at
        if self.status in BELONGING or self.status is MemberStatus.APPLIED:
            self.status = MemberStatus.WITHDRAWN
            self._leave(act.on)
        return self._step(Happening.ERASED, act)

    def _answer_for(self, act: Act) -> None:
        """Who changes an application answers for it: otherwise one person could rewrite another's and approve it alone."""
        if self.status is MemberStatus.APPLIED:
            self.applied_by_issuer, self.applied_by_subject = act.by.issuer, act.by.subject

    def _must(self, statuses: frozenset[MemberStatus] | set[MemberStatus], code: str) -> None:
        if self.erased_at is not None:
            raise Conflict("member-erased")
        if self.status not in statuses:
            raise Conflict(code)

    def _step(self, happening: Happening, act: Act, other: UUID | None = None) -> HistoryEntry:
        self.version += 1
        self.updated_at = act.by.at
        return HistoryEntry(
            member_id=self.id,
            version=self.version,
            happening=happening,
            happened_at=act.by.at,
            on_date=act.on,
            organisation_id=self.organisation_id,
            other_organisation_id=other,
            actor_issuer=act.by.issuer,
            actor_subject=act.by.subject,
            reason=act.reason,
        )

    def _holding(self) -> Affiliation:
        return next(affiliation for affiliation in self.affiliations if affiliation.to_on is None)

    def _open(self, organisation_id: UUID, on: date | None) -> None:
        self.affiliations.append(
            Affiliation(
                member_id=self.id, from_version=self.version, organisation_id=organisation_id, from_on=on
            )
        )

    def _close(self, on: date) -> None:
        self._holding().to_on = on

    def _leave(self, on: date) -> None:
        if any(affiliation.to_on is None for affiliation in self.affiliations):
            self._close(on)
        self.left_on, self.escalated_at = on, None


def _need_reason(act: Act) -> None:
    if not act.reason or not act.reason.strip():
        raise Invalid("reason-missing", field="reason")
