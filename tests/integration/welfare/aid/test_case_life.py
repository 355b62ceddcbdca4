"""The whole life of an aid case over HTTP, and every way in which a step is refused."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from tests.support.aid import ACCOUNT, REASON, Aid, application
from tests.support.welfare import committed
from welfare_service.cases import payments


async def test_from_the_draft_to_the_members_acknowledgement(aid: Aid, worker_database: Database) -> None:
    programme = await aid.programme()
    member = await aid.member(subject=f"member-{new_id()}")
    drafted = await aid.case(programme, member)
    assert (drafted["stage"], drafted["version"], drafted["due_on"]) == ("draft", 1, None)
    assert drafted["case_number"].startswith("2026-")
    assert drafted["account_masked"] == "622************3445"
    submitted = await aid.step(drafted, "submission", by=aid.officer)
    # A Monday and five working days.
    assert (submitted["stage"], submitted["due_on"], submitted["holder_role"]) == (
        "submitted",
        "2026-03-23",
        "approver",
    )
    approved = await aid.approve(submitted, approved_fen=90_000)
    assert (approved["approved_fen"], await aid.budget()) == (90_000, (10_000_000, 90_000, 0))
    case_id = UUID(approved["id"])
    by = aid.welfare.by(aid.treasurer)
    async with committed(worker_database, Scope.everything()) as session:
        [case] = await payments.begin_disbursing(session, [case_id], by)
        assert case.holder_role == "treasurer"
    async with committed(worker_database, Scope.everything()) as session:
        await payments.record_paid(session, case_id, Fen(90_000), by)
    acknowledged = await aid.welfare.call(
        "POST", f"/me/cases/{case_id}/acknowledgement", by=member.subject or "", version=5
    )
    assert (acknowledged["stage"], acknowledged["due_on"], acknowledged["paid_fen"]) == (
        "acknowledged",
        None,
        90_000,
    )
    steps = ["drafted", "submitted", "approved", "disbursing", "paid", "acknowledged"]
    assert await aid.welfare.events(case_id) == [(f"case.{step}.v1", n) for n, step in enumerate(steps, 1)]
    shown = await aid.welfare.call("GET", f"/cases/{case_id}/history", by=aid.officer)
    assert [entry["happening"] for entry in shown["items"]] == steps
    decision = shown["items"][2]["decision"]
    assert decision["programme_version"] == 1
    assert decision["facts"]["age"] == 35
    assert {rule["key"] for rule in decision["rules"]} == {"approval_levels"}


async def test_a_failed_payment_may_be_tried_again_with_the_money_still_reserved(
    aid: Aid, worker_database: Database
) -> None:
    approved = await aid.approved(await aid.programme(), await aid.member())
    by = aid.welfare.by(aid.treasurer)
    case_id = UUID(approved["id"])
    async with committed(worker_database, Scope.everything()) as session:
        await payments.begin_disbursing(session, [case_id], by)
    async with committed(worker_database, Scope.everything()) as session:
        await payments.record_payment_failed(session, case_id, "account-closed", by)
    [row] = await aid.welfare.rows("SELECT * FROM cases WHERE id = $1", case_id)
    assert (row["stage"], row["version"]) == ("approved", 5)
    assert (await aid.budget())[1] == 100_000
    shown = await aid.welfare.call("GET", f"/cases/{case_id}/history", by=aid.officer)
    assert shown["items"][-1]["code"] == "account-closed"


async def test_a_returned_case_is_mended_and_submitted_again(aid: Aid) -> None:
    programme = await aid.programme()
    submitted = await aid.submitted(programme, await aid.member())
    await aid.step(submitted, "return", by=aid.approver, expect=422)
    returned = await aid.step(submitted, "return", by=aid.approver, reason="请补充住院证明")
    assert (returned["stage"], returned["due_on"]) == ("returned", "2026-03-30")
    mended = await aid.welfare.call(
        "PATCH",
        f"/cases/{returned['id']}",
        by=aid.officer,
        version=returned["version"],
        json={"requested_fen": 80_000, "reason": "补充了证明"},
    )
    again = await aid.step(mended, "submission", by=aid.officer)
    assert (again["stage"], again["requested_fen"]) == ("submitted", 80_000)
    detail = await aid.welfare.call("GET", f"/cases/{again['id']}", by=aid.officer)
    assert (detail["reason"], detail["payee_name"]) == ("补充了证明", "王小明")
    shown = await aid.welfare.call("GET", f"/cases/{again['id']}/history", by=aid.approver)
    assert [entry["reason"] for entry in shown["items"]] == [None, None, "请补充住院证明", None, None]


async def test_rejecting_withdrawing_and_cancelling_end_a_case(aid: Aid) -> None:
    programme = await aid.programme()
    rejected = await aid.step(
        await aid.submitted(programme, await aid.member()), "rejection", by=aid.approver, reason="不符合"
    )
    withdrawn = await aid.step(
        await aid.submitted(programme, await aid.member()), "withdrawal", by=aid.officer, reason="不再需要"
    )
    cancelled = await aid.step(
        await aid.approved(programme, await aid.member()), "cancellation", by=aid.approver, reason="重复申请"
    )
    assert [case["stage"] for case in (rejected, withdrawn, cancelled)] == [
        "rejected",
        "withdrawn",
        "cancelled",
    ]
    assert await aid.budget() == (10_000_000, 0, 0)
    for case in (rejected, withdrawn, cancelled):
        problem = await aid.step(case, "submission", by=aid.officer, expect=409)
        assert problem["code"] == "case-not-changeable"
        await aid.step(case, "approval", by=aid.approver, expect=409, approved_fen=None)
        await aid.step(case, "cancellation", by=aid.approver, expect=409, reason="x")


async def test_four_eyes_are_two_persons_and_the_beneficiary_is_neither(aid: Aid) -> None:
    programme = await aid.programme()
    both = f"both-{new_id()}"
    for role in ("welfare_officer", "approver"):
        await aid.welfare.user(role, aid.unit, subject=both)
    member = await aid.member(subject=aid.approver)

    drafted = await aid.case(programme, await aid.member(), by=both)
    by_another = await aid.step(drafted, "submission", by=aid.officer)
    assert (await aid.step(by_another, "approval", by=both, expect=403, approved_fen=None))[
        "code"
    ] == "four-eyes"

    submitted = await aid.step(await aid.case(programme, await aid.member()), "submission", by=both)
    assert (await aid.step(submitted, "approval", by=both, expect=403, approved_fen=None))[
        "code"
    ] == "four-eyes"
    # The allowed twin.
    assert (await aid.approve(submitted))["stage"] == "approved"

    changed = await aid.welfare.call(
        "PATCH",
        f"/cases/{(case := await aid.case(programme, await aid.member()))['id']}",
        by=both,
        version=case["version"],
        json={"requested_fen": 120_000},
    )
    sent = await aid.step(changed, "submission", by=aid.officer)
    assert (await aid.step(sent, "approval", by=both, expect=403, approved_fen=None))["code"] == "four-eyes"

    own = await aid.submitted(programme, member)
    assert (await aid.step(own, "approval", by=aid.approver, expect=403, approved_fen=None))[
        "code"
    ] == "four-eyes"
    assert (await aid.step(own, "rejection", by=aid.approver, expect=403, reason="x"))["code"] == "four-eyes"
    assert await aid.budget() == (10_000_000, 100_000, 0)


async def test_an_approved_case_is_not_changed(aid: Aid) -> None:
    approved = await aid.approved(await aid.programme(), await aid.member())
    problem = await aid.welfare.refused(
        "case-not-changeable",
        409,
        "PATCH",
        f"/cases/{approved['id']}",
        by=aid.officer,
        version=approved["version"],
        json={"requested_fen": 200_000},
    )
    assert "撤销重报" in problem["detail"]


async def test_a_large_amount_is_approved_above(aid: Aid) -> None:
    lower = await aid.welfare.unit(aid.unit)
    officer = await aid.welfare.user("welfare_officer", lower)
    approver = await aid.welfare.user("approver", lower)
    programme = await aid.programme(cap_per_time_fen=4_000_000, kind="medical")
    member = await aid.member(at=lower)
    case = await aid.case(programme, member, by=officer, requested_fen=2_000_001)
    case = await aid.step(case, "submission", by=officer)
    assert case["levels_up"] == 1
    refused = await aid.step(case, "approval", by=approver, expect=403, approved_fen=None)
    assert refused["code"] == "approval-level-too-low"
    # Less may be granted below; here the upper unit grants it all.
    assert (await aid.approve(case))["approved_fen"] == 2_000_001
    small = await aid.case(programme, await aid.member(at=lower), by=officer, requested_fen=2_000_000)
    small = await aid.step(small, "submission", by=officer)
    assert (await aid.approve(small, by=approver))["stage"] == "approved"


@pytest.mark.parametrize(
    "amount", [0, -1, 0.001, 1e30, 10_000_000_000_001, "100", "NaN", True, [1], 2**63], ids=str
)
async def test_no_amount_but_a_whole_number_of_fen_is_taken(aid: Aid, amount: Any) -> None:
    programme = await aid.programme()
    member = await aid.member()
    body = application(programme, member_id=str(member.id), requested_fen=amount)
    await aid.welfare.call("POST", "/cases", by=aid.officer, json=body, expect=422)
    submitted = await aid.submitted(programme, member)
    problem = await aid.step(submitted, "approval", by=aid.approver, expect=422, approved_fen=amount)
    assert problem["code"]
    assert await aid.budget() == (10_000_000, 0, 0)


async def test_more_than_the_cap_the_request_or_the_budget_is_refused(aid: Aid) -> None:
    programme = await aid.programme(cap_per_time_fen=20_000_000)
    over = await aid.case(programme, await aid.member(), requested_fen=20_000_001, expect=422)
    assert over["code"] == "amount-over-cap"
    case = await aid.submitted(programme, await aid.member(), requested_fen=1_000_000)
    assert (await aid.approve(case, approved_fen=1_000_001, expect=422))["code"] == "amount-over-request"
    large = await aid.submitted(programme, await aid.member(), requested_fen=11_000_000)
    assert (await aid.approve(large, expect=403))["code"] == "approval-level-too-low"
    top_approver = await aid.welfare.user("approver", aid.welfare.top)
    assert (await aid.approve(large, by=top_approver, expect=409))["code"] == "budget-exhausted"
    # Nothing of a refused approval stays.
    assert await aid.welfare.events(large["id"]) == [("case.drafted.v1", 1), ("case.submitted.v1", 2)]
    assert await aid.budget() == (10_000_000, 0, 0)


@pytest.mark.parametrize(
    "field", ["stage", "approved_by_subject", "approved_fen", "organisation_id", "version", "flagged"]
)
async def test_nobody_sets_a_stage_or_an_approver_by_body(aid: Aid, field: str) -> None:
    programme = await aid.programme()
    member = await aid.member()
    body = application(programme, member_id=str(member.id)) | {field: 1}
    refused = await aid.welfare.call("POST", "/cases", by=aid.officer, json=body, expect=422)
    assert refused["problems"] == [{"field": field}] or "field-unknown" in str(refused)
    case = await aid.submitted(programme, member)
    if field != "approved_fen":
        await aid.step(case, "approval", by=aid.approver, expect=422, **{field: 1})
    await aid.welfare.call(
        "PATCH", f"/cases/{case['id']}", by=aid.officer, version=2, expect=422, json={field: 1}
    )


async def test_the_same_key_drafts_once(aid: Aid) -> None:
    programme = await aid.programme()
    member = await aid.member()
    body = application(programme, member_id=str(member.id))
    key = f"key-{new_id()}"
    first = await aid.welfare.send("POST", "/cases", by=aid.officer, key=key, json=body)
    second = await aid.welfare.send("POST", "/cases", by=aid.officer, key=key, json=body)
    assert (first.status_code, second.json()) == (201, first.json())
    other = await aid.welfare.send(
        "POST", "/cases", by=aid.officer, key=key, json=body | {"requested_fen": 1}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert len(await aid.welfare.rows("SELECT FROM cases WHERE member_id = $1", member.id)) == 1


async def test_a_write_needs_the_version_that_was_read(aid: Aid) -> None:
    case = await aid.submitted(await aid.programme(), await aid.member())
    await aid.step(case, "approval", by=aid.approver, version=1, expect=412, approved_fen=None)
    await aid.welfare.call("POST", f"/cases/{case['id']}/approval", by=aid.approver, json={}, expect=428)
    assert (await aid.approve(case))["version"] == 3


async def test_who_sees_a_case_and_what_of_it(aid: Aid) -> None:
    lower = await aid.welfare.unit(aid.unit)
    sibling = await aid.welfare.unit()
    case = await aid.case(await aid.programme(), await aid.member(at=lower))
    path = f"/cases/{case['id']}"
    for role, at, status in (
        ("welfare_officer", aid.unit, 200),
        ("welfare_officer", lower, 200),
        ("treasurer", aid.welfare.top, 200),
        ("welfare_officer", sibling, 404),
        ("registrar", lower, 403),
        ("administrator", aid.welfare.top, 403),
    ):
        user = await aid.welfare.user(role, at)
        shown = await aid.welfare.call("GET", path, by=user, expect=status)
        if status == 200:
            assert shown["reason"] == (REASON if role == "welfare_officer" else None)
        listed = await aid.welfare.send("GET", f"/cases?member={case['member_id']}", by=user)
        found = case["id"] in {item["id"] for item in listed.json().get("items", [])}
        assert (listed.status_code, found) == {200: (200, True), 404: (200, False), 403: (403, False)}[status]
    await aid.welfare.call("GET", path, by="nobody", expect=404)
    assert ACCOUNT not in str(await aid.welfare.call("GET", path, by=aid.officer))
    reads = await aid.welfare.rows(
        "SELECT actor_subject FROM audit_entries WHERE action = 'case.read' AND subject_id = $1",
        UUID(case["id"]),
    )
    assert len(reads) == 4
    stranger = await aid.welfare.user("welfare_officer", sibling)
    for verb in ("submission", "withdrawal", "approval"):
        await aid.welfare.call("POST", f"{path}/{verb}", by=stranger, version=1, json={}, expect=404)


async def test_nothing_private_is_told_to_others_or_stands_in_plain(aid: Aid) -> None:
    case = await aid.submitted(await aid.programme(), await aid.member())
    await aid.step(case, "return", by=aid.approver, reason=REASON)
    rows = await aid.welfare.rows(
        "SELECT convert_from(payload, 'UTF8') AS written FROM outbox WHERE key = $1", UUID(case["id"])
    )
    rows += await aid.welfare.rows(
        "SELECT to_jsonb(c)::text AS written FROM cases c WHERE id = $1", UUID(case["id"])
    )
    rows += await aid.welfare.rows(
        "SELECT to_jsonb(h)::text AS written FROM case_history h WHERE case_id = $1", UUID(case["id"])
    )
    rows += await aid.welfare.rows(
        "SELECT to_jsonb(a)::text AS written FROM audit_entries a WHERE subject_id = $1", UUID(case["id"])
    )
    assert len(rows) >= 10
    for row in rows:
        assert not any(word in row["written"] for word in (ACCOUNT, REASON, "王小明"))


async def test_a_replica_that_is_behind_decides_nothing(aid: Aid) -> None:
    programme = await aid.programme()
    member = await aid.member(sequence=3)
    stale = await aid.case(programme, member, member_sequence=4, expect=409)
    assert stale["code"] == "stale-replica"
    case = await aid.case(programme, member, member_sequence=3)
    aid.membership.changed[member.id] = {"version": 4}
    problem = await aid.step(case, "submission", by=aid.officer, expect=409)
    assert problem["code"] == "stale-replica"
    reply = await aid.welfare.send("POST", f"/cases/{case['id']}/submission", by=aid.officer, version=1)
    assert reply.headers["retry-after"] == "1"
    unknown = application(programme, member_id=str(new_id()), member_sequence=1)
    await aid.welfare.refused("stale-replica", 409, "POST", "/cases", by=aid.officer, json=unknown)
    await aid.welfare.call(
        "POST", "/cases", by=aid.officer, json=unknown | {"member_sequence": None}, expect=404
    )


async def test_nothing_is_decided_while_membership_is_down(aid: Aid) -> None:
    programme = await aid.programme()
    drafted = await aid.case(programme, await aid.member())
    waiting = await aid.submitted(programme, await aid.member())
    aid.membership.is_down = True
    assert (await aid.step(drafted, "submission", by=aid.officer, expect=503))[
        "code"
    ] == "membership-unavailable"
    assert (await aid.approve(waiting, expect=503))["code"] == "membership-unavailable"
    aid.membership.is_down = False
    assert (await aid.approve(waiting))["stage"] == "approved"


async def test_who_has_left_by_now_is_not_helped(aid: Aid) -> None:
    member = await aid.member()
    case = await aid.submitted(await aid.programme(), member)
    aid.membership.changed[member.id] = {"status": "withdrawn"}
    assert (await aid.approve(case, expect=409))["code"] == "member-belongs-nowhere"


async def test_a_member_applies_alone_and_sees_the_own_cases_only(aid: Aid) -> None:
    programme = await aid.programme()
    one, other = [f"member-{new_id()}" for _ in range(2)]
    for subject in (one, other):
        await aid.member(subject=subject)
    case = await aid.welfare.call("POST", "/me/cases", by=one, json=application(programme), expect=201)
    assert (case["stage"], case["version"]) == ("submitted", 2)
    mine = await aid.welfare.call("GET", "/me/cases", by=one)
    assert [item["id"] for item in mine["items"]] == [case["id"]]
    assert (await aid.welfare.call("GET", "/me/cases", by=other))["items"] == []
    approved = await aid.approve(case)
    await aid.welfare.call(
        "POST", f"/me/cases/{case['id']}/acknowledgement", by=other, version=approved["version"], expect=404
    )
    await aid.welfare.call("GET", f"/cases/{case['id']}", by=one, expect=404)
    refused = await aid.welfare.call(
        "POST", "/me/cases", by="no-member", json=application(programme), expect=404
    )
    assert refused["code"] == "no-own-member"


async def test_a_case_under_the_programme_of_an_upper_unit(aid: Aid) -> None:
    """The lower unit neither owns the programme nor sees its budget, yet reserves in it."""
    lower = await aid.welfare.unit(aid.unit)
    officer = await aid.welfare.user("welfare_officer", lower)
    approver = await aid.welfare.user("approver", lower)
    programme = await aid.programme()
    case = await aid.case(programme, await aid.member(at=lower), by=officer)
    case = await aid.step(case, "submission", by=officer)
    assert (await aid.approve(case, by=approver))["stage"] == "approved"
    assert await aid.budget() == (10_000_000, 100_000, 0)
    # The other way round a programme of below is not for the units above it.
    elsewhere = await aid.member(at=await aid.welfare.unit())
    top_officer = await aid.welfare.user("welfare_officer", aid.welfare.top)
    refused = await aid.case(programme, elsewhere, by=top_officer, expect=422)
    assert refused["code"] == "programme-not-for-unit"


async def test_a_programme_takes_cases_between_its_days_only(aid: Aid) -> None:
    over = await aid.programme(starts_on="2026-01-01", ends_on=date(2026, 3, 15).isoformat())
    refused = await aid.case(over, await aid.member(), expect=409)
    assert refused["code"] == "programme-not-running"
    today = await aid.programme(starts_on="2026-03-16", ends_on="2026-03-16")
    assert (await aid.case(today, await aid.member()))["stage"] == "draft"
