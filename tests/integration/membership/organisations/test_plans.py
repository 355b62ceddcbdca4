"""Moves and dissolutions decided for a later day, and races in the tree."""

import asyncio
from datetime import timedelta

from membership_service.organisations.use_cases import carry_out_next_plan
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.security.acting import SYSTEM, By
from tests.support.membership import Federation


async def carry_out_due(federation: Federation) -> int:
    """What the periodic job does, with the worker's role; how many plans were due."""
    database = Database(federation.urls.worker, pool_size=1, application_name="test-plans")
    done = 0
    try:
        while True:
            async with database.write(Scope.everything()) as session:
                if not await carry_out_next_plan(session, By(SYSTEM, "plans", federation.clock.now())):
                    return done
                await session.flush_events()
                await session.commit()
                done += 1
    finally:
        await database.close()


async def test_a_move_for_a_later_day_happens_on_that_day(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    joint = await federation.unit(old["id"], kind="joint")
    path = f"/organisations/{joint['id']}"
    planned = await federation.call(
        "POST", f"{path}/move", version=1, json={"parent_id": new["id"], "on": "2026-03-18"}
    )
    assert planned["plan"]["state"] == "planned"
    assert planned["organisation"]["parent_id"] == old["id"]
    assert await federation.events(joint["id"]) == [("organisation.created.v1", 1)]
    again = await federation.call(
        "POST", f"{path}/move", version=1, expect=409, json={"parent_id": new["id"], "on": "2026-03-19"}
    )
    assert again["code"] == "organisation-already-planned"
    federation.clock.advance(timedelta(days=1))
    assert await carry_out_due(federation) == 0
    federation.clock.advance(timedelta(days=1))
    assert await carry_out_due(federation) == 1
    moved = await federation.call("GET", path)
    assert (moved["parent_id"], moved["parent_since"], moved["version"]) == (new["id"], "2026-03-18", 2)
    assert (await federation.events(joint["id"]))[-1] == ("organisation.moved.v1", 2)
    assert [plan["state"] for plan in await federation.call("GET", f"{path}/plans")] == ["done"]


async def test_a_plan_that_the_rules_no_longer_allow_says_why_and_blocks_nobody(
    federation: Federation,
) -> None:
    county, successor = await federation.unit(), await federation.unit()
    other = await federation.unit()
    for unit in (county, other):
        await federation.call(
            "POST",
            f"/organisations/{unit['id']}/dissolution",
            version=1,
            json={"successor_id": successor["id"], "on": "2026-03-17"},
        )
    await federation.unit(county["id"], kind="joint")
    federation.clock.advance(timedelta(days=1))
    assert await carry_out_due(federation) == 2
    plans = await federation.call("GET", f"/organisations/{county['id']}/plans")
    assert [(plan["state"], plan["refusal"]) for plan in plans] == [("refused", "organisation-not-empty")]
    assert (await federation.call("GET", f"/organisations/{county['id']}"))["dissolved_on"] is None
    assert (await federation.call("GET", f"/organisations/{other['id']}"))["dissolved_on"] == "2026-03-17"


async def test_a_plan_is_cancelled_once(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    path = f"/organisations/{old['id']}"
    body = {"parent_id": new["id"], "on": "2026-03-17"}
    plan = (await federation.call("POST", f"{path}/move", version=1, json=body))["plan"]
    assert (await federation.call("DELETE", f"{path}/plans/{plan['id']}"))["state"] == "cancelled"
    await federation.call("DELETE", f"{path}/plans/{plan['id']}", expect=409)
    federation.clock.advance(timedelta(days=2))
    assert await carry_out_due(federation) == 0


async def test_two_moves_at_once_never_close_a_circle(federation: Federation) -> None:
    for _ in range(5):
        one, two = await federation.unit(), await federation.unit()
        replies = await asyncio.gather(
            *(
                federation.client.post(
                    f"/api/v1/organisations/{unit['id']}/move",
                    json={"parent_id": parent["id"]},
                    headers=federation.issuer.headers("root-administrator")
                    | {"If-Match": '"1"', "Idempotency-Key": f"move-{unit['id']}"},
                )
                for unit, parent in ((one, two), (two, one))
            )
        )
        assert sorted(reply.status_code for reply in replies) == [200, 409]
        refused = next(reply.json() for reply in replies if reply.status_code == 409)
        assert refused["code"] == "organisation-cycle"


async def test_units_founded_while_their_parent_moves_stand_below_it(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    joint = await federation.unit(old["id"], kind="joint")
    branches = [federation.unit(joint["id"], kind="branch") for _ in range(12)]
    move = federation.call(
        "POST", f"/organisations/{joint['id']}/move", version=1, json={"parent_id": new["id"]}
    )
    *founded, _ = await asyncio.gather(*branches[:6], *branches[6:], move)
    below = await federation.call("GET", f"/organisations/{joint['id']}/subtree")
    assert {unit["id"] for unit in below["items"]} == {joint["id"], *(unit["id"] for unit in founded)}
    parent = await federation.rows("SELECT path FROM organisations WHERE id = $1", joint["id"])
    astray = await federation.rows(
        "SELECT id FROM organisations WHERE parent_id = $1 AND NOT path ^@ $2", joint["id"], parent[0]["path"]
    )
    assert astray == []
