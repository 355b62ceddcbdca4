"""What happens to a member, read in membership's topics by welfare, the events service and the gateway: each effect once."""

from typing import Any
from uuid import UUID

from shared.contracts.membership import MEMBERS
from tests.integration.effects import acts
from tests.integration.effects.house import House
from tests.support.aid import application


async def test_who_leaves_gives_up_the_seat_and_somebody_looks_at_dossier_and_case(house: House) -> None:
    office = await house.office()
    leaver, subject, document = await house.member(office)
    waiting, other, _ = await house.member(office)
    made = await acts.dossier(house, office, document)
    case = await acts.submitted(house, office, await acts.programme(house, office), leaver)
    activity = await acts.activity(house, office)
    await acts.registered(house, activity, subject)
    assert (await acts.registered(house, activity, other))["status"] == "waiting"
    await house.step(leaver, "withdrawal", office["registrar"])
    wanted = {leaver: "cancelled", waiting: "confirmed"}

    async def has_moved() -> bool:
        return await acts.statuses(house, activity) == wanted

    async def is_flagged() -> bool:
        return await acts.flag(house, case) == ("member-withdrawn", 3)

    async def is_to_be_reviewed() -> bool:
        return await acts.reviews(house, made) == ["member-withdrawn"]

    await house.seen("left: seat given up, waiting member promoted", has_moved)
    await house.seen("left: case flagged", is_flagged)
    await house.seen("left: dossier to be reviewed", is_to_be_reviewed)
    # Applied, admitted, linked to the account, withdrawn; then all of it again.
    assert await house.send_again(MEMBERS, leaver) == 4
    last, _, last_document = await house.member(office)
    marker = await acts.dossier(house, office, last_document)
    await house.step(last, "withdrawal", office["registrar"])

    async def is_through() -> bool:
        return await acts.reviews(house, marker) == ["member-withdrawn"]

    await house.seen("the next one after that", is_through)
    assert (await has_moved(), await is_flagged(), await is_to_be_reviewed()) == (True, True, True)
    told = """
        SELECT count(*) AS n FROM registration_history
        WHERE registration_id IN (SELECT id FROM registrations WHERE activity_id = $1)
    """
    [row] = await house.rows("events", told, UUID(activity))
    assert row["n"] == 4


async def test_a_transfer_changes_who_sees_what_everywhere(house: House) -> None:
    old, new = await house.office(), await house.office()
    member, subject, document = await house.member(old)
    made = await acts.dossier(house, old, document)
    case = await acts.submitted(house, old, await acts.programme(house, old), member)
    dossier, timeline = f"/dossiers/{made['id']}", f"/members/{member}/timeline"
    assert await acts.status(house, "welfare", dossier, new["welfare_officer"]) == 404
    await house.transfer(member, old, new)

    async def is_followed() -> bool:
        return await acts.status(house, "welfare", dossier, new["welfare_officer"]) == 200

    async def is_told() -> bool:
        return await acts.status(house, "gateway", timeline, new["welfare_officer"]) == 200

    async def is_flagged() -> bool:
        return await acts.flag(house, case) == ("member-transferred", 3)

    await house.seen("transferred: the new unit has the dossier", is_followed)
    await house.seen("transferred: the new unit reads the timeline", is_told)
    await house.seen("transferred: the case of the old unit is flagged", is_flagged)
    assert await acts.status(house, "welfare", dossier, old["welfare_officer"]) == 404
    assert await acts.status(house, "gateway", timeline, old["welfare_officer"]) in {403, 404}
    assert await acts.status(house, "welfare", f"/cases/{case['id']}", old["welfare_officer"]) == 200
    assert await acts.status(house, "welfare", f"/cases/{case['id']}", new["welfare_officer"]) == 404
    await house.replicated("directory_members", id=member, organisation_id=new.unit.id)
    activity = await acts.activity(house, new)
    assert (await acts.registered(house, activity, subject))["status"] == "confirmed"


async def test_aid_is_income_and_aid_class_and_attendance_are_in_the_timeline(house: House) -> None:
    office = await house.office()
    member, subject, document = await house.member(office)
    made = await acts.dossier(house, office, document)
    await acts.classified(house, office, made)
    of, path = await acts.programme(house, office), f"/dossiers/{made['id']}/assessment"
    for fen in (300_000, 200_000):
        case = await acts.submitted(house, office, of, member, requested_fen=fen)
        await acts.paid(house, office, case)
    # By the rules that an installation begins with, aid is income of the household unless it is a small gift.
    assessed = await house.call("welfare", "GET", path, by=office["welfare_officer"])
    counted = {line["code"]: line["amount_fen"] for line in assessed["lines"]}
    assert (counted["aid"], counted["aid-not-counted"], counted["total-income"]) == (
        300_000,
        200_000,
        300_000,
    )
    activity = await acts.activity(house, office)
    await acts.registered(house, activity, subject)
    body = {"member_id": str(member)}
    await house.call("events", "POST", f"/activities/{activity}/check-ins", by=office["organiser"], json=body)
    wanted = {"dossier.classified.v1", "case.paid.v1", "registration.attended.v1", "member.admitted.v1"}

    async def types(by: str) -> set[str]:
        found: Any = await house.call(
            "gateway", "GET", f"/members/{member}/timeline", by=by, params={"limit": 200}
        )
        assert found["as_of"]
        return {entry["type"].split(".", 2)[2] for entry in found["items"]}

    async def tells_all() -> bool:
        return wanted <= await types(office["welfare_officer"]) | await types(office["organiser"])

    await house.seen("aid, class and attendance in the timeline", tells_all)
    # Hardship is for few, and who goes where for those who arrange it.
    aid, attended = {"dossier.classified.v1", "case.paid.v1"}, "registration.attended.v1"
    assert not (aid | {attended}) & await types(office["registrar"])
    assert aid <= (of_welfare := await types(office["welfare_officer"]))
    assert attended not in of_welfare
    assert attended in await types(office["organiser"])


async def test_a_replica_that_is_behind_says_so_and_decides_nothing(house: House) -> None:
    office = await house.office()
    member, _, _ = await house.member(office)
    of = await acts.programme(house, office)
    activity = await acts.activity(house, office)
    for service in ("welfare", "events"):
        await house.workers[service].end()
    changed = await house.call(
        "membership", "PATCH", f"/members/{member}", by=office["registrar"], version=3,
        json={"phone": "13900007777"},
    )  # fmt: skip
    seen = {"member_id": str(member), "member_sequence": changed["version"]}
    commands = {
        "welfare": ("/cases", office["welfare_officer"], application(of, **seen)),
        "events": (f"/activities/{activity}/registrations", office["organiser"], seen),
    }
    for service, (path, by, body) in commands.items():
        refused = await house.send(service, "POST", path, by=by, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "stale-replica"), refused.text
        assert int(refused.headers["retry-after"]) >= 1
    for service in ("welfare", "events"):
        house.workers[service].start()
    for service, (path, by, body) in commands.items():

        async def is_taken(service: str = service, path: str = path, by: str = by, body: Any = body) -> bool:
            return (await house.send(service, "POST", path, by=by, json=body)).status_code == 201

        await house.seen(f"{service} caught up", is_taken)
