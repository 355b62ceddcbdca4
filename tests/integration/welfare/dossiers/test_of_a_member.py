"""The dossier in which a member stands: what the overview of the member asks for."""

from typing import Any
from uuid import UUID

from shared.kernel.ids import new_id
from tests.integration.welfare.dossiers.test_access import audited
from tests.support.dossiers import KnownPeople, Office, office_of, person


async def of_member(office: Office, member: UUID, by: str) -> Any:
    found = await office.welfare.call("GET", "/dossiers", by=by, params={"member": str(member)})
    return [item["id"] for item in found["items"]]


async def test_it_is_found_by_member_where_the_caller_may_read_and_the_look_is_audited(
    office: Office, people: KnownPeople
) -> None:
    head = person()
    member = people.member(head["document_number"])
    made, other = await office.draft(head=head), await office.draft()
    assert await of_member(office, member, office.officer) == [made["id"]]
    assert await of_member(office, new_id(), office.officer) == []
    elsewhere = await office_of(office.welfare, people)
    assert await of_member(office, member, elsewhere.officer) == []
    looks = [entry for entry in await audited(office, made["id"]) if entry[0] == "dossier.read"]
    assert looks == [("dossier.read", office.officer)]
    await office.welfare.call("GET", "/dossiers", by=office.officer)
    assert ("dossier.read", office.officer) not in await audited(office, other["id"])
