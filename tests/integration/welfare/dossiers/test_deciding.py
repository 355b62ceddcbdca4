"""From gathered to decided over HTTP: the reckoning, four eyes, aid, reviews, and recomputing an old decision."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shared.contracts import membership as contract
from shared.contracts.envelope import Received
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.policy import Caller, Post
from tests.support.dossiers import KnownPeople, Office, passport, person
from tests.support.tokens import ISSUER
from tests.support.welfare import committed
from welfare_service.dossiers import handlers, use_cases, work
from welfare_service.dossiers.reviews import use_cases as reviews

YEAR = 90_000 * 12


async def test_a_class_is_decided_by_another_person_and_told(office: Office) -> None:
    made = await office.lines(await office.draft(), ("income-wage", YEAR))
    assessment = await office.welfare.call("GET", f"/dossiers/{made['id']}/assessment", by=office.officer)
    assert (assessment["hardship_class"], assessment["net_fen"]) == ("relative", 90_000)
    assert {line["code"] for line in assessment["lines"]} >= {"income-wage", "limit-dibao", "class-relative"}
    assert all(line["zh"] and line["en"] for line in assessment["lines"])
    submitted = await office.step(made, "/submission")
    path, body = f"/dossiers/{made['id']}/decision", {"hardship_class": "relative"}
    both = await office.welfare.user("approver", office.unit, office.officer)
    version = submitted["version"]
    await office.welfare.refused("dossier-four-eyes", 403, "POST", path, by=both, version=version, json=body)
    wrong = {"hardship_class": "deep"}
    await office.welfare.refused(
        "dossier-class-differs", 409, "POST", path, by=office.approver, version=version, json=wrong
    )
    decision = await office.step(submitted, "/decision", by=office.approver, json=body)
    assert {rule["key"] for rule in decision["rules"]} >= {"dibao_line", "classification_scheme"}
    found = await office.get(made["id"])
    assert (found["status"], found["hardship_class"], found["awaiting_since"]) == ("open", "relative", None)
    assert (await office.welfare.events(made["id"]))[-1] == ("dossier.classified.v1", version + 1)
    await office.welfare.refused(
        "dossier-not-submitted", 409, "POST", path, by=office.approver, version=version + 1, json=body
    )


async def test_only_what_was_submitted_is_decided_and_an_officer_decides_nothing(office: Office) -> None:
    made = await office.draft()
    path, body = f"/dossiers/{made['id']}/decision", {"hardship_class": "deep"}
    await office.welfare.refused(
        "dossier-not-submitted", 409, "POST", path, by=office.approver, version=1, json=body
    )
    other = await office.welfare.user("welfare_officer", office.unit)
    await office.welfare.refused("not-allowed", 403, "POST", path, by=other, version=1, json=body)
    submitted = await office.step(made, "/submission")
    returned = await office.step(submitted, "/return", by=office.approver, json={"reason": "缺收入证明"})
    assert returned["awaiting_since"] is None
    await office.decided(returned)


async def test_who_gathered_before_a_split_does_not_decide_on_what_was_split_off(office: Office) -> None:
    made = await office.step(await office.draft(), "/persons", json=person("child"), expect=201)
    splitter = await office.welfare.user("welfare_officer", office.unit)
    child = made["persons"][1]["id"]
    body = {"person_ids": [child], "head_id": child}
    other = await office.step(made, "/split", by=splitter, json=body, expect=201)
    submitted = await office.step(other, "/submission", by=splitter)
    gatherer = await office.welfare.user("approver", office.unit, office.officer)
    path, decision = f"/dossiers/{other['id']}/decision", {"hardship_class": "deep"}
    await office.welfare.refused(
        "dossier-four-eyes", 403, "POST", path, by=gatherer, version=submitted["version"], json=decision
    )
    await office.step(submitted, "/decision", by=office.approver, json=decision)


async def test_an_old_decision_is_recomputed_exactly_whatever_came_after(office: Office) -> None:
    made = await office.lines(await office.draft(), ("income-wage", YEAR - 1))
    decision = await office.decided(made, "deep")
    path = f"/dossiers/{made['id']}/decisions/{decision['id']}/recomputation"
    same = await office.welfare.call("GET", path, by=office.approver)
    assert (same["is_same"], same["inputs_changed"], same["rules_changed"]) == (True, False, [])
    administrator = await office.welfare.user("administrator", office.unit)
    listed = await office.welfare.call(
        "GET", "/rules", by=administrator, params={"organisation": str(office.unit.id), "key": "dibao_line"}
    )
    [line] = listed["items"]
    today = office.welfare.by("x").today
    yesterday = (today - timedelta(days=1)).isoformat()
    await office.welfare.call(
        "POST", f"/rules/{line['id']}/end", by=administrator, version=1, json={"on": yesterday}
    )
    newer = {
        "organisation_id": str(office.unit.id),
        "key": "dibao_line",
        "value": 30_000,
        "valid_from": today.isoformat(),
        "source": "新标准",
    }
    await office.welfare.call("POST", "/rules", by=administrator, json=newer, expect=201)
    await office.lines(await office.get(made["id"]), ("income-wage", 9 * YEAR))
    again = await office.welfare.call("GET", path, by=office.approver)
    assert (again["is_same"], again["recomputed"]["hardship_class"]) == (True, "deep")
    assert again["recomputed"]["lines"] == same["recomputed"]["lines"]
    assert again["inputs_changed"]
    assert [rule["key"] for rule in again["rules_changed"]] == ["dibao_line"]
    assert again["today"]["hardship_class"] == "none"
    auditor = await office.welfare.user("auditor", office.unit)
    await office.welfare.refused("not-allowed", 403, "GET", path, by=auditor)


async def test_aid_that_was_paid_is_income_of_the_household(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    number = passport()
    member = people.member(number)
    made = await office.draft(head=person(document_number=number))
    today = office.welfare.by("x").today
    async with committed(worker_database, Scope.everything()) as session:
        await use_cases.record_aid(session, member, Fen(YEAR), today)
        await use_cases.record_aid(session, member, Fen(200_000), today)
        await use_cases.record_aid(session, new_id(), Fen(YEAR), today)
    assessment = await office.welfare.call("GET", f"/dossiers/{made['id']}/assessment", by=office.officer)
    lines = {line["code"]: line["amount_fen"] for line in assessment["lines"]}
    assert (lines["aid"], lines["aid-not-counted"]) == (YEAR, 200_000)
    assert assessment["hardship_class"] == "relative"
    assert (await office.get(made["id"]))["version"] == 1


async def test_aid_is_written_down_for_a_household_out_of_sight(
    office: Office, people: KnownPeople, app_database: Database
) -> None:
    number = passport()
    member = people.member(number)
    made = await office.draft(head=person(document_number=number))
    far = await office.welfare.unit()
    async with committed(app_database, Scope((far.path,))) as session:
        await use_cases.record_aid(session, member, Fen(5), date(2026, 3, 1))
        assert await use_cases.class_of_member(session, member) is None
    [row] = await office.welfare.rows("SELECT dossier_id FROM dossier_aid WHERE member_id = $1", member)
    assert str(row["dossier_id"]) == made["id"]
    await office.decided(made)
    async with committed(app_database, Scope((far.path,))) as session:
        assert await use_cases.class_of_member(session, member) == "deep"


def told(kind: str, member: UUID, office: Office) -> Received:
    return Received(
        topic=contract.MEMBERS.name,
        partition=0,
        offset=0,
        id=new_id(),
        type=kind,
        source=contract.SOURCE,
        subject=member,
        sequence=2,
        time=office.welfare.clock.now(),
        data=None,
    )


async def items(office: Office, database: Database, role: contract.Role) -> list[Any]:
    post = Post(role, office.unit.id, office.unit.path)
    caller = Caller(ISSUER, "x", (post,), office.welfare.clock.now())
    async with database.read(caller.scope()) as session:
        return await work.waiting(session, caller, office.welfare.by("x").today, 50)


async def test_a_member_who_leaves_makes_one_review_task_that_somebody_completes(
    office: Office, people: KnownPeople, worker_database: Database, app_database: Database
) -> None:
    number = passport()
    member = people.member(number)
    made = await office.draft(head=person(document_number=number))
    event = told(contract.MemberWithdrawn.type, member, office)
    for _ in range(2):
        async with committed(worker_database, Scope.everything()) as session:
            await handlers.on_member_events(session, [event, told("unionhall.x.v1", member, office)])
            await handlers.on_member_events(session, [told(event.type, new_id(), office)])
    path = f"/dossiers/{made['id']}/reviews"
    [review] = (await office.welfare.call("GET", path, by=office.officer))["items"]
    assert (review["reason"], review["member_id"], review["due_on"]) == (
        "member-withdrawn",
        str(member),
        "2026-03-30",
    )
    [item] = await items(office, app_database, contract.Role.WELFARE_OFFICER)
    assert (item.kind, str(item.id), item.label, item.flagged) == (
        "dossier.review",
        made["id"],
        made["number"],
        True,
    )
    done: dict[str, Any] = {"by": office.officer, "json": {"outcome": "unchanged"}}
    await office.welfare.refused("not-found", 404, "POST", f"{path}/{new_id()}/completion", **done)
    await office.welfare.refused(
        "not-allowed", 403, "POST", f"{path}/{review['id']}/completion", **done | {"by": office.approver}
    )
    completed = [
        await office.welfare.call("POST", f"{path}/{review['id']}/completion", key="looked-at-once", **done)
        for _ in range(2)
    ]
    assert completed[0] == completed[1]
    await office.welfare.refused(
        "review-already-done", 409, "POST", f"{path}/{review['id']}/completion", **done
    )
    assert await items(office, app_database, contract.Role.WELFARE_OFFICER) == []


async def test_of_an_erased_member_nothing_can_be_read(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    number = passport()
    member = people.member(number)
    made = await office.lines(await office.draft(head=person(document_number=number)), ("income-wage", 7))
    async with committed(worker_database, Scope.everything()) as session:
        await handlers.on_member_events(session, [told(contract.MEMBER_ERASED, member, office)])
    [shown] = (await office.get(made["id"]))["persons"]
    assert (shown["name"], shown["document_number"], shown["lines"]) == (None, None, [])
    [row] = await office.welfare.rows("SELECT * FROM dossier_persons WHERE member_id = $1", member)
    assert [row[name] for name in ("data_key_wrapped", "document_blind", "last4_blind")] == [None] * 3
    place = f"/dossiers/{made['id']}/persons/{shown['id']}/lines"
    await office.welfare.refused(
        "person-erased", 409, "PUT", place, by=office.officer, version=2, json={"lines": []}
    )


async def test_what_was_submitted_waits_for_who_decides(office: Office, app_database: Database) -> None:
    made = await office.draft()
    assert await items(office, app_database, contract.Role.APPROVER) == []
    submitted = await office.step(made, "/submission")
    [item] = await items(office, app_database, contract.Role.APPROVER)
    assert (item.kind, item.label, str(item.due_on)) == ("dossier.decide", made["number"], "2026-03-23")
    assert await items(office, app_database, contract.Role.WELFARE_OFFICER) == []
    assert await items(office, app_database, contract.Role.AUDITOR) == []
    await office.step(submitted, "/decision", by=office.approver, json={"hardship_class": "deep"})
    assert await items(office, app_database, contract.Role.APPROVER) == []


async def test_a_year_after_the_decision_a_review_is_due_once(
    office: Office, worker_database: Database
) -> None:
    made = await office.draft()
    await office.decided(made)
    path = f"/dossiers/{made['id']}/reviews"
    for days, expected in ((364, 0), (1, 1), (30, 1)):
        office.welfare.clock.advance(timedelta(days=days))
        async with committed(worker_database, Scope.everything()) as session:
            await reviews.add_yearly(session, office.welfare.clock.now(), 100)
        found = await office.welfare.call("GET", path, by=office.officer)
        assert [one["kind"] for one in found["items"]] == ["yearly"] * expected
    office.welfare.clock.advance(timedelta(seconds=6))
    await office.decided(await office.get(made["id"]))
    [review] = (await office.welfare.call("GET", path, by=office.officer))["items"]
    assert review["outcome"] == "changed"


async def test_a_dissolved_unit_hands_its_files_over(office: Office, worker_database: Database) -> None:
    made, closed = await office.draft(), await office.draft()
    await office.step(closed, "/close", json={"reason": "moved_away"})
    successor = await office.welfare.unit()
    async with committed(worker_database, Scope.everything()) as session:
        await handlers.hand_over(
            session, office.unit.id, successor.id, successor.path, office.welfare.clock.now()
        )
    keeper = await office.welfare.user("welfare_officer", successor)
    found = await office.get(made["id"], by=keeper)
    assert (found["organisation_id"], found["version"]) == (str(successor.id), 2)
    await office.get(made["id"], expect=404)
    assert (await office.get(closed["id"]))["status"] == "closed"
