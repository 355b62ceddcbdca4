"""Batches over HTTP, handed over as files: who may do what, and what becomes of cases and money."""

import asyncio
import csv
import io
from uuid import UUID

import pytest

from shared.database.scope import Scope
from shared.kernel.errors import DomainError
from shared.kernel.ids import new_id
from shared.security.keys import KeyRing
from shared.web.invariants import examine
from tests.integration.welfare.payouts.office import ACCOUNT, AMOUNT, Office
from tests.support.welfare import committed
from welfare_service.cases import repository as cases
from welfare_service.cases.domain import Act
from welfare_service.cases.recording import record
from welfare_service.funds import use_cases as funds
from welfare_service.invariants import INVARIANTS
from welfare_service.settings import Settings


async def test_a_batch_is_prepared_sent_by_another_answered_and_closed(office: Office) -> None:
    case_ids = await office.approved(3)
    payout = await office.prepare(case_ids)
    assert (payout["state"], payout["line_count"], payout["total_fen"]) == ("draft", 3, 3 * AMOUNT)
    assert {await office.stage(case) for case in case_ids} == {"disbursing"}
    lines = await office.lines(payout)
    assert {line["account_masked"] for line in lines.values()} == {"622************0123"}
    assert {line["state"] for line in lines.values()} == {"pending"}

    # Or who prepared the batch could hand it over alone.
    file_path = f"/payouts/{payout['id']}/file"
    await office.welfare.refused("payout-not-sent", 409, "GET", file_path, by=office.sender)
    sent = await office.send(payout)
    assert (sent["state"], sent["channel"]) == ("sent", "file")
    file = await office.welfare.send("GET", file_path, by=office.sender)
    rows = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert {row["instruction_id"] for row in rows} == {line["id"] for line in lines.values()}
    assert {(row["account"], row["name"], row["amount"]) for row in rows} == {(ACCOUNT, "王小明", "300.00")}
    assert file.headers["cache-control"] == "no-store"

    paid, failed, awaited = (lines[str(case)]["id"] for case in case_ids)
    result = await office.result(
        sent,
        [[paid, "paid", "300.00", ""], [failed, "失败", "", "account-closed"], [awaited, "accepted", "", ""]],
    )
    assert (result["paid"], result["failed"], result["unchanged"], result["missing"]) == (1, 1, 1, [])
    assert [await office.stage(case) for case in case_ids] == ["paid", "approved", "disbursing"]
    assert await office.figures() == (1_000_000, 2 * AMOUNT, AMOUNT, 1_000_000 - 3 * AMOUNT)
    assert (await office.lines(sent))[str(case_ids[1])]["reason_text"] == "收款账户已注销。"
    await office.welfare.refused(
        "payout-not-in-state",
        409,
        "POST",
        f"/payouts/{payout['id']}/closing",
        by=office.sender,
        version=sent["version"],
    )
    await office.result(sent, [[awaited, "成功", "300.00", ""]])
    answered = await office.get(sent)
    assert answered["state"] == "answered"
    closed = await office.welfare.call(
        "POST", f"/payouts/{payout['id']}/closing", by=office.sender, version=answered["version"]
    )
    assert closed["state"] == "closed"
    again = await office.prepare([case_ids[1]])
    assert (await office.lines(again))[str(case_ids[1])]["attempt"] == 2


async def test_what_the_banks_interface_was_given_is_in_no_file(office: Office) -> None:
    sent, _ = await office.sent(channel="bank")
    file = f"/payouts/{sent['id']}/file"
    await office.welfare.refused("payout-line-under-way", 409, "GET", file, by=office.sender)


async def test_a_batch_leaves_its_traces(office: Office) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    await office.welfare.send("GET", f"/payouts/{sent['id']}/file", by=office.sender)
    await office.result(sent, [[line["id"], "paid", "", ""]])
    answered = await office.get(sent)
    closing = f"/payouts/{sent['id']}/closing"
    await office.welfare.call("POST", closing, by=office.sender, version=answered["version"])
    acts = await office.welfare.rows(
        "SELECT action FROM audit_entries WHERE subject_id = $1 ORDER BY id", UUID(sent["id"])
    )
    assert [row["action"] for row in acts] == [
        "payout.prepared", "payout.sent", "payout.file-read", "payout.result-taken", "payout.closed",
    ]  # fmt: skip
    assert await office.welfare.events(case) == [
        ("case.drafted.v1", 1), ("case.submitted.v1", 2), ("case.approved.v1", 3), ("case.disbursing.v1", 4),
        ("case.paid.v1", 5),
    ]  # fmt: skip


async def test_who_prepared_a_batch_does_not_send_it(office: Office) -> None:
    payout = await office.prepare(await office.approved())
    path = f"/payouts/{payout['id']}/sending"
    await office.welfare.refused(
        "four-eyes", 403, "POST", path, by=office.preparer, version=1, json={"channel": "file"}
    )
    assert (await office.get(payout))["state"] == "draft"
    await office.send(payout)
    # The database says no as well.
    async with office.welfare.connected() as connection:
        with pytest.raises(Exception, match="four_eyes"):
            await connection.execute(
                "UPDATE payouts SET sent_by_issuer = prepared_by_issuer, sent_by_subject = prepared_by_subject WHERE id = $1",
                UUID(payout["id"]),
            )


async def test_a_case_is_in_one_batch_at_a_time(office: Office) -> None:
    [case] = await office.approved()
    body = {"organisation_id": str(office.unit.id), "case_ids": [str(case)]}
    replies = await asyncio.gather(
        *(office.welfare.send("POST", "/payouts", by=office.preparer, json=body) for _ in range(6))
    )
    assert sorted(reply.status_code for reply in replies) == [201, 409, 409, 409, 409, 409]
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"case-not-approved"}
    rows = await office.welfare.rows("SELECT id FROM payout_lines WHERE case_id = $1", case)
    assert len(rows) == 1


async def test_the_same_key_prepares_one_batch(office: Office) -> None:
    case_ids = await office.approved(2)
    first = await office.prepare(case_ids, key="prepared-once")
    assert await office.prepare(case_ids, key="prepared-once") == first


async def test_what_is_not_payable_here_is_refused_and_nothing_is_begun(office: Office) -> None:
    [good] = await office.approved()
    elsewhere = await office.welfare.unit()
    [foreign] = await office.approved(at=elsewhere)
    for other, code, status in (
        (foreign, "not-found", 404),
        (new_id(), "not-found", 404),
        (good, "payout-case-twice", 422),
    ):
        problem = await office.prepare([good, other], expect=status)
        assert problem["code"] == code
    above = await office.welfare.user("treasurer", office.welfare.top)
    body = {"organisation_id": str(office.unit.id), "case_ids": [str(foreign)]}
    await office.welfare.refused("not-found", 404, "POST", "/payouts", by=above, json=body)
    await office.welfare.refused(
        "input-invalid", 422, "POST", "/payouts", by=above, json=body | {"case_ids": []}
    )
    await office.welfare.refused(
        "input-invalid", 422, "POST", "/payouts", by=above, json=body | {"state": "sent"}
    )
    assert await office.stage(good) == "approved"


async def test_rights_of_batches(office: Office) -> None:
    payout = await office.prepare(await office.approved())
    path = f"/payouts/{payout['id']}"
    auditor = await office.welfare.user("auditor", office.unit)
    await office.welfare.call("GET", path, by=auditor)
    await office.welfare.refused("not-allowed", 403, "GET", f"{path}/file", by=auditor)
    await office.welfare.refused(
        "not-allowed", 403, "POST", f"{path}/sending", by=auditor, version=1, json={}
    )
    for role in ("welfare_officer", "approver", "organiser"):
        other = await office.welfare.user(role, office.unit)
        await office.welfare.refused("not-allowed", 403, "GET", path, by=other)
        await office.welfare.refused("not-allowed", 403, "GET", "/payouts", by=other)
    sibling = await office.welfare.user("treasurer", await office.welfare.unit())
    for part in ("", "/lines", "/findings", "/file"):
        await office.welfare.refused("not-found", 404, "GET", path + part, by=sibling)
    listed = await office.welfare.call("GET", "/payouts", by=sibling)
    assert listed["items"] == []
    listed = await office.welfare.call(
        "GET", f"/payouts?organisation={office.unit.id}&state=draft", by=auditor
    )
    assert [item["id"] for item in listed["items"]] == [payout["id"]]


async def test_a_batch_taken_back_frees_its_cases(office: Office) -> None:
    case_ids = await office.approved(2)
    payout = await office.prepare(case_ids)
    path = f"/payouts/{payout['id']}/cancellation"
    await office.welfare.refused("stale-version", 412, "POST", path, by=office.preparer, version=9)
    gone = await office.welfare.call("POST", path, by=office.preparer, version=1)
    assert gone["state"] == "cancelled"
    assert {await office.stage(case) for case in case_ids} == {"approved"}
    assert (await office.figures())[1] == 2 * AMOUNT
    again = await office.send(await office.prepare(case_ids))
    await office.welfare.refused(
        "payout-not-in-state",
        409,
        "POST",
        f"/payouts/{again['id']}/cancellation",
        by=office.preparer,
        version=again["version"],
    )


async def test_a_case_is_paid_or_cancelled_never_both(office: Office) -> None:
    """F10: approve, cancel and pay against each other."""
    by = office.welfare.by("approver")

    async def cancel(case_id: UUID) -> str:
        try:
            async with committed(office.database, Scope.everything()) as session:
                case = await cases.get_for_change(session, case_id)
                await record(session, case, case.cancel(Act(by, by.today)))
                await funds.release(session, UUID(office.budget_id), case_id, by)
        except DomainError as refused:
            return refused.code
        return "cancelled"

    async def pay(case_id: UUID) -> str:
        body = {"organisation_id": str(office.unit.id), "case_ids": [str(case_id)]}
        reply = await office.welfare.send("POST", "/payouts", by=office.preparer, json=body)
        return "prepared" if reply.status_code == 201 else str(reply.json()["code"])

    case_ids = await office.approved(8)
    for case_id in case_ids:
        outcomes = await asyncio.gather(cancel(case_id), pay(case_id), cancel(case_id))
        assert sum(outcome in {"cancelled", "prepared"} for outcome in outcomes) == 1, outcomes
    stages = [await office.stage(case) for case in case_ids]
    assert (await office.figures())[1] == AMOUNT * stages.count("disbursing")


async def test_what_waits_for_whom(office: Office) -> None:
    payout = await office.prepare(await office.approved())

    async def kinds(by: str) -> list[str]:
        headers = office.welfare.issuer.headers(by)
        reply = await office.welfare.client.get("/internal/v1/work", headers=headers)
        return [item["kind"] for item in reply.json()["items"] if item["id"] == payout["id"]]

    assert await kinds(office.sender) == ["payout.send"]
    assert await kinds(office.preparer) == []
    assert await kinds(await office.welfare.user("welfare_officer", office.unit)) == []
    sent = await office.send(payout)
    assert await kinds(office.preparer) == ["payout.clarify"]
    [line] = (await office.lines(sent)).values()
    await office.result(sent, [[line["id"], "paid", "300.00", ""], [new_id(), "paid", "1.00", ""]])
    assert sorted(await kinds(office.sender)) == ["payout.close", "payout.resolve"]
    [finding] = await office.get(sent, "/findings")
    answered = await office.get(sent)
    close = f"/payouts/{sent['id']}/closing"
    await office.welfare.refused(
        "payout-has-findings", 409, "POST", close, by=office.sender, version=answered["version"]
    )
    resolution = f"/payouts/{sent['id']}/findings/{finding['id']}/resolution"
    body = {"resolution": "已与银行核实"}
    await office.welfare.call("POST", resolution, by=office.sender, json=body)
    await office.welfare.refused("finding-resolved", 409, "POST", resolution, by=office.sender, json=body)
    await office.welfare.call("POST", close, by=office.sender, version=answered["version"])
    assert await kinds(office.sender) == []


@pytest.mark.parametrize(
    "table", ["payouts", "payout_lines", "payout_findings", "budgets", "journal_lines", "journal_entries"]
)
async def test_without_a_scope_there_is_no_row_and_with_one_only_its_own(office: Office, table: str) -> None:
    """Row-level security alone: the statements name no path."""
    sent, _ = await office.sent()
    await office.result(sent, [[new_id(), "paid", "1.00", ""]])
    async with office.welfare.connected("app") as connection:
        for scope in (None, "", "%", "1", f"{office.unit.path}%", "*/"):
            if scope is not None:
                await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        await connection.execute("SELECT set_config('app.scope', $1, false)", office.unit.path)
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0
        everything = await office.welfare.rows(f"SELECT count(*) AS rows FROM {table}")
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") <= everything[0]["rows"]


async def test_the_invariants_hold_and_notice_a_payment_without_its_entry(
    office: Office, settings: Settings
) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    await office.result(sent, [[line["id"], "paid", "300.00", ""]])
    ring = KeyRing.load(settings.keys_file)

    async def broken() -> dict[str, list[str]]:
        async with office.database.read(Scope.everything()) as session:
            found = await examine(session, ring, INVARIANTS)
        return {f"{one.id} {one.what}": one.offenders for one in found if one.offenders}

    # Other tests of this database pay cases without any bank: only this one is asked about.
    assert [name for name, offenders in (await broken()).items() if str(case) in offenders] == []
    async with office.welfare.connected() as connection:
        await connection.execute("UPDATE payout_lines SET state = 'unknown' WHERE id = $1", UUID(line["id"]))
        assert str(case) in (await broken())["I5 payout_lines"]
        await connection.execute("UPDATE payout_lines SET state = 'paid' WHERE id = $1", UUID(line["id"]))
