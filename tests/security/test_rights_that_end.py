"""S4: a post ended, a unit moved, a member moved, the token still good: it takes effect everywhere with the next facts."""

from tests.security import stage as stages
from tests.security.stage import Stage
from tests.security.world import SERVICES
from tests.support.membership import ROOT_ADMIN

READS = {
    "membership": "/members?organisation={unit}",
    "welfare": "/budgets?year=2026&organisation={unit}",
    "events": "/activities?organisation={unit}",
    "gateway": "/organisations/{unit}/dashboard",
}


async def statuses(stage: Stage, by: str, unit: str) -> dict[str, int]:
    """What the user is answered by each service."""
    return {
        service: (await stage.world.send(service, "GET", path.format(unit=unit), by=by)).status_code
        for service, path in READS.items()
    }


async def test_an_ended_post_is_worth_nothing_in_any_service(stage: Stage) -> None:
    world = stage.world
    subject = await world.user("auditor", stage.own)
    await world.pump()
    assert await statuses(stage, subject, stage.own) == dict.fromkeys(SERVICES, 200)
    posts = await world.call("membership", "GET", f"/posts?organisation={stage.own}&limit=200", by=ROOT_ADMIN)
    [post] = [one for one in posts["items"] if one["subject"] == subject]
    path = f"/posts/{post['id']}/end"
    ends = {"ends_on": world.clock.now().date().isoformat()}
    await world.call("membership", "POST", path, by=ROOT_ADMIN, version=post["version"], json=ends)
    world.later(days=1)
    await world.pump()
    after = await statuses(stage, subject, stage.own)
    assert set(after.values()) <= {403, 404}, after
    twin = await world.user("auditor", stage.own)
    await world.pump()
    assert await statuses(stage, twin, stage.own) == dict.fromkeys(SERVICES, 200)


async def test_what_belongs_to_a_moved_unit_is_seen_from_its_new_place_alone(stage: Stage) -> None:
    world = stage.world
    unit = await world.unit("moving", stage.own)
    organiser, treasurer = await world.user("organiser", unit), await world.user("treasurer", unit)
    old = [await world.user(role, stage.own) for role in ("registrar", "treasurer", "organiser", "auditor")]
    new = [
        await world.user(role, world.units["other"])
        for role in ("registrar", "treasurer", "organiser", "auditor")
    ]
    await world.pump()
    body = stages.plan(stage) | {"organisation_id": unit}
    activity = await world.call("events", "POST", "/activities", by=organiser, json=body, expect=201)
    body = stages.budget(stage, "搬家") | {"organisation_id": unit}
    budget = await world.call("welfare", "POST", "/budgets", by=treasurer, json=body, expect=201)
    things = [
        ("membership", f"/organisations/{unit}", 0),
        ("welfare", f"/budgets/{budget['id']}", 1),
        ("events", f"/activities/{activity['id']}", 2),
        ("gateway", f"/organisations/{unit}/dashboard", 3),
    ]

    async def seen(users: list[str]) -> list[int]:
        return [
            (await world.send(service, "GET", path, by=users[who])).status_code
            for service, path, who in things
        ]

    assert (await seen(old), await seen(new)) == ([200] * 4, [404] * 4)
    version = (await world.call("membership", "GET", f"/organisations/{unit}", by=ROOT_ADMIN))["version"]
    move = {"parent_id": world.units["other"]}
    await world.call(
        "membership", "POST", f"/organisations/{unit}/move", by=ROOT_ADMIN, version=version, json=move
    )
    await world.pump()
    assert (await seen(old), await seen(new)) == ([404] * 4, [200] * 4)


async def test_a_member_who_moved_is_out_of_sight_of_the_old_unit(stage: Stage) -> None:
    world = stage.world
    member = await stages.admitted(stage, 352)
    old, new = await world.user("registrar", stage.own), await world.user("registrar", world.units["sibling"])
    old_organiser = await world.user("organiser", stage.own)
    await world.pump()
    reads = (("membership", f"/members/{member}"), ("gateway", f"/members/{member}/timeline"))

    async def seen(by: str) -> list[int]:
        return [(await world.send(service, "GET", path, by=by)).status_code for service, path in reads]

    assert (await seen(old), await seen(new)) == ([200, 200], [404, 404])
    body = {"to_organisation_id": world.units["sibling"], "reason": "调动"}
    made = await world.call(
        "membership", "POST", f"/members/{member}/transfers", by=old, json=body, expect=201
    )
    path = f"/transfers/{made['id']}/acceptance"
    await world.call("membership", "POST", path, by=new, version=made["version"])
    await world.pump()
    assert (await seen(old), await seen(new)) == ([404, 404], [200, 200])
    registration = {"member_id": member}
    path = f"/activities/{stage.ids['activity_id']}/registrations"
    reply = await world.send("events", "POST", path, by=old_organiser, json=registration)
    assert reply.json()["code"] == "registration-out-of-audience"


async def test_old_facts_about_posts_pay_and_approve_nothing(stage: Stage) -> None:
    """A replica that was not told anything for a minute allows no sensitive step; the rest goes on."""
    world = stage.world
    treasurer = stage.actors["treasurer"]
    path = f"/budgets/{stage.ids['budget_id']}"
    body = {"amount_fen": 1, "reason": "捐款"}
    feed = "UPDATE consumer_freshness SET as_of = $1 WHERE consumer = 'welfare.directory' RETURNING as_of"
    [kept] = await world.rows(
        "welfare", "SELECT as_of FROM consumer_freshness WHERE consumer = 'welfare.directory'"
    )
    old = world.clock.now()
    world.later(seconds=61)
    await world.rows("welfare", feed, old)
    try:
        refused = await world.call("welfare", "POST", f"{path}/income", by=treasurer, json=body, expect=503)
        assert refused["code"] == "posts-stale"
        await world.call("welfare", "GET", path, by=treasurer)
    finally:
        await world.rows("welfare", feed, kept["as_of"])
    world.later()
    await world.call("welfare", "POST", f"{path}/income", by=treasurer, json=body, expect=201)
