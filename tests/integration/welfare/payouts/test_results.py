"""Result files that are foreign, double, incomplete, contradictory or none: told row by row, nothing lost or booked twice."""

import asyncio
from typing import Any

import pytest

from shared.kernel.ids import new_id
from tests.integration.welfare.payouts.office import AMOUNT, Office

WHOLE = f"{AMOUNT // 100}.00"


async def test_every_row_that_does_not_fit_is_told_and_kept(office: Office) -> None:
    sent, [first, second, third] = await office.sent(3)
    lines = await office.lines(sent)
    one, two, three = (lines[str(case)]["id"] for case in (first, second, third))
    result = await office.result(
        sent,
        [
            [one, "paid", WHOLE, ""],
            [one, "failed", "", ""],  # double
            [new_id(), "paid", WHOLE, ""],  # foreign
            [two, "paid", "299.99", ""],  # another amount
            [two, "gone", WHOLE, ""],  # no state
            ["张三 6222021234567890123", "paid", WHOLE, ""],  # no instruction
            [two, "paid", "-1", ""],
            [two, "paid", "NaN", ""],
        ],
    )
    assert (result["rows"], result["paid"], result["failed"]) == (8, 1, 0)
    kept = await office.get(sent, "/findings")
    assert {finding["row_number"]: finding["kind"] for finding in kept} == {
        3: "result-line-double",
        4: "result-line-foreign",
        5: "result-amount-differs",
        6: "result-line-malformed",
        7: "result-line-malformed",
        8: "result-line-malformed",
        9: "result-line-malformed",
    }
    assert all(finding["detail"] for finding in result["findings"])
    assert "张三" not in str(kept)
    assert "6222021234567890123" not in str(kept)
    assert result["missing"] == [three]
    assert [await office.settled(case) for case in (first, second, third)] == [1, 0, 0]
    assert await office.figures() == (1_000_000, 2 * AMOUNT, AMOUNT, 1_000_000 - 3 * AMOUNT)


async def test_the_same_file_twice_books_once(office: Office) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    rows = [[line["id"], "paid", WHOLE, ""], [new_id(), "paid", WHOLE, ""]]
    first = await office.result(sent, rows)
    second = await office.result(sent, rows)
    assert [result["paid"] for result in (first, second)] == [1, 0]
    assert second["unchanged"] == 1
    assert second["findings"] == []
    assert await office.settled(case) == 1
    assert await office.findings(sent) == ["result-line-foreign"]


async def test_a_large_file_of_somebody_else_is_told_of_once(office: Office) -> None:
    sent, _ = await office.sent()
    rows = [[new_id(), "paid", WHOLE, ""] for _ in range(1_100)]
    assert len((await office.result(sent, rows))["findings"]) == 1_100
    assert (await office.result(sent, rows))["findings"] == []


@pytest.mark.parametrize(("first", "then"), [("paid", "failed"), ("failed", "paid")])
async def test_a_contradiction_is_kept_and_changes_nothing(office: Office, first: str, then: str) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    await office.result(sent, [[line["id"], first, "", ""]])
    stage, figures = await office.stage(case), await office.figures()
    result = await office.result(sent, [[line["id"], then, "", ""]])
    assert [finding["kind"] for finding in result["findings"]] == ["result-contradicts"]
    assert (await office.stage(case), await office.figures()) == (stage, figures)
    assert (await office.lines(sent))[str(case)]["state"] == first
    # Late and once more, after the batch was closed even.
    assert (await office.result(sent, [[line["id"], then, "", ""]]))["findings"] == []
    assert (await office.result(sent, [[line["id"], "accepted", "", ""]]))["unchanged"] == 1


async def test_a_payment_that_contradicts_a_failure_does_not_pay_a_second_time(office: Office) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    await office.result(sent, [[line["id"], "failed", "", ""]])
    again = await office.send(await office.prepare([case]))
    [retry] = (await office.lines(again)).values()
    assert (retry["attempt"], retry["id"] != line["id"]) == (2, True)
    await office.result(sent, [[line["id"], "paid", "", ""]])
    await office.result(again, [[retry["id"], "paid", "", ""]])
    assert await office.settled(case) == 1
    assert await office.findings(sent) == ["result-contradicts"]


async def test_a_result_for_what_was_not_sent_books_nothing(office: Office) -> None:
    [case] = await office.approved()
    payout = await office.prepare([case])
    [line] = (await office.lines(payout)).values()
    result = await office.result(payout, [[line["id"], "paid", "", ""]])
    assert [finding["kind"] for finding in result["findings"]] == ["result-line-not-sent"]
    assert await office.stage(case) == "disbursing"


FILES: list[tuple[bytes, str, int]] = [
    (b"", "result-file-empty", 422),
    (b"instruction_id,state\n", "result-file-empty", 422),
    (b"a,b\n1,2\n", "result-heading-missing", 422),
    (b"instruction_id,state,State\nx,failed,paid\n", "result-heading-twice", 422),
    (b"PK\x03\x04\x00\x00", "result-file-unreadable", 422),
    (b"instruction_id,state\n\xff\xff\xff\xff", "result-file-unreadable", 422),
    (b"instruction_id,state\n" + b"x,paid\n" * 2001, "result-too-many-rows", 422),
    (b"x" * (1_200_000), "body-too-large", 413),
]


@pytest.mark.parametrize(("content", "code", "status"), FILES)
async def test_what_is_no_result_file_is_refused(
    office: Office, content: bytes, code: str, status: int
) -> None:
    sent, _ = await office.sent()
    problem = await office.result(sent, content, expect=status)
    assert problem["code"] == code
    assert (await office.get(sent))["state"] == "sent"


async def test_a_chinese_file_of_an_old_program_is_read(office: Office) -> None:
    sent, [case] = await office.sent()
    [line] = (await office.lines(sent)).values()
    content = f'户名,Instruction_ID,STATE,amount\r\n王小明,{line["id"]},成功,"300.00"\r\n'.encode("gb18030")
    result: dict[str, Any] = await office.result(sent, content)
    assert result["paid"] == 1
    assert await office.stage(case) == "paid"


async def test_results_at_the_same_time_book_once(office: Office) -> None:
    sent, case_ids = await office.sent(4)
    lines = [line["id"] for line in (await office.lines(sent)).values()]
    rows = [[line, "paid", "", ""] for line in lines]
    results = await asyncio.gather(*(office.result(sent, rows[:: (-1) ** n]) for n in range(5)))
    assert sum(result["paid"] for result in results) == 4
    assert [await office.settled(case) for case in case_ids] == [1, 1, 1, 1]
    assert (await office.get(sent))["state"] == "answered"


async def test_a_case_that_went_to_another_unit_is_still_paid_by_its_batch(office: Office) -> None:
    """Its unit was dissolved meanwhile; who has the batch sees nothing of the unit that took the case over."""
    heir = await office.welfare.unit()
    sent, [gone, refused, stayed] = await office.sent(3)
    other, [foreign] = await office.sent()
    for case in (gone, refused, foreign):
        await office.welfare.rows(
            "UPDATE cases SET organisation_id = $2, path = $3 WHERE id = $1", case, heir.id, heir.path
        )
    await office.welfare.call("GET", f"/cases/{gone}", by=office.sender, expect=404)
    lines = await office.lines(sent)
    rows = [[lines[str(gone)]["id"], "paid", "", ""], [lines[str(refused)]["id"], "failed", "", "x"]]
    rows += [[lines[str(stayed)]["id"], "paid", "", ""]]
    [line] = (await office.lines(other)).values()
    result = await office.result(sent, [*rows, [line["id"], "paid", "", ""]])
    assert (result["paid"], result["failed"]) == (2, 1)
    # The right to one batch is none to another's cases.
    assert [finding["kind"] for finding in result["findings"]] == ["result-line-foreign"]
    stages = [await office.stage(case) for case in (gone, refused, stayed, foreign)]
    assert stages == ["paid", "approved", "paid", "disbursing"]
    assert [await office.settled(case) for case in (gone, refused, stayed, foreign)] == [1, 0, 1, 0]
    await office.welfare.call("GET", f"/cases/{gone}", by=office.sender, expect=404)


async def test_a_batch_is_taken_back_though_a_case_went_to_another_unit(office: Office) -> None:
    heir = await office.welfare.unit()
    [gone] = await office.approved()
    payout = await office.prepare([gone])
    await office.welfare.rows(
        "UPDATE cases SET organisation_id = $2, path = $3 WHERE id = $1", gone, heir.id, heir.path
    )
    path = f"/payouts/{payout['id']}/cancellation"
    await office.welfare.call("POST", path, by=office.preparer, version=1)
    assert await office.stage(gone) == "approved"
