"""Budgets over HTTP: who may do what, what is refused, what a statement says."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from tests.support.welfare import Unit, Welfare, committed
from welfare_service.funds import use_cases

YEAR = 2026


async def new_budget(welfare: Welfare, by: str, at: Unit, amount: int | None = 100_000, **fields: Any) -> Any:
    body = {"organisation_id": str(at.id), "year": YEAR, "source": "own", "name": "送温暖"} | fields
    if amount is not None:
        body["amount_fen"] = amount
    return await welfare.call("POST", "/budgets", by=by, json=body, expect=201)


async def reserve(welfare: Welfare, database: Database, budget_id: str, amount: int) -> UUID:
    """Reserve for a new case and commit; the case's id."""
    case_id = new_id()
    async with committed(database, Scope.everything()) as session:
        await use_cases.reserve(session, UUID(budget_id), case_id, Fen(amount), welfare.by("approver"))
    return case_id


async def figures(welfare: Welfare, by: str, budget_id: str) -> tuple[int, int, int, int]:
    """Allocated, reserved, paid, available."""
    shown = await welfare.call("GET", f"/budgets/{budget_id}", by=by)
    return tuple(shown[f"{name}_fen"] for name in ("allocated", "reserved", "paid", "available"))


async def test_money_comes_in_goes_down_is_paid_and_told_of_in_a_statement(
    welfare: Welfare, worker_database: Database
) -> None:
    top = await welfare.unit()
    below = await welfare.unit(top)
    treasurer = await welfare.user("treasurer", top)
    made = await new_budget(welfare, treasurer, top)
    path = f"/budgets/{made['id']}"
    more = {"amount_fen": 50_000, "reason": "=第二笔"}
    await welfare.call("POST", f"{path}/income", by=treasurer, json=more, expect=201)
    down = {"organisation_id": str(below.id), "amount_fen": 60_000}
    child = await welfare.call("POST", f"{path}/allocations", by=treasurer, json=down, expect=201)
    assert (child["source"], child["available_fen"], child["year"]) == ("allocated", 60_000, YEAR)
    again = await welfare.call("POST", f"{path}/allocations", by=treasurer, json=down, expect=201)
    assert (again["id"], again["available_fen"]) == (child["id"], 120_000)
    paid, freed = [await reserve(welfare, worker_database, made["id"], 10_000) for _ in range(2)]
    by = welfare.by("approver")
    async with committed(worker_database, Scope.everything()) as session:
        await use_cases.settle(session, UUID(made["id"]), paid, Fen(9_000), by)
        await use_cases.release(session, UUID(made["id"]), freed, by)
    assert await figures(welfare, treasurer, made["id"]) == (30_000, 0, 9_000, 21_000)

    first = await welfare.call("GET", f"{path}/statement?limit=5", by=treasurer)
    assert first["opening"]["allocated_fen"] == 0
    assert [entry["kind"] for entry in first["entries"]] == [
        "income", "income", "allocation", "allocation", "reservation",
    ]  # fmt: skip
    assert [entry["version"] for entry in first["entries"]] == [1, 2, 3, 4, 5]
    rest = await welfare.call(
        "GET", f"{path}/statement", by=treasurer, params={"limit": 5, "cursor": first["next_cursor"]}
    )
    assert rest["opening"] == first["closing"]
    assert [entry["kind"] for entry in rest["entries"]] == ["reservation", "payment", "release"]
    assert rest["next_cursor"] is None
    assert rest["closing"] == {
        "allocated_fen": 30_000, "reserved_fen": 0, "paid_fen": 9_000, "available_fen": 21_000,
    }  # fmt: skip
    assert {line["account"]: line["amount_fen"] for line in rest["entries"][1]["lines"]} == {
        "available": 1_000, "reserved": -10_000, "paid": 9_000,
    }  # fmt: skip

    reply = await welfare.send("GET", f"{path}/statement.csv", by=treasurer)
    rows = list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"))))
    assert len(rows) == 1 + 1 + 8 + 1
    assert [rows[1][2], rows[-1][2]] == ["期初 opening", "期末 closing"]
    assert rows[-1][6:9] == ["210.00", "0.00", "90.00"]
    assert rows[3][10] == "'=第二笔", "a text never becomes a formula"
    assert rows[8][3:6] == ["0.00", "-100.00", "90.00"]


async def test_given_money_keeps_its_source_on_the_way_down(welfare: Welfare) -> None:
    top = await welfare.unit()
    below = await welfare.unit(top)
    treasurer = await welfare.user("treasurer", top)
    for source in ("government", "donation"):
        made = await new_budget(welfare, treasurer, top, source=source)
        down = {"organisation_id": str(below.id), "amount_fen": 1}
        child = await welfare.call(
            "POST", f"/budgets/{made['id']}/allocations", by=treasurer, json=down, expect=201
        )
        assert child["source"] == source


AMOUNTS: list[Any] = [-1, 0, 1e30, 0.001, 1.0, 100.5, "100", True, None, 10_000_000_000_001, [], {}]


@pytest.mark.parametrize("amount", AMOUNTS)
async def test_a_wrong_amount_is_refused_and_nothing_is_entered(welfare: Welfare, amount: Any) -> None:
    unit = await welfare.unit()
    below = await welfare.unit(unit)
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    for path, body in (
        ("income", {"reason": "补拨"}),
        ("allocations", {"organisation_id": str(below.id)}),
    ):
        wrong = body | {"amount_fen": amount}
        await welfare.refused(
            "input-invalid", 422, "POST", f"/budgets/{made['id']}/{path}", by=treasurer, json=wrong
        )
    assert await figures(welfare, treasurer, made["id"]) == (100_000, 0, 0, 100_000)


async def test_nan_is_no_json(welfare: Welfare) -> None:
    treasurer = await welfare.user("treasurer", welfare.top)
    body = f'{{"organisation_id": "{welfare.top.id}", "year": 2026, "source": "own", "name": "x", "amount_fen": NaN}}'
    headers = {"Content-Type": "application/json"}
    reply = await welfare.client.post(
        "/api/v1/budgets",
        content=body,
        headers=welfare.issuer.headers(treasurer) | headers | {"Idempotency-Key": str(new_id())},
    )
    assert (reply.status_code, reply.json()["code"]) == (400, "json-malformed")


async def test_an_unknown_field_is_refused(welfare: Welfare) -> None:
    treasurer = await welfare.user("treasurer", welfare.top)
    body = {
        "organisation_id": str(welfare.top.id), "year": YEAR, "source": "own", "name": "x", "paid_fen": 1,
    }  # fmt: skip
    await welfare.refused("input-invalid", 422, "POST", "/budgets", by=treasurer, json=body)


async def test_the_same_key_enters_money_once(welfare: Welfare) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    path, body = f"/budgets/{made['id']}/income", {"amount_fen": 7, "reason": "补拨"}
    for _ in range(2):
        await welfare.call("POST", path, by=treasurer, json=body, expect=201, key="the-same-key")
    assert await figures(welfare, treasurer, made["id"]) == (100_007, 0, 0, 100_007)


async def test_only_a_treasurer_above_changes_and_only_who_works_on_money_reads(welfare: Welfare) -> None:
    unit, sibling = await welfare.unit(), await welfare.unit()
    below = await welfare.unit(unit)
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    path, body = f"/budgets/{made['id']}", {"amount_fen": 1, "reason": "补拨"}
    await welfare.call(
        "POST", f"{path}/income", by=await welfare.user("treasurer", welfare.top), json=body, expect=201
    )
    for role in ("auditor", "approver", "welfare_officer"):
        reader = await welfare.user(role, unit)
        await welfare.call("GET", path, by=reader)
        await welfare.refused("not-allowed", 403, "POST", f"{path}/income", by=reader, json=body)
    for at in (sibling, below):
        stranger = await welfare.user("treasurer", at)
        await welfare.refused("not-found", 404, "GET", path, by=stranger)
        await welfare.refused("not-found", 404, "POST", f"{path}/income", by=stranger, json=body)
        listed = await welfare.call("GET", f"/budgets?year={YEAR}", by=stranger)
        assert made["id"] not in {item["id"] for item in listed["items"]}
    await welfare.refused("not-allowed", 403, "GET", path, by=await welfare.user("organiser", unit))
    await welfare.refused("not-allowed", 403, "GET", f"/budgets?year={YEAR}", by="nobody")


async def test_money_is_handed_down_never_up_nor_aside(welfare: Welfare) -> None:
    unit, sibling = await welfare.unit(), await welfare.unit()
    treasurer = await welfare.user("treasurer", welfare.top)
    made = await new_budget(welfare, treasurer, unit)
    path = f"/budgets/{made['id']}/allocations"
    for other in (unit, sibling, welfare.top, Unit(new_id(), "")):
        body = {"organisation_id": str(other.id), "amount_fen": 1}
        await welfare.refused("allocation-not-below", 422, "POST", path, by=treasurer, json=body)
    too_much = {"organisation_id": str((await welfare.unit(unit)).id), "amount_fen": 100_001}
    await welfare.refused("budget-exhausted", 409, "POST", path, by=treasurer, json=too_much)
    body = {
        "organisation_id": str(unit.id),
        "year": YEAR,
        "source": "allocated",
        "name": "x",
        "amount_fen": 1,
    }
    await welfare.refused("budget-source-allocated", 422, "POST", "/budgets", by=treasurer, json=body)


async def test_lists_are_of_a_year_and_a_subtree_page_by_page(welfare: Welfare) -> None:
    unit = await welfare.unit()
    units = [await welfare.unit(unit) for _ in range(3)]
    treasurer = await welfare.user("treasurer", unit)
    made = [await new_budget(welfare, treasurer, at) for at in (unit, *units)]
    await new_budget(welfare, treasurer, unit, None, year=YEAR + 1)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"year": YEAR, "limit": 2, "organisation": str(unit.id)} | (
            {"cursor": cursor} if cursor else {}
        )
        found = await welfare.call("GET", "/budgets", by=treasurer, params=query)
        seen += [item["id"] for item in found["items"]]
        cursor = found["next_cursor"]
        if cursor is None:
            break
    assert seen == [budget["id"] for budget in made]


async def test_an_entry_is_taken_back_once_with_a_reason(welfare: Welfare, worker_database: Database) -> None:
    unit = await welfare.unit()
    below = await welfare.unit(unit)
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    path = f"/budgets/{made['id']}"
    down = {"organisation_id": str(below.id), "amount_fen": 40_000}
    child = await welfare.call("POST", f"{path}/allocations", by=treasurer, json=down, expect=201)
    case = await reserve(welfare, worker_database, made["id"], 10_000)
    async with committed(worker_database, Scope.everything()) as session:
        await use_cases.settle(session, UUID(made["id"]), case, Fen(10_000), welfare.by("bank"))
    entries = (await welfare.call("GET", f"{path}/statement", by=treasurer))["entries"]
    by_kind = {entry["kind"]: entry["entry_id"] for entry in entries}

    why = {"reason": "录入错误"}
    lower = await welfare.user("treasurer", below)
    allocation = f"entries/{by_kind['allocation']}/reversal"
    await welfare.refused(
        "entry-of-another-unit", 409, "POST", f"/budgets/{child['id']}/{allocation}", by=lower, json=why
    )
    await welfare.call("POST", f"{path}/{allocation}", by=treasurer, json=why, expect=201)
    assert await figures(welfare, treasurer, child["id"]) == (0, 0, 0, 0)
    await welfare.refused(
        "entry-already-reversed", 409, "POST", f"{path}/{allocation}", by=treasurer, json=why
    )
    payment = f"{path}/entries/{by_kind['payment']}/reversal"
    await welfare.call("POST", payment, by=treasurer, json=why, expect=201)
    assert await figures(welfare, treasurer, made["id"]) == (100_000, 0, 0, 100_000)
    await welfare.refused(
        "entry-not-reversible",
        409,
        "POST",
        f"{path}/entries/{by_kind['reservation']}/reversal",
        by=treasurer,
        json=why,
    )
    await welfare.refused(
        "not-found", 404, "POST", f"{path}/entries/{new_id()}/reversal", by=treasurer, json=why
    )
    await welfare.refused("input-invalid", 422, "POST", payment, by=treasurer, json={"reason": ""})
    kinds = [
        entry["kind"] for entry in (await welfare.call("GET", f"{path}/statement", by=treasurer))["entries"]
    ]
    assert kinds[-2:] == ["reversal", "refund"]
    acts = await welfare.rows("SELECT action FROM audit_entries WHERE subject_id = $1", UUID(made["id"]))
    assert sorted(row["action"] for row in acts) == [
        "budget.allocated", "budget.created", "budget.reversed", "budget.reversed",
    ]  # fmt: skip


async def test_income_that_is_spent_cannot_be_taken_back(welfare: Welfare, worker_database: Database) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    await reserve(welfare, worker_database, made["id"], 1)
    path = f"/budgets/{made['id']}"
    [income, _] = (await welfare.call("GET", f"{path}/statement", by=treasurer))["entries"]
    await welfare.refused(
        "budget-exhausted",
        409,
        "POST",
        f"{path}/entries/{income['entry_id']}/reversal",
        by=treasurer,
        json={"reason": "x"},
    )


@pytest.mark.parametrize(
    ("moment", "year"),
    [
        # 23:59 on the last day of the year in China, and a minute later.
        (datetime(2027, 12, 31, 15, 59, tzinfo=UTC), 2027),
        (datetime(2027, 12, 31, 16, 0, tzinfo=UTC), 2028),
        # A leap day.
        (datetime(2028, 2, 28, 16, 0, tzinfo=UTC), 2028),
    ],
)
async def test_a_budget_takes_the_days_of_its_own_year_in_china(
    welfare: Welfare, worker_database: Database, moment: datetime, year: int
) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    welfare.clock.set(moment)
    made = await new_budget(welfare, treasurer, unit, year=year)
    await reserve(welfare, worker_database, made["id"], 5)
    other = await new_budget(welfare, treasurer, unit, None, year=year - 1)
    refused = await welfare.refused(
        "budget-of-another-year",
        409,
        "POST",
        f"/budgets/{other['id']}/income",
        by=treasurer,
        json={"amount_fen": 1, "reason": "x"},
        language="en",
    )
    assert str(year - 1) in refused["detail"]
    with pytest.raises(Conflict, match="budget-of-another-year"):
        await reserve(welfare, worker_database, other["id"], 5)


async def test_what_was_reserved_last_year_is_paid_this_year(
    welfare: Welfare, worker_database: Database
) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    welfare.clock.set(datetime(2026, 12, 31, 15, 59, tzinfo=UTC))
    made = await new_budget(welfare, treasurer, unit)
    case = await reserve(welfare, worker_database, made["id"], 10)
    welfare.clock.advance(timedelta(minutes=10))
    async with committed(worker_database, Scope.everything()) as session:
        await use_cases.settle(session, UUID(made["id"]), case, Fen(10), welfare.by("bank"))
    entries = (await welfare.call("GET", f"/budgets/{made['id']}/statement", by=treasurer))["entries"]
    assert [entry["on"] for entry in entries] == ["2026-12-31", "2026-12-31", "2027-01-01"]
