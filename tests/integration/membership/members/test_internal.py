"""What other services ask of members: by document, in batches, and what waits for a user."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from membership_service.members import use_cases
from tests.integration.membership.members.people import (
    admitted,
    applied,
    escalated,
    number,
    person,
    registrars,
)
from tests.support.membership import Federation


async def ask(federation: Federation, by: str, path: str, body: Any = None, expect: int = 200) -> Any:
    """Call an internal route as a user; the JSON."""
    reply = await federation.client.request(
        "POST" if body is not None else "GET",
        f"/internal/v1{path}",
        json=body,
        headers=federation.issuer.headers(by),
    )
    assert reply.status_code == expect, reply.text
    return reply.json()


async def by_document(federation: Federation, by: str, document: str, expect: int = 200) -> Any:
    """The answer to a question for a resident ID."""
    body = {"document_type": "resident_id", "document_number": document}
    return await ask(federation, by, "/members/by-document", body, expect)


async def uses(federation: Federation, user: str) -> dict[str, int]:
    """How often a user looked beyond, by kind."""
    rows = await federation.rows("SELECT kind, uses FROM daily_uses WHERE subject = $1", user)
    return {row["kind"]: row["uses"] for row in rows}


async def test_a_member_in_scope_is_found_by_document_and_nothing_is_counted(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    organiser = await federation.user("organiser", unit["id"])
    body = person()
    member = await admitted(federation, unit["id"], pair, **body)
    assert await by_document(federation, organiser, body["document_number"]) == {
        "member_id": member,
        "sequence": 2,
    }
    assert await uses(federation, organiser) == {}


async def test_beyond_the_scope_only_who_enters_households_finds_and_it_is_counted_and_audited(
    federation: Federation,
) -> None:
    home, away = await federation.unit(), await federation.unit()
    body = person()
    member = await admitted(federation, away["id"], await registrars(federation, away["id"]), **body)
    organiser = await federation.user("organiser", home["id"])
    officer = await federation.user("welfare_officer", home["id"])
    nobody = {"member_id": None, "sequence": None}
    assert await by_document(federation, organiser, body["document_number"]) == nobody
    assert await uses(federation, organiser) == {"miss": 1}
    assert (await by_document(federation, officer, body["document_number"]))["member_id"] == member
    assert await by_document(federation, officer, number()) == nobody
    assert await uses(federation, officer) == {"hint": 1, "miss": 1}
    traces = await federation.rows(
        "SELECT action, subject_id FROM audit_entries WHERE actor_subject = $1", officer
    )
    assert [(trace["action"], str(trace["subject_id"])) for trace in traces] == [("member.hint", member)]


async def test_looks_are_used_up(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    home, away = await federation.unit(), await federation.unit()
    body = person()
    await admitted(federation, away["id"], await registrars(federation, away["id"]), **body)
    officer = await federation.user("welfare_officer", home["id"])
    monkeypatch.setattr(use_cases, "HINT_DAILY_CAP", 1)
    monkeypatch.setattr(use_cases, "MISS_DAILY_CAP", 1)
    await by_document(federation, officer, body["document_number"])
    assert (await by_document(federation, officer, body["document_number"], 429))[
        "code"
    ] == "too-many-look-ups"
    await by_document(federation, officer, number())
    await by_document(federation, officer, number(), 429)


async def test_a_stranger_and_an_impossible_number_are_refused(federation: Federation) -> None:
    unit = await federation.unit()
    officer = await federation.user("welfare_officer", unit["id"])
    await by_document(federation, f"stranger-{uuid4().hex}", number(), 403)
    wrong = number()[:-1] + "?"
    await by_document(federation, officer, wrong, 422)


async def test_details_are_of_members_in_scope_and_the_day_of_birth_for_who_decides(
    federation: Federation,
) -> None:
    home, away = await federation.unit(), await federation.unit()
    pair = await registrars(federation, home["id"])
    member = await admitted(federation, home["id"], pair, document_number=number(born="19710405"))
    foreign = await admitted(federation, away["id"], await registrars(federation, away["id"]))
    ids = {"ids": [member, foreign, str(uuid4())]}
    officer = await federation.user("welfare_officer", home["id"])
    organiser = await federation.user("organiser", home["id"])
    (seen,) = (await ask(federation, officer, "/members/details", ids))["items"]
    assert (seen["id"], seen["birth_date"], seen["version"], seen["status"]) == (
        member,
        "1971-04-05",
        2,
        "active",
    )
    (masked,) = (await ask(federation, organiser, "/members/details", ids))["items"]
    assert masked == seen | {"birth_date": None}
    (trace,) = await federation.rows(
        "SELECT details, path FROM audit_entries WHERE actor_subject = $1 AND action = 'member.details'",
        officer,
    )
    assert json.loads(trace["details"]) == {"ids": member}
    await ask(federation, officer, "/members/details", {"ids": [str(uuid4())] * 501}, 422)
    await ask(federation, f"stranger-{uuid4().hex}", "/members/details", ids, 403)


async def work(federation: Federation, by: str) -> list[tuple[str, str]]:
    """What waits for a user: kind and id, in order."""
    found = await ask(federation, by, "/work")
    assert found["more"] is False
    return [(item["kind"], item["id"]) for item in found["items"]]


async def test_an_application_waits_for_the_other_registrar_until_it_is_answered(
    federation: Federation,
) -> None:
    unit, elsewhere = await federation.unit(), await federation.unit()
    anna, bert = await registrars(federation, unit["id"])
    foreign, _ = await registrars(federation, elsewhere["id"])
    auditor = await federation.user("auditor", unit["id"])
    application = await applied(federation, unit["id"], anna, name="李芳")
    assert await work(federation, bert) == [("member.approve", application["id"])]
    assert (
        await work(federation, anna)
        == await work(federation, foreign)
        == await work(federation, auditor)
        == []
    )
    (item,) = (await ask(federation, bert, "/work"))["items"]
    # 16 March 2026 is a Monday.
    assert (item["due_on"], item["flagged"], item["label"]) == ("2026-03-19", False, "李芳")
    federation.clock.advance(timedelta(days=5))
    await escalated(federation)
    assert (await ask(federation, bert, "/work"))["items"][0]["flagged"] is True
    await federation.call(
        "POST", f"/members/{application['id']}/return", by=bert, version=1, json={"reason": "缺材料"}
    )
    assert (
        await work(federation, anna) == await work(federation, bert) == [("member.apply", application["id"])]
    )


async def test_a_transfer_waits_for_the_side_whose_turn_it_is(federation: Federation) -> None:
    top = await federation.unit()
    old = await federation.unit(top["id"], kind="township")
    new = await federation.unit(top["id"], kind="township")
    pair = await registrars(federation, old["id"])
    carl, dora = await federation.user("registrar", new["id"]), await federation.user("registrar", top["id"])
    body = person()
    await admitted(federation, old["id"], pair, **body)
    asked = {"to_organisation_id": new["id"], "reason": "入职", "document_number": body["document_number"]}
    transfer = await federation.call("POST", "/transfers", by=carl, json=asked, expect=201)
    assert await work(federation, pair[0]) == [("transfer.release", transfer["id"])]
    assert await work(federation, carl) == []
    assert await work(federation, dora) == [("transfer.release", transfer["id"])]
    federation.clock.advance(timedelta(days=16))
    await escalated(federation)
    (item,) = (await ask(federation, dora, "/work"))["items"]
    assert (item["kind"], item["flagged"], item["due_on"]) == ("transfer.decide", True, "2026-03-31")
    assert item["label"] == transfer["member_number"]
    released = await federation.call(
        "POST", f"/transfers/{transfer['id']}/release", by=pair[0], version=transfer["version"]
    )
    assert await work(federation, pair[0]) == []
    assert await work(federation, carl) == [("transfer.accept", transfer["id"])]
    await federation.call(
        "POST", f"/transfers/{transfer['id']}/acceptance", by=carl, version=released["version"]
    )
    assert await work(federation, carl) == await work(federation, dora) == []


async def test_what_waits_is_found_by_indexes_of_what_is_open(federation: Federation) -> None:
    names = {"ix_members_applied", "ix_members_returned", "ix_transfers_requested", "ix_transfers_released"}
    rows = await federation.rows(
        "SELECT indexname FROM pg_indexes WHERE indexname = ANY($1::text[]) AND indexdef LIKE '%WHERE%'",
        list(names),
    )
    assert {row["indexname"] for row in rows} == names
