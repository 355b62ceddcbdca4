"""A unit is dissolved in the middle of paying: who takes over has its batches, its money and its books."""

from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.membership import ORGANISATIONS, SOURCE, OrganisationDissolved
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from tests.integration.welfare.funds.test_budgets import figures, new_budget
from tests.integration.welfare.payouts.office import AMOUNT, Office
from tests.support.welfare import Unit, committed
from welfare_service import effects


async def _dissolved(office: Office, successor: Unit) -> None:
    event = Received(
        topic=ORGANISATIONS.name,
        partition=0,
        offset=0,
        id=new_id(),
        type=OrganisationDissolved.type,
        source=SOURCE,
        subject=office.unit.id,
        sequence=2,
        time=office.welfare.clock.now(),
        data={"successor_id": str(successor.id)},
    )
    async with committed(office.database, Scope.everything()) as session:
        await effects.apply(session, [event])


async def test_who_takes_over_sends_books_and_reads_what_the_dissolved_unit_began(office: Office) -> None:
    welfare, heir = office.welfare, await office.welfare.unit()
    treasurer, other = [await welfare.user("treasurer", heir) for _ in range(2)]
    own = await new_budget(welfare, treasurer, heir, 5)
    begun = await office.prepare(await office.approved())
    sent, [case] = await office.sent()
    await office.result(sent, [[new_id(), "paid", "1.00", ""]])
    for path in (f"/payouts/{begun['id']}", f"/budgets/{office.budget_id}"):
        await welfare.refused("not-found", 404, "GET", path, by=treasurer)

    await _dissolved(office, heir)

    for path in (f"/payouts/{begun['id']}", f"/payouts/{sent['id']}", f"/budgets/{office.budget_id}"):
        assert (await welfare.call("GET", path, by=treasurer))["organisation_id"] == str(heir.id)
        await welfare.refused("not-found", 404, "GET", path, by=office.sender)
    going = {"version": begun["version"] + 1, "json": {"channel": "file"}}
    await welfare.call("POST", f"/payouts/{begun['id']}/sending", by=treasurer, **going)
    lines = await welfare.call("GET", f"/payouts/{sent['id']}/lines", by=treasurer)
    result = await office.result(sent, [[lines["items"][0]["id"], "paid", "", ""]], by=other)
    assert result["paid"] == 1
    assert [await office.settled(case), await office.stage(case)] == [1, "paid"]
    [finding] = (await welfare.call("GET", f"/payouts/{sent['id']}/findings", by=treasurer))["items"]
    resolution = f"/payouts/{sent['id']}/findings/{finding['id']}/resolution"
    await welfare.call("POST", resolution, by=treasurer, json={"resolution": "已与银行核实"})
    statement = await welfare.call("GET", f"/budgets/{office.budget_id}/statement", by=treasurer)
    assert [entry["kind"] for entry in statement["entries"]] == [
        "income", "reservation", "reservation", "payment",
    ]  # fmt: skip
    assert await figures(welfare, treasurer, office.budget_id) == (
        1_000_000, AMOUNT, AMOUNT, 1_000_000 - 2 * AMOUNT,
    )  # fmt: skip
    # Its own budget of the same name, year and source is another one still.
    listed = await welfare.call("GET", "/budgets?year=2026", by=treasurer)
    [unit] = await welfare.rows("SELECT code FROM directory_organisations WHERE id = $1", office.unit.id)
    assert {item["id"]: item["name"] for item in listed["items"]} == {
        own["id"]: "送温暖",
        office.budget_id: f"送温暖 · {unit['code']}",
    }
    for kind, subject in (("payout", sent["id"]), ("budget", office.budget_id)):
        acts = "SELECT FROM audit_entries WHERE action = $1 AND subject_id = $2"
        assert len(await welfare.rows(acts, f"{kind}.handed-over", UUID(subject))) == 1
