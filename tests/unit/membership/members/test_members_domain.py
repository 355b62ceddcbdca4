from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from membership_service.members.documents import DocumentType
from membership_service.members.domain import Act, Affiliation, Details, Happening, Member
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.kernel.errors import Conflict, DomainError, Forbidden, Invalid
from shared.security.acting import By

AT = datetime(2026, 11, 21, 4, tzinfo=UTC)
DAY = date(2026, 11, 21)
ANNA, BERT = By("iss", "anna", AT), By("iss", "bert", AT)
HOME, AWAY = uuid4(), uuid4()


def act(by: By = BERT, reason: str | None = "because", on: date = DAY) -> Act:
    return Act(by, on, reason)


DETAILS = Details(
    name="李娜", name_pinyin="lina", name_initials="ln", other_pinyin=None, other_initials=None,
    document_type=DocumentType.PASSPORT, document_sealed=b"d2", document_blind=b"b2", last4_blind=b"l2", phone_sealed=None,
    phone_blind=None, birth_date_sealed=None, data_key_wrapped=b"k", key_version=1, gender=Gender.FEMALE, birth_year=1991,
    employment_form=EmploymentForm.MIGRANT,
)  # fmt: skip


def applicant(status: MemberStatus = MemberStatus.APPLIED) -> Member:
    id_ = uuid4()
    return Member(
        id=id_, name="王伟", name_pinyin="wangwei", name_initials="ww", document_type=DocumentType.RESIDENT_ID,
        document_sealed=b"d", document_blind=b"b", last4_blind=b"l", data_key_wrapped=b"k", key_version=1,
        gender=Gender.MALE, birth_year=1990, employment_form=EmploymentForm.CONTRACT, status=status,
        organisation_id=HOME, path="1/", applied_by_issuer="iss", applied_by_subject="anna", created_at=AT, updated_at=AT,
        affiliations=[Affiliation(member_id=id_, from_version=1, organisation_id=HOME)],
    )  # fmt: skip


def active() -> Member:
    member = applicant()
    member.approve("0000000001", act())
    return member


def test_an_approved_applicant_is_active_from_that_day() -> None:
    member = applicant()
    entry = member.approve("0000000001", act())
    assert (member.status, member.joined_on, member.member_number) == (MemberStatus.ACTIVE, DAY, "0000000001")
    assert (entry.happening, entry.version, member.version) == (Happening.ADMITTED, 2, 2)
    assert member.affiliations[0].from_on == DAY


def test_nobody_approves_an_own_application() -> None:
    with pytest.raises(Forbidden, match="four-eyes"):
        applicant().approve("1", act(ANNA))
    member = applicant()
    member.user_issuer, member.user_subject = "iss", "carl"
    with pytest.raises(Forbidden, match="four-eyes"):
        member.approve("1", act(By("iss", "carl", AT)))
    member.approve("1", act(By("other issuer", "anna", AT)))


@pytest.mark.parametrize("is_linked", [False, True])
def test_who_rewrites_an_application_may_not_approve_it(*, is_linked: bool) -> None:
    member = applicant()
    if is_linked:
        member.link("iss", "carl", act(BERT))
    else:
        member.change(DETAILS, act(BERT))
    with pytest.raises(Forbidden, match="four-eyes"):
        member.approve("1", act(BERT))
    member.approve("1", act(ANNA))


def test_a_return_needs_a_reason_and_frees_the_affiliation() -> None:
    member = applicant()
    with pytest.raises(Invalid, match="reason-missing"):
        member.return_application(act(reason=" "))
    member.return_application(act())
    assert member.status is MemberStatus.RETURNED
    assert (member.affiliations[0].from_on, member.affiliations[0].to_on) == (None, DAY)


def test_joining_again_adds_an_affiliation_and_keeps_the_number() -> None:
    member = active()
    member.withdraw(act())
    member.apply_again(DETAILS, AWAY, "1/2/", act(ANNA))
    member.approve("0000000002", act())
    assert member.member_number == "0000000001"
    assert [(link.organisation_id, link.to_on) for link in member.affiliations] == [(HOME, DAY), (AWAY, None)]
    assert (member.organisation_id, member.left_on, member.version) == (AWAY, None, 5)
    assert (member.name, member.document_blind, member.employment_form) == (
        "李娜",
        b"b2",
        EmploymentForm.MIGRANT,
    )


def test_a_new_applicant_is_version_one_with_one_affiliation_to_come() -> None:
    id_ = uuid4()
    member, entry = Member.apply(id_, DETAILS, HOME, "1/", act(ANNA))
    assert (member.id, member.version, entry.version, entry.happening) == (id_, 1, 1, Happening.APPLIED)
    assert [(link.from_version, link.from_on, link.to_on) for link in member.affiliations] == [
        (1, None, None)
    ]


def test_a_transfer_moves_the_affiliation_and_wakes_a_retained_member() -> None:
    member = active()
    member.retain(act())
    member.request_transfer(AWAY, act())
    entry = member.arrive(AWAY, "1/2/", act())
    assert (member.status, member.organisation_id, member.path) == (MemberStatus.ACTIVE, AWAY, "1/2/")
    assert (entry.other_organisation_id, entry.organisation_id) == (HOME, AWAY)
    assert [link.to_on for link in member.affiliations] == [DAY, None]


def test_a_refused_transfer_leaves_everything_as_before() -> None:
    member = active()
    member.request_transfer(AWAY, act())
    member.end_transfer(AWAY, MemberStatus.ACTIVE, act())
    assert (member.status, member.organisation_id) == (MemberStatus.ACTIVE, HOME)


def test_no_death_before_joining_or_tomorrow() -> None:
    for day in (date(2026, 11, 20), date(2026, 11, 22)):
        with pytest.raises(Invalid):
            active().decease(act(on=day))
    member = active()
    member.decease(act())
    assert (member.status, member.left_on) == (MemberStatus.DECEASED, DAY)


def test_an_erased_person_is_unreadable_and_stays_so() -> None:
    member = active()
    member.erase(act())
    assert not any(
        (
            member.name,
            member.name_pinyin,
            member.document_sealed,
            member.document_blind,
            member.data_key_wrapped,
        )
    )
    assert (member.status, member.birth_year, member.gender) == (MemberStatus.WITHDRAWN, None, Gender.UNKNOWN)
    with pytest.raises(Conflict, match="member-erased"):
        member.apply_again(DETAILS, HOME, "1/", act())


STEPS = {
    "change": lambda member: member.change(DETAILS, act()),
    "link": lambda member: member.link("iss", "eva", act()),
    "approve": lambda member: member.approve("1", act()),
    "return": lambda member: member.return_application(act()),
    "retain": lambda member: member.retain(act()),
    "restore": lambda member: member.restore(act()),
    "withdraw": lambda member: member.withdraw(act()),
    "take back": lambda member: member.take_back(act(reason=None)),
    "decease": lambda member: member.decease(act()),
    "apply": lambda member: member.apply_again(DETAILS, HOME, "1/", act()),
    "transfer": lambda member: member.request_transfer(AWAY, act()),
    "arrive": lambda member: member.arrive(AWAY, "1/2/", act()),
    "end": lambda member: member.end_transfer(AWAY, MemberStatus.ACTIVE, act()),
}
EDITS = {"change", "link"}
ALLOWED = {
    MemberStatus.APPLIED: EDITS | {"approve", "return", "withdraw", "take back", "decease"},
    MemberStatus.RETURNED: EDITS | {"apply", "decease"},
    MemberStatus.ACTIVE: EDITS | {"retain", "withdraw", "decease", "transfer"},
    MemberStatus.TRANSFERRING: EDITS | {"arrive", "end"},
    MemberStatus.RETAINED: EDITS | {"restore", "withdraw", "decease", "transfer"},
    MemberStatus.WITHDRAWN: EDITS | {"apply", "decease"},
    MemberStatus.DECEASED: set[str](),
}


@pytest.mark.parametrize("status", MemberStatus)
@pytest.mark.parametrize("step", STEPS)
def test_every_step_from_every_status(status: MemberStatus, step: str) -> None:
    member = applicant(status)
    if status in {MemberStatus.RETURNED, MemberStatus.WITHDRAWN, MemberStatus.DECEASED}:
        member.affiliations[0] = replace(member.affiliations[0], to_on=DAY)
    if step in ALLOWED[status]:
        assert STEPS[step](member).version == member.version == 2
    else:
        with pytest.raises(DomainError):
            STEPS[step](member)
        assert (member.version, member.status) == (1, status)
