"""What leaving members and dissolved units do to activities: once, whatever comes twice, late or in another order."""

from datetime import timedelta
from itertools import pairwise
from uuid import UUID

from tests.support.events import Ground


async def test_who_leaves_gives_up_the_place_and_the_next_moves_up_once(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=1)
    one, two, three = await ground.members(unit, 3)
    places = [await ground.register(activity, member) for member in (one, two, three)]
    ground.clock.advance(timedelta(minutes=1))
    left = ground.member_event(one, unit, "withdrawn", status="withdrawn", left_on="2026-03-16")
    assert await ground.take_effect(left) == 1
    assert await ground.take_effect(left, left) == 0
    assert await ground.statuses(activity) == [(1, "cancelled"), (2, "confirmed"), (3, "waiting")]
    assert [kind for kind, _ in await ground.events(places[0]["id"])] == [
        "registration.registered.v1",
        "registration.cancelled.v1",
    ]
    assert (await ground.events(places[1]["id"]))[-1] == ("registration.promoted.v1", 2)
    # The replica knows by the same transaction.
    assert (await ground.register(activity, one, expect=403))["code"] == "registration-out-of-audience"


async def test_the_first_two_leave_at_once_and_two_others_move_up(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=2)
    members = await ground.members(unit, 5)
    for member in members:
        await ground.register(activity, member)
    ground.clock.advance(timedelta(minutes=1))
    await ground.take_effect(
        ground.member_event(members[0], unit, "withdrawn", status="withdrawn"),
        ground.member_event(members[2], unit, "deceased", status="deceased"),
        ground.member_event(members[3], unit, "changed", employment_form="flexible"),
    )
    assert [status for _, status in await ground.statuses(activity)] == [
        "cancelled", "confirmed", "cancelled", "confirmed", "waiting",
    ]  # fmt: skip


async def test_late_news_of_leaving_spares_what_came_after_the_return(ground: Ground) -> None:
    unit = await ground.unit()
    before, _ = await ground.activity(unit)
    after, _ = await ground.activity(unit)
    [member] = await ground.members(unit)
    await ground.register(before, member)
    ground.clock.advance(timedelta(minutes=1))
    left = ground.member_event(member, unit, "withdrawn", status="withdrawn")
    ground.clock.advance(timedelta(minutes=1))
    back = ground.member_event(member, unit, "admitted")
    # The return is heard of first.
    await ground.apply(back)
    await ground.register(after, member)
    await ground.take_effect(left)
    await ground.take_effect(back)
    assert await ground.statuses(before) == [(1, "cancelled")]
    assert await ground.statuses(after) == [(1, "confirmed")]


async def test_what_has_begun_and_what_a_transfer_leaves_behind_stands(ground: Ground) -> None:
    root = await ground.unit()
    unit, other = await ground.unit(root), await ground.unit(root)
    begun, _ = await ground.activity(unit)
    coming, _ = await ground.activity(unit)
    one, two = await ground.members(unit, 2)
    await ground.register(begun, one)
    await ground.register(coming, two)
    await ground.take_effect(ground.member_event(two, other, "transferred", previous_organisation_id=unit))
    assert await ground.statuses(coming) == [(1, "confirmed")]
    ground.clock.advance(timedelta(days=10, seconds=1))
    await ground.take_effect(ground.member_event(one, unit, "withdrawn", status="withdrawn"))
    assert await ground.statuses(begun) == [(1, "confirmed")]


async def test_a_dissolved_unit_hands_its_activities_over(ground: Ground) -> None:
    root = await ground.unit()
    unit, heir = await ground.unit(root), await ground.unit(root)
    activity, organiser = await ground.activity(unit)
    [member] = await ground.members(unit)
    place = await ground.register(activity, member)
    new_organiser = await ground.user("organiser", heir)
    await ground.call("GET", f"/activities/{activity}", by=new_organiser, expect=404)
    gone = ground.organisation_event(unit, root, "dissolved", dissolved_on="2026-03-16", successor_id=heir)
    assert await ground.take_effect(gone) == 1
    assert await ground.take_effect(gone) == 0
    found = await ground.call("GET", f"/activities/{activity}", by=new_organiser)
    assert (found["organisation_id"], found["audience"]["organisation_id"]) == (heir, heir)
    assert (await ground.events(activity))[-1] == ("activity.handed-over.v1", 6)
    assert (await ground.events(place["id"]))[-1] == ("registration.handed-over.v1", 2)
    listed = await ground.call("GET", f"/activities/{activity}/registrations", by=new_organiser)
    assert [item["id"] for item in listed["items"]] == [place["id"]]
    body = ground.plan() | {"organisation_id": unit}
    await ground.call("POST", "/activities", by=organiser, json=body, expect=404)


async def test_the_heir_of_an_heir_has_it_in_whichever_order_they_ended(ground: Ground) -> None:
    root = await ground.unit()
    units = [await ground.unit(root) for _ in range(3)]
    activity, _ = await ground.activity(units[0], "draft")
    first, second = (
        ground.organisation_event(unit, root, "dissolved", dissolved_on="2026-03-16", successor_id=heir)
        for unit, heir in pairwise(units)
    )
    await ground.take_effect(second)
    await ground.take_effect(first)
    [row] = await ground.rows("SELECT organisation_id, path FROM activities WHERE id = $1", UUID(activity))
    assert str(row["organisation_id"]) == units[2]
    [unit] = await ground.rows("SELECT path FROM directory_organisations WHERE id = $1", UUID(units[2]))
    assert row["path"] == unit["path"]


async def test_a_moved_unit_takes_activities_seats_and_places_along(ground: Ground) -> None:
    root = await ground.unit()
    old, new = await ground.unit(root), await ground.unit(root)
    unit = await ground.unit(old)
    activity, _ = await ground.activity(unit)
    one, two = await ground.members(unit, 2)
    await ground.register(activity, one)
    was, will = await ground.user("organiser", old), await ground.user("organiser", new)
    await ground.call("GET", f"/activities/{activity}", by=was)
    await ground.apply(ground.organisation_event(unit, new, "moved", previous_parent_id=old))
    await ground.call("GET", f"/activities/{activity}", by=was, expect=404)
    listed = await ground.call("GET", f"/activities/{activity}/registrations", by=will)
    assert len(listed["items"]) == 1
    await ground.register(activity, two)
    paths = await ground.rows(
        """
        SELECT path FROM activities WHERE id = $1 UNION SELECT path FROM activity_seats WHERE activity_id = $1
        UNION SELECT path FROM registrations WHERE activity_id = $1
        """,
        UUID(activity),
    )
    assert len(paths) == 1
