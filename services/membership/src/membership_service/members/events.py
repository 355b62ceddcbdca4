"""A step of a member as the event that other services read."""

from typing import Final
from uuid import UUID

from membership_service.members.domain import Act, Details, Happening, HistoryEntry, Member
from shared.contracts import membership as contract
from shared.contracts.envelope import Event
from shared.contracts.membership import MemberEvent, MemberState, MemberStatus, User
from shared.kernel.ids import new_id
from shared.messaging.publication import publication

_TYPES: Final[dict[Happening, type[MemberEvent]]] = {
    Happening.APPLIED: contract.MemberApplied,
    Happening.RETURNED: contract.MemberReturned,
    Happening.ADMITTED: contract.MemberAdmitted,
    Happening.CHANGED: contract.MemberChanged,
    Happening.TRANSFER_REQUESTED: contract.MemberTransferRequested,
    Happening.TRANSFER_ENDED: contract.MemberTransferEnded,
    Happening.TRANSFERRED: contract.MemberTransferred,
    Happening.RETAINED: contract.MemberRetained,
    Happening.RESTORED: contract.MemberRestored,
    Happening.WITHDRAWN: contract.MemberWithdrawn,
    Happening.DECEASED: contract.MemberDeceased,
}
#: What the other organisation of a history entry is called in the event.
_OTHER: Final = {
    Happening.TRANSFER_REQUESTED: "target_organisation_id",
    Happening.TRANSFER_ENDED: "target_organisation_id",
    Happening.TRANSFERRED: "previous_organisation_id",
}


def state_of(member: Member) -> MemberState:
    """The public state: ids, classes, dates and the account, nothing personal beyond the year of birth."""
    return MemberState(
        member_id=member.id,
        organisation_id=member.organisation_id,
        status=member.status,
        gender=member.gender,
        birth_year=member.birth_year,
        employment_form=member.employment_form,
        joined_on=member.joined_on,
        left_on=member.left_on,
        user=_user_of(member),
    )


def _user_of(member: Member) -> User | None:
    if member.user_issuer is None or member.user_subject is None:
        return None
    return User(issuer=member.user_issuer, subject=member.user_subject)


def applied_anew(member_id: UUID, details: Details, organisation_id: UUID, act: Act) -> Event:
    """As `event_of` for version 1 of an applicant, from plain values: an ORM object costs more than all the rest of joining."""
    state = MemberState(
        member_id=member_id,
        organisation_id=organisation_id,
        status=MemberStatus.APPLIED,
        gender=details.gender,
        birth_year=details.birth_year,
        employment_form=details.employment_form,
        joined_on=None,
        left_on=None,
    )
    return publication(contract.MemberApplied(on=act.on, state=state), member_id, 1, act.by.at)


def event_of(member: Member, entry: HistoryEntry) -> Event:
    """The one event of the version that `entry` made. Erasure has no data: it is a tombstone."""
    if entry.happening is Happening.ERASED:
        return Event(
            id=new_id(),
            subject=member.id,
            sequence=entry.version,
            time=entry.happened_at,
            source=contract.SOURCE,
            type=contract.MEMBER_ERASED,
            topic=contract.MEMBERS,
            data=None,
        )
    other = {_OTHER[entry.happening]: entry.other_organisation_id} if entry.happening in _OTHER else {}
    data = _TYPES[entry.happening].model_validate({"on": entry.on_date, "state": state_of(member), **other})
    return publication(data, member.id, entry.version, entry.happened_at)
