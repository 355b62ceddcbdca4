"""A household's file goes with its head to another unit: once, whatever comes twice, late or after a dissolution."""

from typing import Any
from uuid import UUID

import pytest

from shared.contracts import membership as contract
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from tests.integration.welfare.dossiers.test_deciding import items
from tests.support.dossiers import KnownPeople, Office, office_of, person
from tests.support.welfare import Unit, committed
from welfare_service import effects


def received(office: Office, kind: str, subject: UUID, sequence: int, data: dict[str, Any]) -> Received:
    topic = ORGANISATIONS if kind == contract.OrganisationDissolved.type else MEMBERS
    return Received(
        topic=topic.name, partition=0, offset=0, id=new_id(), type=kind, source=contract.SOURCE, subject=subject,
        sequence=sequence, time=office.welfare.clock.now(), data=data,
    )  # fmt: skip


def transferred(office: Office, member: UUID, to: UUID, sequence: int) -> Received:
    data = {"state": {"organisation_id": str(to)}, "previous_organisation_id": str(office.unit.id)}
    return received(office, contract.MemberTransferred.type, member, sequence, data)


async def take_effect(database: Database, *events: Received) -> None:
    async with committed(database, Scope.everything()) as session:
        await effects.apply(session, events)


async def stands(office: Office, dossier: dict[str, Any], unit: Unit, version: int) -> bool:
    [row] = await office.welfare.rows(
        "SELECT organisation_id, path, version FROM dossiers WHERE id = $1", UUID(dossier["id"])
    )
    reviews = await office.welfare.rows(
        "SELECT organisation_id, path FROM dossier_reviews WHERE dossier_id = $1", UUID(dossier["id"])
    )
    place = (unit.id, unit.path)
    return {tuple(row), *((*review, version) for review in reviews)} == {(*place, version)}


async def test_the_new_unit_finds_the_file_and_the_task_and_the_old_one_no_longer(
    office: Office, people: KnownPeople, worker_database: Database, app_database: Database
) -> None:
    head, child = person(), person("child")
    member = people.member(head["document_number"])
    made = await office.draft(head=head)
    made = await office.step(made, "/persons", expect=201, json=child)
    submitted = await office.step(made, "/submission")
    other = await office_of(office.welfare, people)
    await take_effect(worker_database, transferred(office, member, other.unit.id, 5))
    version = submitted["version"] + 1
    assert await stands(office, made, other.unit, version)
    await office.get(made["id"], expect=404)
    found = await other.get(made["id"])
    assert (found["organisation_id"], found["awaiting_since"]) == (
        str(other.unit.id),
        submitted["awaiting_since"],
    )
    assert (await office.welfare.events(made["id"]))[-1] == ("dossier.changed.v1", version)
    history = await office.welfare.call("GET", f"/dossiers/{made['id']}/history", by=other.officer)
    last = history["items"][-1]
    assert (last["happening"], last["reason"]) == ("handed-over", "member-transferred")
    assert [item.kind for item in await items(other, app_database, contract.Role.APPROVER)] == [
        "dossier.decide"
    ]
    assert [item.kind for item in await items(other, app_database, contract.Role.WELFARE_OFFICER)] == [
        "dossier.review"
    ]
    assert await items(office, app_database, contract.Role.WELFARE_OFFICER) == []
    decision = await other.step(found, "/decision", by=other.approver, json={"hardship_class": "deep"})
    assert decision["hardship_class"] == "deep"


async def test_a_fact_twice_or_late_changes_nothing(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    head = person()
    member = people.member(head["document_number"])
    made = await office.draft(head=head)
    second, third = await office.welfare.unit(), await office.welfare.unit()
    newer = transferred(office, member, third.id, 7)
    await take_effect(worker_database, newer, transferred(office, member, second.id, 5))
    for event in (newer, transferred(office, member, second.id, 6), newer):
        await take_effect(worker_database, event)
    assert await stands(office, made, third, 2)
    await take_effect(worker_database, transferred(office, member, second.id, 8))
    assert await stands(office, made, second, 3)


async def test_the_file_of_others_and_a_closed_one_stay(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    spouse, gone = person("spouse"), person()
    wife = people.member(spouse["document_number"])
    head = people.member(gone["document_number"])
    shared = await office.step(await office.draft(), "/persons", expect=201, json=spouse)
    closed = await office.draft(head=gone)
    await office.step(closed, "/close", json={"reason": "moved_away"})
    elsewhere = await office.welfare.unit()
    events = [transferred(office, member, elsewhere.id, 5) for member in (wife, head, new_id())]
    await take_effect(worker_database, *events)
    assert await stands(office, shared, office.unit, 2)
    assert await stands(office, closed, office.unit, 2)


async def test_who_arrives_at_a_dissolved_unit_is_kept_by_its_successor(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    """The two facts lie in partitions of their own: either may be read first."""
    target, heir = await office.welfare.unit(), await office.welfare.unit()
    ended = received(
        office, contract.OrganisationDissolved.type, target.id, 2, {"successor_id": str(heir.id)}
    )
    heads = [person(), person()]
    members = [people.member(head["document_number"]) for head in heads]
    before, after = [await office.draft(head=head) for head in heads]
    await take_effect(worker_database, transferred(office, members[0], target.id, 5))
    await take_effect(worker_database, ended)
    await take_effect(worker_database, transferred(office, members[1], target.id, 5))
    assert await stands(office, before, heir, 3)
    assert await stands(office, after, heir, 2)


async def test_a_unit_that_is_not_known_yet_is_waited_for(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    head = person()
    member = people.member(head["document_number"])
    made = await office.draft(head=head)
    with pytest.raises(Unavailable):
        await take_effect(worker_database, transferred(office, member, new_id(), 5))
    assert await stands(office, made, office.unit, 1)
