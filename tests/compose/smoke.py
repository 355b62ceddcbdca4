"""The main job through the gateway: a unit with its people, a roster with bad rows, a paid case, an activity, the views."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from shared.testing.waiting import eventually
from tests.compose.installation import ADMINISTRATOR, Composed
from tests.faults.insisting import insist
from tests.faults.office import AMOUNT, BUDGET, Office, opened_office
from tests.support.rosters import HEADINGS, resident_id, row_of, workbook
from tests.support.tokens import ISSUER

GOOD = 3
#: Seconds for a roster to be checked or applied, or for a view to show it.
PATIENCE = 90


async def work(installation: Composed, root: str) -> list[str]:
    """What was done, a line each. Raises AssertionError for what went wrong."""
    async with opened_office(installation.user, ADMINISTRATOR, ISSUER, root) as office:
        return [done async for done in steps(office)]


async def steps(office: Office) -> AsyncIterator[str]:
    """The same at an office that is open already, told step by step."""
    me = await office.ask("registrar", "GET", "/me")
    assert [post["role"] for post in me["posts"]] == ["registrar"], me
    yield "signed in, a unit with two wards, posts, rules, a budget and a programme"
    roster = await _roster(office)
    assert (roster["created"], roster["rejected"]) == (GOOD, 1), roster
    yield f"roster applied: {GOOD} members, 1 row refused"
    member = await office.member()
    yield "a member applied and was approved"
    case = await office.case(member, upto="approved")
    assert case["stage"] == "approved", case
    yield "a case was drafted, submitted and approved"
    await _pay(office, case)
    yield "a payout took the case to the bank as a file; its result was booked, and the case is paid from the budget"
    activity = await office.activity(10)
    place = await office.register(activity, member)
    assert place["activity_id"] == activity["id"], place
    yield "an activity took a registration"
    await eventually(partial(_dashboard_shows, office, GOOD + 1), PATIENCE, every=0.5)
    yield "the dashboard counts all of them"
    for desk, part in {"registrar": "membership", "officer": "cases"}.items():
        await eventually(partial(_overview_shows, office, desk, member["id"], part), PATIENCE, every=0.5)
    yield "the overview shows the member and the case, asked from the owners"
    await eventually(partial(_timeline_shows, office, member["id"]), PATIENCE, every=0.5)
    yield "the timeline tells of the admission, the payment and the registration"


async def _roster(office: Office) -> Any:
    people = [
        row_of(姓名="李强", 证件号码=resident_id(serial, region="980000"), 手机号="")
        for serial in range(1, GOOD + 1)
    ]
    sheet = workbook([HEADINGS, *people, row_of(姓名="无号", 证件号码="12345")])
    handed_in = await office.ask(
        "registrar", "POST", "/rosters",
        files={"file": ("名册.xlsx", sheet)}, data={"organisation_id": office.wards[0], "mode": "add"},
    )  # fmt: skip
    path = f"/rosters/{handed_in['id']}"

    async def reached(state: str) -> Any:
        seen = await office.ask("registrar", "GET", path)
        assert seen["state"] in {"checking", "checked", "applying", "applied"}, seen
        return seen if seen["state"] == state else None

    checked = await eventually(partial(reached, "checked"), PATIENCE, every=0.3)
    await office.ask("registrar", "POST", f"{path}/apply", version=checked["version"], json={})
    return await eventually(partial(reached, "applied"), PATIENCE, every=0.3)


async def pay(office: Office, cases: Sequence[str]) -> Any:
    """Four eyes: one treasurer prepares the batch, another lets it go; the bank answers with a file. The payout."""
    body = {"organisation_id": office.unit, "case_ids": list(cases)}
    payout = await office.ask("treasurer", "POST", "/payouts", json=body)
    path = f"/payouts/{payout['id']}"
    sending = {"version": payout["version"], "json": {"channel": "file"}}
    await office.ask("second treasurer", "POST", f"{path}/sending", **sending)
    # The file holds account numbers, so it is no JSON that `ask` would read.
    file = await insist(office.desks["second treasurer"], "GET", f"{path}/file", patience=office.patience)
    lines = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert [line["amount"] for line in lines] == [f"{AMOUNT / 100:.2f}"] * len(cases), lines
    said = [f"{line['instruction_id']},paid,{line['amount']},\n" for line in lines]
    result = "instruction_id,state,amount,reason\n" + "".join(said)
    files = {"file": ("result.csv", result.encode(), "text/csv")}
    await office.ask("second treasurer", "POST", f"{path}/result", files=files)

    async def are_paid() -> bool:
        shown = [await office.ask("officer", "GET", f"/cases/{one}") for one in cases]
        return all(case["stage"] == "paid" for case in shown)

    await eventually(are_paid, PATIENCE, every=0.5)
    return await office.ask("treasurer", "GET", path)


async def _pay(office: Office, case: Mapping[str, Any]) -> None:
    await pay(office, [case["id"]])
    budget = await office.ask("treasurer", "GET", f"/budgets/{office.budget}")
    assert (budget["paid_fen"], budget["reserved_fen"]) == (AMOUNT, 0), budget
    assert budget["allocated_fen"] == BUDGET, budget


async def _dashboard_shows(office: Office, members: int) -> bool:
    path = f"/organisations/{office.unit}/dashboard"
    shown = await office.ask("registrar", "GET", path, params={"days": 1}, once_known=True)
    return bool(shown["members"] == members)


async def _overview_shows(office: Office, desk: str, member: str, part: str) -> bool:
    overview = await office.ask(desk, "GET", f"/members/{member}/overview", once_known=True)
    codes = {missing["code"] for missing in overview["missing"]}
    # A busy machine may be late once; then what is missing is what this desk may not see.
    assert codes <= {"part-not-allowed", "owner-slow"}, overview
    return bool(overview["parts"][part]) and "owner-slow" not in codes


async def _timeline_shows(office: Office, member: str) -> bool:
    told = set()
    for desk in ("officer", "organiser"):
        shown = await office.ask(desk, "GET", f"/members/{member}/timeline", once_known=True)
        told |= {entry["type"].rsplit(".", 2)[-2] for entry in shown["items"]}
    return {"admitted", "paid", "registered"} <= told
