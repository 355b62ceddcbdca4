"""Activities over HTTP: from draft to archive, who may, bad input."""

from datetime import timedelta
from typing import Any

import pytest

from events_service.activities.use_cases import move_on_due
from shared.database.scope import Scope
from shared.security.acting import By
from tests.support.events import Ground

STEPS = ("submission", "approval", "publication", "opening", "closing")


async def test_an_activity_goes_from_draft_to_archive(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "held")
    done = await ground.call("POST", f"/activities/{activity}/archiving", by=organiser, version=7)
    assert done["stage"] == "archived"
    kinds = [kind for kind, _ in await ground.events(activity)]
    assert kinds == ["activity.drafted.v1", *["activity.moved-on.v1"] * 7]
    history = await ground.call("GET", f"/activities/{activity}/history", by=organiser)
    assert [entry["happening"] for entry in history["items"]] == [
        "drafted", "submitted", "approved", "published", "opened", "closed", "held", "archived",
    ]  # fmt: skip


async def test_four_eyes_are_two_persons(ground: Ground) -> None:
    unit = await ground.unit()
    both = await ground.user("organiser", unit)
    await ground.grant(both, "approver", unit)
    editor = await ground.user("organiser", unit)
    await ground.grant(editor, "approver", unit)
    approver = await ground.user("approver", unit)
    made = await ground.call(
        "POST", "/activities", by=both, json=ground.plan() | {"organisation_id": unit}, expect=201
    )
    path = f"/activities/{made['id']}"
    await ground.call("PUT", path, by=editor, version=1, json=ground.plan(capacity=3))
    await ground.call("POST", f"{path}/submission", by=both, version=2)
    for author in (both, editor):
        refused = await ground.call("POST", f"{path}/approval", by=author, version=3, expect=403)
        assert refused["code"] == "activity-own-approval"
    assert (await ground.call("POST", f"{path}/approval", by=approver, version=3))["stage"] == "approved"


async def test_after_the_approval_only_place_text_and_time_change_and_it_is_told(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "approved")
    path = f"/activities/{activity}"
    refused = await ground.call("PUT", path, by=organiser, version=3, json=ground.plan(), expect=409)
    assert refused["code"] == "activity-not-draft"
    await ground.call("PATCH", path, by=organiser, version=3, json={"title": "x"}, expect=422)
    changed = await ground.call("PATCH", path, by=organiser, version=3, json={"place": "体育馆"})
    assert changed["place"] == "体育馆"
    assert changed["changed_at"]
    assert (await ground.events(activity))[-1] == ("activity.changed.v1", 4)
    await ground.call("PATCH", path, by=organiser, version=4, json={"place": "体育馆"}, expect=422)
    await ground.call("PATCH", path, by=organiser, version=3, json={"place": "别处"}, expect=412)


async def test_a_plan_comes_back_with_a_reason_and_waits_on_the_work_list(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "submitted")
    approver = await ground.user("approver", unit)

    async def work(user: str) -> list[tuple[str, str]]:
        found = await ground.call("GET", "/internal/v1/work", by=user)
        return [(item["kind"], item["id"]) for item in found["items"]]

    assert await work(approver) == [("activity.approve", activity)]
    assert await work(organiser) == []
    path = f"/activities/{activity}"
    await ground.call("POST", f"{path}/return", by=approver, version=2, json={"reason": ""}, expect=422)
    back = await ground.call("POST", f"{path}/return", by=approver, version=2, json={"reason": "预算不明"})
    assert back["returned_reason"] == "预算不明"
    assert await work(organiser) == [("activity.revise", activity)]
    assert await work(approver) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"capacity": 0}, "body/capacity"),
        ({"capacity": -1}, "body/capacity"),
        ({"capacity": 1.5}, "body/capacity"),
        ({"capacity": "2"}, "body/capacity"),
        ({"capacity": 10**30}, "body/capacity"),
        ({"sessions": []}, "body/sessions"),
        ({"title": " "}, "body/title"),
        ({"stage": "approved"}, "body/stage"),
        ({"approved_by": "x"}, "body/approved_by"),
        ({"registration_closes_at": "2026-03-16T00:00:00Z"}, "registration_closes_at"),
        ({"registration_closes_at": "2027-03-16T00:00:00Z"}, "registration_closes_at"),
        ({"registration_opens_at": "2026-03-16T00:00:00"}, "body/registration_opens_at"),
        ({"registration_opens_at": "0001-01-01T00:00:00+14:00"}, "body/registration_opens_at"),
        ({"registration_closes_at": "9999-12-31T23:59:59-14:00"}, "body/registration_closes_at"),
        ({"audience": {"min_age": 40, "max_age": 30}}, "audience/max_age"),
        ({"audience": {"min_age": -1}}, "body/audience/min_age"),
        ({"audience": {"genders": ["x"]}}, "body/audience/genders/0"),
    ],
)
async def test_bad_plans_name_the_field(ground: Ground, changes: dict[str, Any], field: str) -> None:
    unit = await ground.unit()
    organiser = await ground.user("organiser", unit)
    body = ground.plan() | {"organisation_id": unit}
    await ground.call("POST", "/activities", by=organiser, json=body, expect=201)
    refused = await ground.call("POST", "/activities", by=organiser, json=body | changes, expect=422)
    assert field in [problem["path"] for problem in refused["problems"]]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_list_ends_where_calendars_do(ground: Ground, moment: str) -> None:
    organiser = await ground.user("organiser", await ground.unit())
    for name in ("starts_from", "starts_to"):
        await ground.call("GET", "/activities", by=organiser, params={name: moment}, expect=422)


async def test_units_of_audience_and_quotas_lie_below_the_organiser(ground: Ground) -> None:
    root = await ground.unit()
    unit, other = await ground.unit(root), await ground.unit(root)
    group = await ground.unit(unit)
    organiser = await ground.user("organiser", unit)
    body = ground.plan() | {"organisation_id": unit}
    for bad in (
        {"audience": {"organisation_id": other}},
        {"quotas": [{"organisation_id": root, "seats": 1}]},
        {"quotas": [{"organisation_id": group, "seats": 3}]},
        {"quotas": [{"organisation_id": group, "seats": 1}] * 2},
    ):
        await ground.call("POST", "/activities", by=organiser, json=body | bad, expect=422)
    good = {"audience": {"organisation_id": group}, "quotas": [{"organisation_id": group, "seats": 2}]}
    await ground.call("POST", "/activities", by=organiser, json=body | good, expect=201)


async def test_rights_end_with_the_subtree(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    activity, _ = await ground.activity(unit, "draft")
    stranger = await ground.user("organiser", sibling)
    reader = await ground.user("registrar", unit)
    above = await ground.user("organiser", root)
    path = f"/activities/{activity}"
    await ground.call("GET", path, by=stranger, expect=404)
    await ground.call("POST", f"{path}/submission", by=stranger, version=1, expect=404)
    await ground.call("GET", path, by=reader)
    await ground.call("POST", f"{path}/submission", by=reader, version=1, expect=403)
    listed = await ground.call("GET", "/activities", by=stranger)
    assert activity not in [item["id"] for item in listed["items"]]
    listed = await ground.call("GET", f"/activities?organisation={unit}&stage=draft", by=above)
    assert [item["id"] for item in listed["items"]] == [activity]
    await ground.call("POST", f"{path}/submission", by=above, version=1)


async def test_lists_are_paged_without_loss(ground: Ground) -> None:
    unit = await ground.unit()
    made = {(await ground.activity(unit, "draft"))[0] for _ in range(5)}
    reader = await ground.user("auditor", unit)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await ground.call("GET", f"/activities?limit=2{cursor}", by=reader)
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == 5
    assert set(seen) == made


async def test_time_opens_closes_and_holds(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "published")

    async def stage_after(days: float) -> str:
        ground.clock.advance(timedelta(days=days))
        moved = 1
        while moved:
            async with ground.worker.write(Scope.everything()) as session:
                moved = await move_on_due(session, By("system", "test", ground.clock.now()), 50)
                await session.flush_events()
                await session.commit()
        found: str = (await ground.call("GET", f"/activities/{activity}", by=organiser))["stage"]
        return found

    assert await stage_after(0.9) == "published"
    assert await stage_after(0.2) == "open"
    assert await stage_after(7) == "closed"
    assert await stage_after(1) == "closed"
    assert await stage_after(2) == "held"


async def test_an_activity_that_nobody_opened_in_time_still_moves_on(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "published")
    ground.clock.advance(timedelta(days=20))
    for _ in range(3):
        async with ground.worker.write(Scope.everything()) as session:
            await move_on_due(session, By("system", "test", ground.clock.now()), 50)
            await session.flush_events()
            await session.commit()
    assert (await ground.call("GET", f"/activities/{activity}", by=organiser))["stage"] == "held"


async def test_members_see_what_is_announced_to_them(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    [member], [neighbour] = await ground.members(unit), await ground.members(sibling)
    mine, _ = await ground.activity(unit)
    upper, _ = await ground.activity(root, audience={"organisation_id": unit})
    draft, _ = await ground.activity(unit, "approved")
    men, _ = await ground.activity(unit, audience={"genders": ["male"]})

    async def seen(one: str) -> set[str]:
        page = await ground.call("GET", "/me/activities", by=f"user-{one}")
        return {item["id"] for item in page["items"]}

    assert await seen(member) == {mine, upper}
    assert await seen(neighbour) == set()
    await ground.call("GET", f"/me/activities/{mine}", by=f"user-{member}")
    for hidden in (draft, men):
        await ground.call("GET", f"/me/activities/{hidden}", by=f"user-{member}", expect=404)
    await ground.call("GET", f"/me/activities/{mine}", by=f"user-{neighbour}", expect=404)
    await ground.call("GET", "/me/activities", by="nobody", expect=404)
    # A member without a post is no reader of the unit's list.
    await ground.call("GET", "/activities", by=f"user-{member}", expect=403)
    await ground.call("GET", f"/activities/{mine}", by=f"user-{member}", expect=404)


async def test_steps_out_of_order_are_refused_in_both_languages(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, "draft")
    for language in ("en", "zh-CN"):
        refused = await ground.call(
            "POST",
            f"/activities/{activity}/publication",
            by=organiser,
            version=1,
            expect=409,
            language=language,
        )
        assert refused["code"] == "activity-stage"
        assert "draft" in refused["detail"]
    await ground.call("POST", f"/activities/{activity}/holding", by=organiser, version=1, expect=409)
