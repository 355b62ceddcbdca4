"""Asking to join over HTTP, in one statement, and what becomes of it."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from shared.contracts.membership import MemberAdmitted, MemberApplied
from tests.integration.membership.members.people import admitted, applied, number, person, registrars
from tests.integration.membership.members.test_internal import work
from tests.support.membership import Federation
from tests.support.tokens import ISSUER


async def test_an_application_writes_everything_in_one_transaction(federation: Federation) -> None:
    unit = await federation.unit()
    anna, bert = await registrars(federation, unit["id"])
    document = number()
    application = await applied(federation, unit["id"], anna, document_number=document, phone="138 1234-5678")
    assert (application["status"], application["version"]) == ("applied", 1)
    assert application["warnings"] == ["document-region-unknown"]
    shown = await federation.call("GET", f"/members/{application['id']}", by=bert)
    assert shown["document_masked"] == f"990***********{document[-4:]}"
    assert shown["phone_masked"] == "138****5678"
    assert shown["affiliations"] == [{"organisation_id": unit["id"], "from_on": None, "to_on": None}]
    id_ = UUID(application["id"])
    (event,) = await federation.rows("SELECT * FROM outbox WHERE key = $1", id_)
    data = orjson.loads(event["payload"])
    assert MemberApplied.model_validate(data).state.member_id == id_
    assert (event["type"], event["sequence"], event["topic"]) == (
        MemberApplied.type,
        1,
        MemberApplied.topic.name,
    )
    assert document.encode() not in event["payload"]
    assert "王".encode() not in event["payload"]
    (trace,) = await federation.rows("SELECT * FROM audit_entries WHERE subject_id = $1", id_)
    assert (trace["action"], trace["actor_subject"]) == ("member.applied", anna)


async def test_admission_issues_a_number_and_needs_a_second_person(federation: Federation) -> None:
    unit = await federation.unit()
    anna, bert = await registrars(federation, unit["id"])
    application = await applied(federation, unit["id"], anna)
    path = f"/members/{application['id']}"
    refused = await federation.call("POST", f"{path}/approval", by=anna, version=1, expect=403)
    assert refused["code"] == "four-eyes"
    await federation.call("POST", f"{path}/approval", by=bert, version=7, expect=412)
    member = await federation.call("POST", f"{path}/approval", by=bert, version=1)
    assert (member["status"], member["joined_on"], len(member["member_number"])) == (
        "active",
        "2026-03-16",
        10,
    )
    assert await federation.events(application["id"]) == [("member.applied.v1", 1), ("member.admitted.v1", 2)]
    (event,) = await federation.rows(
        "SELECT payload FROM outbox WHERE key = $1 AND sequence = 2", UUID(application["id"])
    )
    MemberAdmitted.model_validate(orjson.loads(event["payload"]))
    history = await federation.call("GET", f"{path}/history", by=anna)
    assert [(row["happening"], row["actor_subject"]) for row in history["items"]] == [
        ("applied", anna),
        ("admitted", bert),
    ]


async def test_everything_wrong_with_a_person_is_named_at_once_in_both_languages(
    federation: Federation,
) -> None:
    unit = await federation.unit()
    anna = await federation.user("registrar", unit["id"])
    body = {
        "organisation_id": unit["id"],
        "name": "王2",
        "document_number": "110105194912310021",
        "phone": "12",
    }
    for language, word in (("zh-CN", "校验位"), ("en", "check digit")):
        refused = await federation.call(
            "POST", "/members/applications", by=anna, expect=422, json=body, language=language
        )
        assert {one["path"]: one["code"] for one in refused["problems"]} == {
            "name": "name-invalid",
            "document_number": "document-checksum",
            "phone": "phone-invalid",
        }
        assert word in str(refused["problems"])
        assert "110105194912310021" not in str(refused)
    mass = body | {"status": "active", "document_number": number()}
    await federation.call("POST", "/members/applications", by=anna, expect=422, json=mass)


async def test_a_unit_out_of_reach_is_refused_and_nothing_is_kept(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    anna = await federation.user("registrar", mine["id"])
    auditor = await federation.user("auditor", mine["id"])
    before = await _kept(federation)
    await applied(federation, other["id"], anna, expect=404)
    await applied(federation, str(uuid4()), anna, expect=404)
    await applied(federation, mine["id"], auditor, expect=403)
    assert await _kept(federation) == before
    await federation.user("auditor", other["id"], subject=anna)
    await applied(federation, other["id"], anna, expect=403)
    await applied(federation, mine["id"], anna)


async def _kept(federation: Federation) -> int:
    """How many replies are kept for a repetition."""
    rows = await federation.rows("SELECT count(*) FROM idempotency_keys WHERE route LIKE '%applications'")
    return int(rows[0][0])


async def test_a_dissolved_unit_takes_nobody(federation: Federation) -> None:
    unit, successor = await federation.unit(), await federation.unit()
    anna = await federation.user("registrar", federation.root_id)
    await federation.call(
        "POST", f"/organisations/{unit['id']}/dissolution", version=1, json={"successor_id": successor["id"]}
    )
    refused = await applied(federation, unit["id"], anna, expect=409)
    assert refused["code"] == "organisation-dissolved"


async def test_the_same_request_twice_has_one_effect(federation: Federation) -> None:
    unit = await federation.unit()
    anna = await federation.user("registrar", unit["id"])
    body = person() | {"organisation_id": unit["id"]}
    headers = federation.issuer.headers(anna) | {"Idempotency-Key": str(uuid4())}
    url = "/api/v1/members/applications"
    replies = await asyncio.gather(
        *(federation.client.post(url, headers=headers, json=body) for _ in range(10))
    )
    assert {(reply.status_code, reply.text) for reply in replies if reply.status_code != 409} == {
        (
            201,
            replies[0].text
            if replies[0].status_code == 201
            else next(r.text for r in replies if r.status_code == 201),
        )
    }
    again = await federation.client.post(url, headers=headers, json=body)
    assert again.json() == next(reply.json() for reply in replies if reply.status_code == 201)
    changed = await federation.client.post(url, headers=headers, json=body | {"name": "李娜"})
    assert changed.status_code == 422
    rows = await federation.rows("SELECT count(*) FROM members WHERE organisation_id = $1", UUID(unit["id"]))
    assert rows[0][0] == 1


async def test_a_person_is_registered_once_and_a_hint_is_all_that_others_learn(
    federation: Federation,
) -> None:
    mine, other = await federation.unit(), await federation.unit()
    anna, _ = await registrars(federation, mine["id"])
    carl = await federation.user("registrar", other["id"])
    document = number()
    application = await applied(federation, mine["id"], anna, document_number=document)
    seen = await applied(federation, mine["id"], anna, document_number=document, expect=409)
    assert seen["code"] == "member-exists"
    hinted = await applied(federation, other["id"], carl, document_number=document, expect=409)
    assert hinted["code"] == "member-elsewhere"
    assert application["id"] not in str(hinted)
    (trace,) = await federation.rows(
        "SELECT * FROM audit_entries WHERE action = 'member.hint' AND subject_id = $1",
        UUID(application["id"]),
    )
    assert trace["actor_subject"] == carl


async def test_hints_are_counted(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    anna = await federation.user("registrar", mine["id"])
    carl = await federation.user("registrar", other["id"])
    document = number()
    await applied(federation, mine["id"], anna, document_number=document)
    await applied(federation, other["id"], carl, document_number=document, expect=409)
    await _set_uses(federation, carl, "hint", 100)
    await applied(federation, other["id"], carl, document_number=document, expect=429)


async def _set_uses(federation: Federation, subject: str, kind: str, uses: int) -> None:
    connection = await asyncpg.connect(federation.urls.owner)
    try:
        done = await connection.execute(
            "UPDATE daily_uses SET uses = $3 WHERE subject = $1 AND kind = $2", subject, kind, uses
        )
        assert done == "UPDATE 1"
    finally:
        await connection.close()


async def test_who_was_returned_or_left_applies_again_on_the_same_row(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    anna, bert = await registrars(federation, mine["id"])
    carl, dora = await registrars(federation, other["id"])
    document = number()
    first = await applied(federation, mine["id"], anna, document_number=document)
    path = f"/members/{first['id']}"
    await federation.call("POST", f"{path}/return", by=bert, version=1, expect=422, json={})
    await federation.call("POST", f"{path}/return", by=bert, version=1, json={"reason": "照片不清"})
    again = await applied(federation, mine["id"], anna, document_number=document, name="王小伟")
    assert (again["id"], again["version"]) == (first["id"], 3)
    member = await federation.call("POST", f"{path}/approval", by=bert, version=3)
    assert member["name"] == "王小伟"
    await federation.call("POST", f"{path}/withdrawal", by=anna, version=4, json={"reason": "离职"})
    # The row lies at a unit that Carl does not see; joining his brings it into his sight.
    elsewhere = await applied(federation, other["id"], carl, document_number=document)
    assert (elsewhere["id"], elsewhere["version"]) == (first["id"], 6)
    joined = await federation.call("POST", f"{path}/approval", by=dora, version=6)
    assert joined["member_number"] == member["member_number"]
    await federation.call("GET", path, by=anna, expect=404)
    detail = await federation.call("GET", path, by=dora)
    assert [link["to_on"] for link in detail["affiliations"]] == ["2026-03-16", "2026-03-16", None]
    events = [kind for kind, _ in await federation.events(first["id"])]
    assert events == [
        f"member.{name}.v1"
        for name in ("applied", "returned", "applied", "admitted", "withdrawn", "applied", "admitted")
    ]


async def test_nobody_has_two_affiliations_whatever_the_code_does(federation: Federation) -> None:
    unit = await federation.unit()
    member = await admitted(federation, unit["id"], await registrars(federation, unit["id"]))
    connection = await asyncpg.connect(federation.urls.worker)
    try:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_affiliations_holding"):
            await connection.execute(
                "INSERT INTO affiliations (member_id, from_version, organisation_id, from_on) VALUES ($1, 9, $2, '2026-03-16')",
                UUID(member),
                UUID(unit["id"]),
            )
    finally:
        await connection.close()


async def test_a_user_applies_for_himself_and_sees_himself_alone(federation: Federation) -> None:
    unit = await federation.unit()
    anna = await federation.user("registrar", unit["id"])
    eva = f"eva-{uuid4().hex[:8]}"
    body = person() | {"organisation_id": unit["id"]}
    await federation.call("GET", "/me/member", by=eva, expect=404)
    application = await federation.call("POST", "/me/application", by=eva, expect=201, json=body)
    own = await federation.call("GET", "/me/member", by=eva)
    assert (own["id"], own["status"]) == (application["id"], "applied")
    await federation.call("GET", f"/members/{application['id']}", by=eva, expect=404)
    await federation.call("GET", "/members", by=eva, expect=403)
    await federation.call("POST", f"/members/{application['id']}/approval", by=anna, version=1)
    second = person(document_number=body["document_number"]) | {"organisation_id": unit["id"]}
    stranger = await federation.call("POST", "/me/application", by="fred", expect=409, json=second)
    assert stranger["code"] == "member-known-ask-registrar"
    (trace,) = await federation.rows(
        "SELECT * FROM audit_entries WHERE action = 'member.hint' AND subject_id = $1",
        UUID(application["id"]),
    )
    assert trace["actor_subject"] == "fred"
    await _set_uses(federation, "fred", "hint", 100)
    await federation.call("POST", "/me/application", by="fred", expect=429, json=second)
    # Who is a member learns nothing of others' numbers: the same answer for one that is known and one that is not.
    other = person() | {"organisation_id": unit["id"]}
    await federation.call("POST", "/me/application", by=f"gus-{uuid4().hex[:8]}", expect=201, json=other)
    known = person(document_number=other["document_number"]) | {"organisation_id": unit["id"]}
    for twice in (person() | {"organisation_id": unit["id"]}, known):
        refused = await federation.call("POST", "/me/application", by=eva, expect=409, json=twice)
        assert refused["code"] == "user-already-member"


async def test_an_applicant_takes_the_own_application_back_until_it_is_answered(
    federation: Federation,
) -> None:
    unit = await federation.unit()
    anna = await federation.user("registrar", unit["id"])
    eva, path = f"eva-{uuid4().hex[:8]}", "/me/application/withdrawal"
    await federation.call("POST", path, by=eva, version=1, json={}, expect=404)
    body = person() | {"organisation_id": unit["id"]}
    application = await federation.call("POST", "/me/application", by=eva, expect=201, json=body)
    assert await work(federation, anna) == [("member.approve", application["id"])]
    await federation.call("POST", path, by=eva, json={}, expect=428)
    await federation.call("POST", path, by=eva, version=7, json={}, expect=412)
    # Anna has no application of her own, and hers to judge is not hers to take back.
    await federation.call("POST", path, by=anna, version=1, json={}, expect=404)
    taken_back = await federation.call("POST", path, by=eva, version=1, json={"reason": "另有安排"})
    assert (taken_back["id"], taken_back["status"], taken_back["version"]) == (
        application["id"],
        "withdrawn",
        2,
    )
    assert await work(federation, anna) == []
    assert await federation.events(application["id"]) == [
        ("member.applied.v1", 1),
        ("member.withdrawn.v1", 2),
    ]
    (trace,) = await federation.rows(
        "SELECT actor_subject FROM audit_entries WHERE action = 'member.withdrawn' AND subject_id = $1",
        UUID(application["id"]),
    )
    assert trace["actor_subject"] == eva
    refused = await federation.call("POST", path, by=eva, version=2, json={}, expect=409)
    assert refused["code"] == "member-not-applied"
    # Who is known already is taken in again by the registrar, and no longer leaves by this way once admitted.
    again = await applied(federation, unit["id"], anna, document_number=body["document_number"])
    bert = await federation.user("registrar", unit["id"])
    await federation.call("POST", f"/members/{again['id']}/approval", by=bert, version=3)
    await federation.call("POST", path, by=eva, version=4, json={}, expect=409)


async def test_the_one_statement_writes_what_the_domain_says(federation: Federation) -> None:
    """A registrar's application (one SQL statement) and one's own (ORM, `Member.apply`) leave the same rows and event."""
    unit = await federation.unit()
    anna = await federation.user("registrar", unit["id"])
    eva = f"eva-{uuid4().hex[:8]}"
    body = person(name="单小明") | {"organisation_id": unit["id"]}
    hot = await federation.call("POST", "/members/applications", by=anna, expect=201, json=body)
    body = body | {"document_number": number(941, "19710923"), "gender": None}
    own = await federation.call("POST", "/me/application", by=eva, expect=201, json=body)
    assert hot | {"id": own["id"]} == own
    differing = {
        "members": {"id", "document_sealed", "document_blind", "last4_blind", "phone_sealed", "birth_date_sealed",
            "data_key_wrapped", "birth_year", "gender", "applied_by_subject", "user_issuer", "user_subject"},
        "affiliations": {"member_id"},
        "member_history": {"member_id", "actor_subject"},
        "audit_entries": {"id", "xid", "at", "request_id", "actor_subject", "subject_id"},
        "outbox": {"id", "xid", "event_id", "key", "payload", "created_at", "slot", "traceparent"},
    }  # fmt: skip
    keys = {"members": "id", "outbox": "key", "audit_entries": "subject_id"}
    for table, columns in differing.items():
        key = keys.get(table, "member_id")
        sql = f"SELECT * FROM {table} WHERE {key} = $1"
        rows = [dict((await federation.rows(sql, UUID(reply["id"])))[0]) for reply in (hot, own)]
        one, other = ({name: row[name] for name in row.keys() - columns} for row in rows)
        assert one == other, table
        assert {name for name in rows[0] if rows[0][name] is None} - columns == {
            name for name in rows[1] if rows[1][name] is None
        } - columns
    states = [
        orjson.loads(
            (await federation.rows("SELECT payload FROM outbox WHERE key = $1", UUID(reply["id"])))[0][0]
        )
        for reply in (hot, own)
    ]
    for state in states:
        for name in ("member_id", "gender", "birth_year"):
            assert state["state"].pop(name)
    assert [state["state"].pop("user") for state in states] == [None, {"issuer": ISSUER, "subject": eva}]
    assert states[0] == states[1]
