"""The steps of a dossier: versions without gaps, four eyes, one head, and nothing after its end."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.kernel.errors import About, Conflict, Forbidden, Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from welfare_service.dossiers.domain import Dossier, Person
from welfare_service.dossiers.kinds import (
    Cause,
    CloseReason,
    DocumentType,
    Health,
    Insurance,
    Occupation,
    Relation,
)

AT = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)
OFFICER, APPROVER = By("issuer", "officer", AT), By("issuer", "approver", AT)


def person(relation: Relation = Relation.CHILD) -> Person:
    return Person(
        id=new_id(),
        dossier_id=new_id(),
        member_id=None,
        relation=relation,
        health=Health.GOOD,
        insurance=Insurance.NONE,
        occupation=Occupation.EMPLOYED,
        is_able=True,
        birth_year=1980,
        document_type=DocumentType.PASSPORT,
        name_sealed=b"",
        document_sealed=b"",
        document_blind=b"",
        last4_blind=b"",
        phone_sealed=None,
        illness_sealed=None,
        data_key_wrapped=b"",
        key_version=1,
        entered_on=AT.date(),
    )


def drafted(*others: Person) -> Dossier:
    dossier = Dossier(
        id=new_id(),
        number="0000000001",
        organisation_id=new_id(),
        path="1/",
        primary_cause=Cause.ILLNESS,
        secondary_cause=None,
        exclusions=[],
        data_key_wrapped=b"",
        key_version=1,
        created_at=AT,
        updated_at=AT,
        persons=[person(Relation.HEAD), *others],
    )
    assert dossier.drafted(OFFICER).version == 1
    return dossier


def test_a_household_has_exactly_one_head() -> None:
    dossier = drafted()
    assert dossier.add_person(person(), OFFICER).version == 2
    with pytest.raises(Conflict, match="dossier-head-stays"):
        dossier.remove_person(dossier.persons[0].id, OFFICER)
    with pytest.raises(Invalid):
        dossier.add_person(person(Relation.HEAD), OFFICER)


def test_whoever_gathered_does_not_decide() -> None:
    dossier = drafted()
    dossier.submit(OFFICER)
    gatherers = {(OFFICER.issuer, OFFICER.subject)}
    with pytest.raises(Forbidden, match="dossier-four-eyes"):
        dossier.classify(HardshipClass.DEEP, gatherers, OFFICER)
    entry = dossier.classify(HardshipClass.DEEP, gatherers, APPROVER)
    assert (entry.version, dossier.status, dossier.classified_on) == (3, DossierStatus.OPEN, APPROVER.today)


def test_what_changes_after_submission_has_to_be_submitted_anew() -> None:
    dossier = drafted()
    dossier.submit(OFFICER)
    with pytest.raises(Conflict, match="dossier-awaits-decision"):
        dossier.submit(OFFICER)
    dossier.add_person(person(), OFFICER)
    with pytest.raises(Conflict, match="dossier-not-submitted"):
        dossier.classify(HardshipClass.DEEP, set(), APPROVER)


def test_without_hardship_no_file_is_opened_and_an_open_one_stays_open() -> None:
    dossier = drafted()
    dossier.submit(OFFICER)
    dossier.classify(HardshipClass.NONE, set(), APPROVER)
    assert dossier.status is DossierStatus.DRAFT
    dossier.submit(OFFICER)
    dossier.classify(HardshipClass.DEEP, set(), APPROVER)
    dossier.submit(OFFICER)
    dossier.classify(HardshipClass.NONE, set(), APPROVER)
    assert (dossier.status, dossier.hardship_class) == (DossierStatus.OPEN, HardshipClass.NONE)


def test_a_split_takes_along_who_leaves_but_never_the_head() -> None:
    dossier = drafted(one := person(), other := person())
    leaving, entry = dossier.split([one.id], OFFICER)
    assert (leaving, entry.version, dossier.persons[1:]) == ([one], 2, [other])
    with pytest.raises(Conflict, match="dossier-head-stays"):
        dossier.split([dossier.persons[0].id], OFFICER)


STEPS: list[Callable[[Dossier], object]] = [
    lambda dossier: dossier.change(Cause.OTHER, None, [], OFFICER),
    lambda dossier: dossier.add_person(person(), OFFICER),
    lambda dossier: dossier.person_changed(OFFICER),
    lambda dossier: dossier.enter_lines(dossier.persons[0].id, [], OFFICER),
    lambda dossier: dossier.submit(OFFICER),
    lambda dossier: dossier.classify(HardshipClass.DEEP, set(), APPROVER),
    lambda dossier: dossier.give_back(b"", APPROVER),
    lambda dossier: dossier.close(CloseReason.MOVED_AWAY, None, OFFICER),
]


@pytest.mark.parametrize("step", STEPS)
def test_nothing_happens_to_a_closed_dossier_and_it_holds_nobody(step: Callable[[Dossier], object]) -> None:
    dossier = drafted(person())
    dossier.close(CloseReason.OUT_OF_HARDSHIP, None, OFFICER)
    assert not any(one.is_standing for one in dossier.persons)
    with pytest.raises(Conflict, match="dossier-closed") as refused:
        step(dossier)
    # So the try is audited.
    assert refused.value.about == About("dossier", dossier.id, dossier.path)
    assert dossier.version == 2
