"""Examples of the membership service's events."""

from datetime import date
from typing import Any, Final
from uuid import UUID

from shared.contracts import membership as m
from shared.contracts.envelope import EventData, Topic
from shared.contracts.examples.people_and_units import (
    COUNTY,
    DAY,
    ISSUER,
    MEMBER,
    OTHER_UNIT,
    SUBJECT,
    UNIT,
)

_ENTERPRISE: Final = UUID("01958f00-0000-7000-8000-0000000000e1")
_POST: Final = UUID("01958f00-0000-7000-8000-0000000000f1")
SUBJECTS: Final[dict[Topic, UUID]] = {
    m.ORGANISATIONS: UNIT,
    m.ENTERPRISES: _ENTERPRISE,
    m.POSTS: _POST,
    m.MEMBERS: MEMBER,
}

_organisation: Final = m.OrganisationState(
    organisation_id=UNIT,
    number=42,
    code="SL-0301-007",
    name="示例机械厂工会",
    kind=m.OrganisationKind.ENTERPRISE,
    parent_id=COUNTY,
    parent_since=date(2019, 5, 1),
    founded_on=date(2019, 5, 1),
    dissolved_on=None,
)
_enterprise: Final = m.EnterpriseState(
    enterprise_id=_ENTERPRISE,
    organisation_id=UNIT,
    name="示例机械厂",
    credit_code="91350100M000100Y43",
    unionised=True,
    headcount=320,
    women=120,
    migrant_workers=80,
    dispatched_workers=15,
)
_post: Final = m.PostState(
    post_id=_POST,
    issuer=ISSUER,
    subject=SUBJECT,
    role=m.Role.REGISTRAR,
    organisation_id=UNIT,
    starts_on=DAY,
    ends_on=None,
)
_member: Final = m.MemberState(
    member_id=MEMBER,
    organisation_id=UNIT,
    status=m.MemberStatus.ACTIVE,
    gender=m.Gender.FEMALE,
    birth_year=1990,
    employment_form=m.EmploymentForm.CONTRACT,
    joined_on=DAY,
    left_on=None,
    user=m.User(issuer=ISSUER, subject="5f1c2a9e-3b1f-4f6e-9d55-000000000101"),
)


def _member_as(status: m.MemberStatus, **changes: Any) -> m.MemberState:
    return _member.model_copy(update={"status": status, **changes})


EXAMPLES: Final[tuple[EventData, ...]] = (
    m.OrganisationCreated(state=_organisation),
    m.OrganisationRenamed(state=_organisation.model_copy(update={"name": "示例重型机械厂工会"})),
    m.OrganisationMoved(
        state=_organisation.model_copy(update={"parent_id": OTHER_UNIT, "parent_since": DAY}),
        previous_parent_id=COUNTY,
    ),
    m.OrganisationDissolved(
        state=_organisation.model_copy(update={"dissolved_on": DAY}), successor_id=OTHER_UNIT
    ),
    m.EnterpriseRegistered(state=_enterprise),
    m.EnterpriseUpdated(state=_enterprise.model_copy(update={"headcount": 331})),
    m.PostGranted(state=_post),
    m.PostEnded(state=_post.model_copy(update={"ends_on": date(2026, 12, 31)})),
    m.MemberApplied(on=DAY, state=_member_as(m.MemberStatus.APPLIED, joined_on=None, user=None)),
    m.MemberReturned(on=DAY, state=_member_as(m.MemberStatus.RETURNED, joined_on=None, user=None)),
    m.MemberAdmitted(on=DAY, state=_member),
    m.MemberChanged(
        on=DAY, state=_member_as(m.MemberStatus.ACTIVE, employment_form=m.EmploymentForm.FLEXIBLE)
    ),
    m.MemberTransferRequested(
        on=DAY, state=_member_as(m.MemberStatus.TRANSFERRING), target_organisation_id=OTHER_UNIT
    ),
    m.MemberTransferEnded(on=DAY, state=_member, target_organisation_id=OTHER_UNIT),
    m.MemberTransferred(
        on=DAY,
        state=_member_as(m.MemberStatus.ACTIVE, organisation_id=OTHER_UNIT),
        previous_organisation_id=UNIT,
    ),
    m.MemberRetained(on=DAY, state=_member_as(m.MemberStatus.RETAINED)),
    m.MemberRestored(on=DAY, state=_member),
    m.MemberWithdrawn(on=DAY, state=_member_as(m.MemberStatus.WITHDRAWN, left_on=DAY)),
    m.MemberDeceased(on=DAY, state=_member_as(m.MemberStatus.DECEASED, left_on=DAY)),
)
