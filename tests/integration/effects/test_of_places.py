"""Posts that end, units that move and units that are dissolved: who may do what in every service."""

from tests.integration.effects import acts
from tests.integration.effects.house import House
from tests.support.membership import ROOT_ADMIN


async def test_with_a_post_its_rights_end_everywhere(house: House) -> None:
    office = await house.office()
    member, _, _ = await house.member(office)
    case = await acts.submitted(house, office, await acts.programme(house, office), member)
    activity = await acts.activity(house, office)
    users = {role: await house.grant(role, office.unit) for role in ("welfare_officer", "organiser")}
    places = {
        "welfare": (f"/cases/{case['id']}", "welfare_officer"),
        "events": (f"/activities/{activity}/registrations", "organiser"),
        "gateway": (f"/members/{member}/timeline", "welfare_officer"),
    }
    for service, (path, role) in places.items():

        async def may(service: str = service, path: str = path, role: str = role) -> bool:
            return await acts.status(house, service, path, users[role][1]) == 200

        await house.seen(f"{service}: allowed", may)
    for post, _ in users.values():
        await house.end(post)
    for service, (path, role) in places.items():

        async def is_gone(service: str = service, path: str = path, role: str = role) -> bool:
            return await acts.status(house, service, path, users[role][1]) in {403, 404}

        await house.seen(f"post ended: rights gone in {service}", is_gone)


async def test_a_moved_unit_takes_all_its_own_along(house: House) -> None:
    before, after = await house.office(), await house.office()
    office = await house.office(before.unit)
    member, _, document = await house.member(office)
    made = await acts.dossier(house, office, document)
    case = await acts.submitted(house, office, await acts.programme(house, office), member)
    activity = await acts.activity(house, office)
    places = {
        "dossier": ("welfare", f"/dossiers/{made['id']}", "welfare_officer"),
        "case": ("welfare", f"/cases/{case['id']}", "welfare_officer"),
        "registrations": ("events", f"/activities/{activity}/registrations", "organiser"),
        "timeline": ("gateway", f"/members/{member}/timeline", "welfare_officer"),
    }
    for service, path, role in places.values():
        assert await acts.status(house, service, path, before[role]) == 200
        assert await acts.status(house, service, path, after[role]) in {403, 404}
    path, body = f"/organisations/{office.unit.id}/move", {"parent_id": str(after.unit.id)}
    await house.call("membership", "POST", path, by=ROOT_ADMIN, version=1, json=body)
    for what, (service, address, role) in places.items():

        async def is_moved(service: str = service, address: str = address, role: str = role) -> bool:
            here = await acts.status(house, service, address, after[role])
            there = await acts.status(house, service, address, before[role])
            return here == 200 and there in {403, 404}

        await house.seen(f"moved: {what} is seen from the new place, no longer from the old", is_moved)


async def test_what_a_dissolved_unit_had_is_handed_over(house: House) -> None:
    upper = await house.office()
    office = await house.office(upper.unit)
    heir = await house.office()
    member, _, _ = await house.member(office)
    case = await acts.submitted(house, office, await acts.programme(house, office), member)
    activity = await acts.activity(house, office)
    await house.transfer(member, office, heir)
    for post in office.posts:
        await house.end(post)
    path, body = f"/organisations/{office.unit.id}/dissolution", {"successor_id": str(heir.unit.id)}
    await house.call("membership", "POST", path, by=ROOT_ADMIN, version=1, json=body)
    places = {
        "case": ("welfare", f"/cases/{case['id']}", "welfare_officer"),
        "registrations": ("events", f"/activities/{activity}/registrations", "organiser"),
    }
    for what, (service, address, role) in places.items():

        async def is_handed_over(service: str = service, address: str = address, role: str = role) -> bool:
            here = await acts.status(house, service, address, heir[role])
            return here == 200 and await acts.status(house, service, address, upper[role]) in {403, 404}

        await house.seen(f"dissolved: {what} in the hands of the successor", is_handed_over)
    shown = await house.call("welfare", "GET", f"/cases/{case['id']}", by=heir["welfare_officer"])
    assert (shown["organisation_id"], shown["flag_reason"]) == (str(heir.unit.id), "member-transferred")
