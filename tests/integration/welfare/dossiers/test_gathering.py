"""Gathering over HTTP: persons, amounts, membership asked first, nobody in two dossiers, splits, closing."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.kernel.ids import new_id
from tests.support.dossiers import ILLNESS, KnownPeople, Office, office_of, passport, person
from tests.support.welfare import Welfare


async def test_a_file_is_begun_with_its_head_masked_and_told_as_an_event(
    office: Office, people: KnownPeople
) -> None:
    number = passport()
    member = people.member(number)
    head = person(document_number=f" {number.lower()} ", phone="13912345678", illness=ILLNESS)
    made = await office.draft(head=head)
    assert (made["status"], made["hardship_class"], made["version"]) == ("draft", "none", 1)
    [shown] = made["persons"]
    assert (shown["member_id"], shown["name"], shown["phone"]) == (str(member), "欧***", "139****5678")
    assert (shown["document_number"], shown["illness"]) == ("*******" + number[-2:], "*")
    assert await office.welfare.events(made["id"]) == [("dossier.drafted.v1", 1)]
    assert people.tokens[-1].startswith("Bearer ")


async def test_the_same_command_twice_begins_one_file(office: Office) -> None:
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness", "head": person()}
    replies = [
        await office.welfare.send("POST", "/dossiers", by=office.officer, key="same-file-twice", json=body)
        for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].json()["id"] == replies[1].json()["id"]


def _times_out() -> httpx.Response:
    raise httpx.ReadTimeout("late")


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (_times_out, 503, "membership-unavailable"),
        (lambda: httpx.Response(500), 503, "membership-unavailable"),
        (lambda: httpx.Response(200, text="no JSON"), 503, "membership-unavailable"),
        (lambda: httpx.Response(200, json={}), 503, "membership-unavailable"),
        (lambda: httpx.Response(200, json=[]), 503, "membership-unavailable"),
        (lambda: httpx.Response(422), 422, "document-refused"),
        (lambda: httpx.Response(429), 429, "member-look-ups-used-up"),
        (lambda: httpx.Response(403), 403, "not-allowed"),
    ],
)
async def test_without_an_answer_of_membership_nobody_enters(
    office: Office, people: KnownPeople, answer: Any, status: int, code: str
) -> None:
    made = await office.draft()
    people.answer = answer
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness", "head": person()}
    await office.welfare.refused(code, status, "POST", "/dossiers", by=office.officer, json=body)
    path = f"/dossiers/{made['id']}/persons"
    refused = {"by": office.officer, "version": 1, "json": person("child")}
    await office.welfare.refused(code, status, "POST", path, **refused)
    people.answer = None
    await office.step(made, "/persons", json=person("child"), expect=201)


async def test_nobody_stands_in_two_dossiers(office: Office, people: KnownPeople) -> None:
    number = passport()
    first = await office.draft(head=person(document_number=number))
    elsewhere = await office_of(office.welfare, people)
    body = {"organisation_id": str(elsewhere.unit.id), "primary_cause": "illness"}
    again = body | {"head": person(document_number=number)}
    problem = await office.welfare.refused(
        "person-in-dossier", 409, "POST", "/dossiers", by=elsewhere.officer, json=again, language="en"
    )
    assert first["id"] not in str(problem)
    assert first["number"] not in str(problem)
    await office.step(first, "/close", json={"reason": "moved_away"})
    await elsewhere.draft(head=person(document_number=number))


async def test_a_member_with_another_document_stands_in_no_second_dossier(
    office: Office, people: KnownPeople
) -> None:
    old, new = passport(), passport()
    people.known[old] = people.known[new] = new_id()
    await office.draft(head=person(document_number=old))
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness"}
    await office.welfare.refused(
        "person-in-dossier",
        409,
        "POST",
        "/dossiers",
        by=office.officer,
        json=body | {"head": person(document_number=new)},
    )


async def test_of_two_at_once_one_enters(office: Office) -> None:
    number = passport()
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness"}
    replies = await asyncio.gather(
        *(
            office.welfare.send(
                "POST", "/dossiers", by=office.officer, json=body | {"head": person(document_number=number)}
            )
            for _ in range(6)
        )
    )
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 5


@pytest.mark.parametrize(
    "amount", ["0", "-1", "0.5", "1.0", "1e30", '"100"', "true", "null", "NaN", "10000000000001"]
)
async def test_a_wrong_amount_is_refused_and_nothing_is_entered(office: Office, amount: str) -> None:
    made = await office.draft()
    content = f'{{"lines": [{{"kind": "income-wage", "amount_fen": {amount}, "on": "2026-03-01"}}]}}'
    reply = await office.welfare.send(
        "PUT",
        f"/dossiers/{made['id']}/persons/{made['persons'][0]['id']}/lines",
        by=office.officer,
        version=1,
        content=content,
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code == (400 if amount == "NaN" else 422), reply.text
    assert (await office.get(made["id"]))["version"] == 1


async def test_amounts_replace_those_before_and_none_lies_in_the_future(office: Office) -> None:
    made = await office.draft()
    first = await office.lines(made, ("income-wage", 100), ("spending-illness", 50))
    second = await office.lines(first, ("income-transfer", 7))
    assert [line["kind"] for line in second["persons"][0]["lines"]] == ["income-transfer"]
    assert second["persons"][0]["lines"][0]["amount_fen"] is None
    lines = [{"kind": "income-wage", "amount_fen": 1, "on": "2099-01-01"}]
    place = f"/dossiers/{made['id']}/persons/{made['persons'][0]['id']}/lines"
    await office.welfare.refused(
        "amount-in-future", 422, "PUT", place, by=office.officer, version=3, json={"lines": lines}
    )


@pytest.mark.parametrize("field", ["status", "hardship_class", "number", "version", "path", "member_id"])
async def test_nobody_sets_by_body_what_is_decided(office: Office, field: str) -> None:
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness", "head": person()}
    await office.welfare.call("POST", "/dossiers", by=office.officer, json=body | {field: "deep"}, expect=422)
    body["head"] = person() | {field: "deep"}
    await office.welfare.call("POST", "/dossiers", by=office.officer, json=body, expect=422)


async def test_persons_are_corrected_and_leave_but_not_the_head(office: Office) -> None:
    made = await office.draft()
    grown = await office.step(made, "/persons", json=person("child", occupation="student"), expect=201)
    child = grown["persons"][1]["id"]
    changed = await office.step(
        grown,
        f"/persons/{child}",
        "PATCH",
        json={"occupation": "unemployed", "illness": ILLNESS, "phone": None},
    )
    assert (changed["persons"][1]["occupation"], changed["persons"][1]["illness"]) == ("unemployed", "*")
    head = changed["persons"][0]["id"]
    path = f"/dossiers/{made['id']}/persons/{head}/removal"
    await office.welfare.refused("dossier-head-stays", 409, "POST", path, by=office.officer, version=3)
    left = await office.step(changed, f"/persons/{child}/removal")
    assert [one["id"] for one in left["persons"]] == [head]
    assert (await office.get(made["id"]))["persons"] == left["persons"]


async def test_a_household_splits_in_one_step(office: Office, people: KnownPeople) -> None:
    number = passport()
    member = people.member(number)
    made = await office.draft()
    made = await office.step(made, "/persons", json=person("spouse", document_number=number), expect=201)
    made = await office.step(made, "/persons", json=person("child"), expect=201)
    made = await office.lines(made, ("income-wage", 1_000), person_at=1)
    spouse, child = made["persons"][1]["id"], made["persons"][2]["id"]
    body = {"person_ids": [spouse, child], "head_id": spouse}
    wrong = body | {"head_id": made["persons"][0]["id"]}
    path = f"/dossiers/{made['id']}/split"
    version = made["version"]
    await office.welfare.refused(
        "dossier-one-head", 422, "POST", path, by=office.officer, version=version, json=wrong
    )
    other = await office.step(made, "/split", json=body, expect=201)
    assert {one["id"]: one["relation"] for one in other["persons"]} == {spouse: "head", child: "child"}
    assert other["persons"][0]["lines"]
    left = await office.get(made["id"])
    assert (len(left["persons"]), left["version"]) == (1, version + 1)
    assert await office.welfare.events(other["id"]) == [("dossier.drafted.v1", 1)]
    row = "SELECT payload FROM outbox WHERE key = $1 ORDER BY id DESC LIMIT 1"
    assert str(member) in (await office.welfare.rows(row, other["id"]))[0]["payload"].decode()
    assert str(member) not in (await office.welfare.rows(row, made["id"]))[0]["payload"].decode()


async def test_a_closed_file_is_not_written_any_more(office: Office) -> None:
    made = await office.draft()
    closed = await office.step(made, "/close", json={"reason": "opened_in_error", "note": "误录"})
    assert (closed["status"], len((await office.get(made["id"]))["persons"])) == ("closed", 1)
    path = f"/dossiers/{made['id']}/submission"
    await office.welfare.refused("dossier-closed", 409, "POST", path, by=office.officer, version=2)
    history = await office.welfare.call("GET", f"/dossiers/{made['id']}/history", by=office.officer)
    assert [(one["happening"], one["note"]) for one in history["items"]] == [
        ("drafted", None),
        ("closed", "误录"),
    ]
    assert await office.welfare.events(made["id"]) == [("dossier.drafted.v1", 1), ("dossier.closed.v1", 2)]


async def test_a_write_names_the_version_that_was_read(office: Office) -> None:
    made = await office.draft()
    path = f"/dossiers/{made['id']}/submission"
    await office.welfare.refused("if-match-missing", 428, "POST", path, by=office.officer)
    await office.welfare.refused("stale-version", 412, "POST", path, by=office.officer, version=9)
    await office.step(made, "/submission")


async def test_a_document_that_cannot_be_is_refused(office: Office, welfare: Welfare) -> None:
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness"}
    for number in ("123", "11010119900307123Y", "110101299003071233"):
        head = person(document_type="resident_id", document_number=number)
        await welfare.refused(
            "document-refused", 422, "POST", "/dossiers", by=office.officer, json=body | {"head": head}
        )
    made = await office.draft(head=person(document_type="resident_id", document_number="110101199003071233"))
    assert made["persons"][0]["birth_year"] == 1990
