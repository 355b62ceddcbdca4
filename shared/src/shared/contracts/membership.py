"""Events of the membership service. Ids, classes, dates and counts only: no name of a person, no number, no phone.

Every `data` carries what happened and, under `state`, the aggregate's whole public state after it, so that a reader of
the compacted topic knows everything from the newest event of each key.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.envelope import EventData, Topic, registry

SOURCE = "/unionhall/membership"
ORGANISATIONS = Topic("unionhall.membership.organisations.v1")
ENTERPRISES = Topic("unionhall.membership.enterprises.v1")
POSTS = Topic("unionhall.membership.posts.v1")
MEMBERS = Topic("unionhall.membership.members.v1")

Year = Annotated[int, Field(ge=1900, le=2200)]


class State(BaseModel):
    """Base of public states."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OrganisationKind(StrEnum):
    """Level or form of a union unit (Trade Union Law of the PRC, art. 10–11)."""

    NATIONAL = "national"
    PROVINCIAL = "provincial"
    CITY = "city"
    COUNTY = "county"
    TOWNSHIP = "township"
    INDUSTRY = "industry"
    JOINT = "joint"
    ENTERPRISE = "enterprise"
    BRANCH = "branch"
    GROUP = "group"


class OrganisationState(State):
    """`number` is the unit's short lasting number; replicas build paths from the numbers of the ancestors.

    `parent_since` is the first day on which `parent_id` holds: dashboards of earlier days use the earlier parent.
    """

    organisation_id: UUID
    number: int
    code: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None
    parent_since: date
    founded_on: date
    dissolved_on: date | None


class OrganisationEvent(EventData):
    """An organisation after a change."""

    state: OrganisationState


@registry.event("unionhall.membership.organisation.created.v1", ORGANISATIONS)
class OrganisationCreated(OrganisationEvent):
    """A unit joined the tree."""


@registry.event("unionhall.membership.organisation.renamed.v1", ORGANISATIONS)
class OrganisationRenamed(OrganisationEvent):
    """A unit has a new name or kind."""


@registry.event("unionhall.membership.organisation.moved.v1", ORGANISATIONS)
class OrganisationMoved(OrganisationEvent):
    """A unit, with all below it, has another parent from `state.parent_since` on. Published on that day, not before."""

    previous_parent_id: UUID


@registry.event("unionhall.membership.organisation.dissolved.v1", ORGANISATIONS)
class OrganisationDissolved(OrganisationEvent):
    """A unit ended; `successor_id` takes its running affairs."""

    successor_id: UUID


class EnterpriseState(State):
    """An employer in the register (台账). `organisation_id` is the unit that serves it; None while nobody does."""

    enterprise_id: UUID
    organisation_id: UUID | None
    name: str
    credit_code: str
    unionised: bool
    headcount: int
    women: int
    migrant_workers: int
    dispatched_workers: int


class EnterpriseEvent(EventData):
    """An enterprise after a change."""

    state: EnterpriseState


@registry.event("unionhall.membership.enterprise.registered.v1", ENTERPRISES)
class EnterpriseRegistered(EnterpriseEvent):
    """An employer entered the register."""


@registry.event("unionhall.membership.enterprise.updated.v1", ENTERPRISES)
class EnterpriseUpdated(EnterpriseEvent):
    """Its figures, name or serving unit changed."""


class Role(StrEnum):
    """What a post lets its holder do; rights come from posts alone, never from claims of a token."""

    REGISTRAR = "registrar"
    WELFARE_OFFICER = "welfare_officer"
    APPROVER = "approver"
    TREASURER = "treasurer"
    ORGANISER = "organiser"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class PostState(State):
    """A role of a user (issuer and subject of the identity provider) at a unit and all below it, from one day to another.

    `ends_on` is the last day on which it holds.
    """

    post_id: UUID
    issuer: str
    subject: str
    role: Role
    organisation_id: UUID
    starts_on: date
    ends_on: date | None


class PostEvent(EventData):
    """A post after a change."""

    state: PostState


@registry.event("unionhall.membership.post.granted.v1", POSTS)
class PostGranted(PostEvent):
    """A user received a role at a unit."""


@registry.event("unionhall.membership.post.ended.v1", POSTS)
class PostEnded(PostEvent):
    """The post ends (or has ended) on `state.ends_on`."""


class MemberStatus(StrEnum):
    """Where a person stands: domain of membership (会籍)."""

    APPLIED = "applied"
    RETURNED = "returned"
    ACTIVE = "active"
    TRANSFERRING = "transferring"
    RETAINED = "retained"
    WITHDRAWN = "withdrawn"
    DECEASED = "deceased"


class Gender(StrEnum):
    """As on the identity document."""

    FEMALE = "female"
    MALE = "male"
    UNKNOWN = "unknown"


class EmploymentForm(StrEnum):
    """How the person works."""

    CONTRACT = "contract"
    DISPATCHED = "dispatched"
    FLEXIBLE = "flexible"
    NEW_FORM = "new_form"
    MIGRANT = "migrant"
    RETIRED = "retired"
    OTHER = "other"


class User(State):
    """An account at the identity provider: who signs in, not who the person is."""

    issuer: str
    subject: str


class MemberState(State):
    """A person for life. `organisation_id` is the unit of the affiliation that holds or, when none holds, held last.

    `joined_on` and `left_on` are the days of that affiliation; `joined_on` is None until the first admission. `user` is the
    account with which the member signs in, None while there is none (and in events of before it was told).
    """

    member_id: UUID
    organisation_id: UUID
    status: MemberStatus
    gender: Gender
    birth_year: Year | None
    employment_form: EmploymentForm
    joined_on: date | None
    left_on: date | None
    user: User | None = None


class MemberEvent(EventData):
    """A member after a change; `on` is the day from which the change counts."""

    on: date
    state: MemberState


@registry.event("unionhall.membership.member.applied.v1", MEMBERS)
class MemberApplied(MemberEvent):
    """Somebody asked to join (again)."""


@registry.event("unionhall.membership.member.returned.v1", MEMBERS)
class MemberReturned(MemberEvent):
    """The application went back with a reason (kept by the owner)."""


@registry.event("unionhall.membership.member.admitted.v1", MEMBERS)
class MemberAdmitted(MemberEvent):
    """Membership began on `on`."""


@registry.event("unionhall.membership.member.changed.v1", MEMBERS)
class MemberChanged(MemberEvent):
    """Details changed; perhaps only private ones, then the state is as before. One version is exactly one event."""


@registry.event("unionhall.membership.member.transfer-requested.v1", MEMBERS)
class MemberTransferRequested(MemberEvent):
    """A move to another unit was asked for; the member still belongs to the old one."""

    target_organisation_id: UUID


@registry.event("unionhall.membership.member.transfer-ended.v1", MEMBERS)
class MemberTransferEnded(MemberEvent):
    """The asked-for move was refused or cancelled; the member stays."""

    target_organisation_id: UUID


@registry.event("unionhall.membership.member.transferred.v1", MEMBERS)
class MemberTransferred(MemberEvent):
    """The member belongs to `state.organisation_id` from `on`."""

    previous_organisation_id: UUID


@registry.event("unionhall.membership.member.retained.v1", MEMBERS)
class MemberRetained(MemberEvent):
    """Membership is kept without duties (保留会籍): retirement, unemployment. Not counted in the statistics."""


@registry.event("unionhall.membership.member.restored.v1", MEMBERS)
class MemberRestored(MemberEvent):
    """A retained member is active again."""


@registry.event("unionhall.membership.member.withdrawn.v1", MEMBERS)
class MemberWithdrawn(MemberEvent):
    """Membership ended on `on` at the member's wish, or because an import was undone (`undone`)."""

    undone: bool = False


@registry.event("unionhall.membership.member.deceased.v1", MEMBERS)
class MemberDeceased(MemberEvent):
    """The member died on `on`."""


MEMBER_ERASED = "unionhall.membership.member.erased.v1"
registry.declare(MEMBER_ERASED, MEMBERS, None)
