"""One example record of every event type: shown in the catalogue of events and pinned by the golden files.

Everything in it is made up. The files in `tests/contract/golden` are what is on the wire; they are read by the contract tests,
which also build each of them anew and compare byte for byte.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from shared.contracts import membership as m
from shared.contracts.envelope import Event, EventData, Registry, event_headers

Record = dict[str, Any]

_TIME: Final = datetime(2026, 3, 2, 1, 30, 0, 123456, UTC)
_TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_COUNTY: Final = UUID("01958f00-0000-7000-8000-00000000000a")
_UNIT: Final = UUID("01958f00-0000-7000-8000-00000000000b")
_OTHER_UNIT: Final = UUID("01958f00-0000-7000-8000-00000000000c")
_ENTERPRISE: Final = UUID("01958f00-0000-7000-8000-0000000000e1")
_POST: Final = UUID("01958f00-0000-7000-8000-0000000000f1")
_MEMBER: Final = UUID("01958f00-0000-7000-8000-000000000101")
_DAY: Final = date(2026, 3, 2)

_organisation: Final = m.OrganisationState(
    organisation_id=_UNIT,
    number=42,
    code="SL-0301-007",
    name="示例机械厂工会",
    kind=m.OrganisationKind.ENTERPRISE,
    parent_id=_COUNTY,
    parent_since=date(2019, 5, 1),
    founded_on=date(2019, 5, 1),
    dissolved_on=None,
)
_enterprise: Final = m.EnterpriseState(
    enterprise_id=_ENTERPRISE,
    organisation_id=_UNIT,
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
    issuer="https://union.example/identity",
    subject="5f1c2a9e-3b1f-4f6e-9d55-000000000001",
    role=m.Role.REGISTRAR,
    organisation_id=_UNIT,
    starts_on=_DAY,
    ends_on=None,
)
_member: Final = m.MemberState(
    member_id=_MEMBER,
    organisation_id=_UNIT,
    status=m.MemberStatus.ACTIVE,
    gender=m.Gender.FEMALE,
    birth_year=1990,
    employment_form=m.EmploymentForm.CONTRACT,
    joined_on=_DAY,
    left_on=None,
)


def _member_as(status: m.MemberStatus, **changes: Any) -> m.MemberState:
    return _member.model_copy(update={"status": status, **changes})


_EXAMPLES: Final[tuple[EventData, ...]] = (
    m.OrganisationCreated(state=_organisation),
    m.OrganisationRenamed(state=_organisation.model_copy(update={"name": "示例重型机械厂工会"})),
    m.OrganisationMoved(
        state=_organisation.model_copy(update={"parent_id": _OTHER_UNIT, "parent_since": _DAY}),
        previous_parent_id=_COUNTY,
    ),
    m.OrganisationDissolved(
        state=_organisation.model_copy(update={"dissolved_on": _DAY}), successor_id=_OTHER_UNIT
    ),
    m.EnterpriseRegistered(state=_enterprise),
    m.EnterpriseUpdated(state=_enterprise.model_copy(update={"headcount": 331})),
    m.PostGranted(state=_post),
    m.PostEnded(state=_post.model_copy(update={"ends_on": date(2026, 12, 31)})),
    m.MemberApplied(on=_DAY, state=_member_as(m.MemberStatus.APPLIED, joined_on=None)),
    m.MemberReturned(on=_DAY, state=_member_as(m.MemberStatus.RETURNED, joined_on=None)),
    m.MemberAdmitted(on=_DAY, state=_member),
    m.MemberChanged(
        on=_DAY, state=_member_as(m.MemberStatus.ACTIVE, employment_form=m.EmploymentForm.FLEXIBLE)
    ),
    m.MemberTransferRequested(
        on=_DAY, state=_member_as(m.MemberStatus.TRANSFERRING), target_organisation_id=_OTHER_UNIT
    ),
    m.MemberTransferEnded(on=_DAY, state=_member, target_organisation_id=_OTHER_UNIT),
    m.MemberTransferred(
        on=_DAY,
        state=_member_as(m.MemberStatus.ACTIVE, organisation_id=_OTHER_UNIT),
        previous_organisation_id=_UNIT,
    ),
    m.MemberRetained(on=_DAY, state=_member_as(m.MemberStatus.RETAINED)),
    m.MemberRestored(on=_DAY, state=_member),
    m.MemberWithdrawn(on=_DAY, state=_member_as(m.MemberStatus.WITHDRAWN, left_on=_DAY)),
    m.MemberDeceased(on=_DAY, state=_member_as(m.MemberStatus.DECEASED, left_on=_DAY)),
)


def golden_events(registry: Registry) -> dict[str, Event]:
    """An event of every registered type. Raises LookupError for a type without an example."""
    by_type: dict[str, EventData | None] = {data.type: data for data in _EXAMPLES}
    by_type |= {name: None for name, model in registry.types.items() if model is None}
    missing = registry.types.keys() - by_type.keys()
    if missing:
        raise LookupError(f"no example in contracts/golden.py for {', '.join(sorted(missing))}")
    template = Event(
        id=UUID("01958f1d-5e7b-7c3a-9f00-000000000001"),
        subject=_MEMBER,
        sequence=7,
        time=_TIME,
        source=m.SOURCE,
        type="",
        topic=m.MEMBERS,
        data=None,
        traceparent=_TRACEPARENT,
    )
    subjects = {m.ORGANISATIONS: _UNIT, m.ENTERPRISES: _ENTERPRISE, m.POSTS: _POST, m.MEMBERS: _MEMBER}
    return {
        name: replace(
            template,
            type=name,
            topic=registry.topic_of[name],
            data=by_type[name],
            subject=subjects[registry.topic_of[name]],
        )
        for name, topic in registry.topic_of.items()
    }


def golden_record(event: Event) -> Record:
    """The Kafka record of an event as readable JSON: topic, key, headers as text, value as JSON (null for a tombstone)."""
    value = event.value()
    return {
        "topic": event.topic.name,
        "key": str(event.subject),
        "headers": {name: content.decode() for name, content in event_headers(event)},
        "value": None if value is None else orjson.loads(value),
    }
