"""Giving up places: seats move on at once, exactly, also when many do it together."""

import asyncio
from datetime import timedelta
from uuid import UUID

from events_service.registrations.use_cases import cancel_some
from shared.database.scope import Scope
from shared.security.acting import By
from tests.support.events import Ground


async def test_a_seat_given_up_goes_to_the_first_who_waits(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=1)
    one, two, three = await ground.members(unit, 3)
    places = [await ground.register(activity, member) for member in (one, two, three)]
    waiting = await ground.call("GET", f"/registrations/{places[2]['id']}", by=f"user-{three}")
    assert (waiting["status"], waiting["ahead"]) == ("waiting", 1)
    path = f"/registrations/{places[0]['id']}/cancellation"
    gone = await ground.call("POST", path, by=f"user-{one}", version=1, json={})
    assert gone["status"] == "cancelled"
    assert await ground.statuses(activity) == [(1, "cancelled"), (2, "confirmed"), (3, "waiting")]
    assert await ground.events(places[1]["id"]) == [
        ("registration.registered.v1", 1),
        ("registration.promoted.v1", 2),
    ]
    refused = await ground.call("POST", path, by=f"user-{one}", version=2, json={}, expect=409)
    assert refused["code"] == "registration-cancelled"
    # Who comes back stands at the end.
    assert (await ground.register(activity, one))["status"] == "waiting"
    own = await ground.call("GET", "/me/registrations", by=f"user-{one}")
    assert [item["status"] for item in own["items"]] == ["waiting", "cancelled"]
    # Leaving the waiting list moves nobody.
    place = await ground.call("GET", f"/registrations/{places[2]['id']}", by=organiser)
    assert place["ahead"] == 0
    path = f"/registrations/{places[2]['id']}/cancellation"
    await ground.call("POST", path, by=organiser, version=1, json={"reason": "电话告知"})
    assert [status for _, status in await ground.statuses(activity)] == [
        "cancelled", "confirmed", "cancelled", "waiting",
    ]  # fmt: skip


async def test_only_the_own_place_or_one_in_charge(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    activity, _ = await ground.activity(unit)
    one, other = await ground.members(unit, 2)
    place = await ground.register(activity, one)
    path = f"/registrations/{place['id']}"
    stranger, auditor = await ground.user("organiser", sibling), await ground.user("auditor", unit)
    for user in (f"user-{other}", stranger, "nobody"):
        await ground.call("GET", path, by=user, expect=404)
        await ground.call("POST", f"{path}/cancellation", by=user, version=1, json={}, expect=404)
    await ground.call("GET", path, by=auditor)
    await ground.call("POST", f"{path}/cancellation", by=auditor, version=1, json={}, expect=403)
    listing = f"/activities/{activity}/registrations"
    await ground.call("GET", listing, by=stranger, expect=404)
    await ground.call("GET", listing, by=f"user-{one}", expect=404)
    await ground.call("GET", listing, by=await ground.user("registrar", unit), expect=403)
    listed = await ground.call("GET", f"{listing}?status=confirmed", by=auditor)
    assert [item["id"] for item in listed["items"]] == [place["id"]]
    await ground.call("POST", f"{path}/cancellation", by=f"user-{one}", version=1, json={})


async def test_once_it_has_begun_a_place_stands(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit)
    [member] = await ground.members(unit)
    place = await ground.register(activity, member)
    path = f"/registrations/{place['id']}/cancellation"
    await ground.call("POST", path, by=f"user-{member}", version=2, json={}, expect=412)
    await ground.call("POST", path, by=f"user-{member}", json={}, expect=428)
    ground.clock.advance(timedelta(days=10, seconds=1))
    refused = await ground.call("POST", path, by=f"user-{member}", version=1, json={}, expect=409)
    assert refused["code"] == "registration-settled"


async def test_giving_up_and_asking_at_once_never_oversells(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=10)
    early, late = await ground.members(unit, 20), await ground.members(unit, 30)
    places = [await ground.register(activity, member) for member in early]

    async def give_up(member: str, place: str) -> None:
        """Again with the version it has by then."""
        for _ in range(5):
            now = await ground.call("GET", f"/registrations/{place}", by=f"user-{member}")
            headers = ground.issuer.headers(f"user-{member}") | {"If-Match": f'"{now["version"]}"'}
            reply = await ground.client.post(
                f"/api/v1/registrations/{place}/cancellation", headers=headers, json={}
            )
            if reply.status_code == 200:
                return
            assert reply.status_code == 412, reply.text
        raise AssertionError(place)

    await asyncio.gather(
        *(give_up(member, place["id"]) for member, place in zip(early, places, strict=True)),
        *(ground.register(activity, member) for member in late),
    )
    statuses = [status for _, status in await ground.statuses(activity)]
    assert statuses.count("confirmed") == 10
    assert statuses.count("waiting") == 20
    order = [status for _, status in await ground.statuses(activity) if status != "cancelled"]
    assert order == ["confirmed"] * 10 + ["waiting"] * 20


async def test_an_activity_called_off_takes_back_all_places(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=2)
    members = await ground.members(unit, 5)
    places = [await ground.register(activity, member) for member in members]
    await ground.call(
        "POST", f"/activities/{activity}/cancellation", by=organiser, version=5, json={}, expect=422
    )
    body = {"reason": "暴雨"}
    done = await ground.call(
        "POST", f"/activities/{activity}/cancellation", by=organiser, version=5, json=body
    )
    assert done["stage"] == "cancelled"
    [job] = await ground.rows("SELECT kind FROM jobs WHERE payload->>'activity_id' = $1", activity)
    assert job["kind"] == "registrations.cancel"
    ended: list[int] = []
    while not ended or ended[-1]:
        async with ground.worker.write(Scope.everything()) as session:
            by = By("system", "test", ground.clock.now())
            ended.append(await cancel_some(session, UUID(activity), "activity-cancelled", by, 2))
            await session.commit()
    assert ended == [2, 2, 1, 0]
    assert {status for _, status in await ground.statuses(activity)} == {"cancelled"}
    for place in places:
        assert [kind for kind, _ in await ground.events(place["id"])] == [
            "registration.registered.v1",
            "registration.cancelled.v1",
        ]
    [late] = await ground.members(unit)
    await ground.register(activity, late, expect=404)


async def test_the_registrations_of_a_member_are_for_those_in_charge_of_the_activities(
    ground: Ground,
) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    mine, organiser = await ground.activity(unit)
    [one] = await ground.members(unit, 1)
    place = await ground.register(mine, one)
    found = await ground.call("GET", "/registrations", by=organiser, params={"member": str(one)})
    assert [item["id"] for item in found["items"]] == [place["id"]]
    _, foreign = await ground.activity(sibling)
    elsewhere = await ground.call("GET", "/registrations", by=foreign, params={"member": str(one)})
    assert elsewhere["items"] == []
    await ground.call("GET", "/registrations", by=f"user-{one}", params={"member": str(one)}, expect=403)
    await ground.call("GET", "/registrations", by=organiser, expect=422)
