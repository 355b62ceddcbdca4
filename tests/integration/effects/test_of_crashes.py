"""A worker that dies in the middle of an effect: done once, by whoever comes after it."""

from uuid import UUID

import pytest

from shared.testing.plugin import CrashPoints
from tests.integration.effects import acts
from tests.integration.effects.house import House, today

POINTS = ["consumer.mid_batch", "consumer.after_database"]


async def _dies(house: House, service: str, crash_points: CrashPoints, point: str) -> None:
    """The consumers of `service` run as a process that dies at a point, which some event must have brought it to."""
    process = await house.dying(service, crash_points.environment(point))
    try:
        assert await process.wait() == crash_points.exit_code
    finally:
        if process.returncode is None:
            process.kill()
        house.workers[service].start()


@pytest.mark.parametrize("point", POINTS)
async def test_welfare_flags_once(house: House, crash_points: CrashPoints, point: str) -> None:
    office = await house.office()
    member, _, document = await house.member(office)
    made = await acts.dossier(house, office, document)
    case = await acts.submitted(house, office, await acts.programme(house, office), member)
    await house.workers["welfare"].end()
    await house.step(member, "death", office["registrar"], on=today())
    await _dies(house, "welfare", crash_points, point)

    async def is_done() -> bool:
        return (await acts.flag(house, case), await acts.reviews(house, made)) == (
            ("member-deceased", 3),
            ["member-deceased"],
        )

    await house.seen(f"died at {point}: flagged", is_done)
    [row] = await house.rows(
        "welfare", "SELECT count(*) AS n FROM case_history WHERE case_id = $1", UUID(case["id"])
    )
    assert row["n"] == 3


@pytest.mark.parametrize("point", POINTS)
async def test_the_events_service_promotes_once(house: House, crash_points: CrashPoints, point: str) -> None:
    office = await house.office()
    activity = await acts.activity(house, office)
    members = [await house.member(office) for _ in range(3)]
    for _, subject, _ in members:
        await acts.registered(house, activity, subject)
    await house.workers["events"].end()
    await house.step(members[0][0], "death", office["registrar"], on=today())
    await _dies(house, "events", crash_points, point)
    wanted = dict(zip((member for member, *_ in members), ("cancelled", "confirmed", "waiting"), strict=True))

    async def is_done() -> bool:
        return await acts.statuses(house, activity) == wanted

    await house.seen(f"died at {point}: promoted", is_done)
    last, _, _ = members[1]
    await house.step(last, "withdrawal", office["registrar"])
    wanted[last], wanted[members[2][0]] = "cancelled", "confirmed"
    await house.seen("and the next", is_done)
