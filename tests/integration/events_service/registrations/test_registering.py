"""Registering over HTTP: exact, in order, for those it is meant for, once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from events_service.activities import repository
from events_service.activities.plan import Candidate
from shared.contracts.membership import Role
from shared.database.scope import Scope
from shared.web.hot import HotChoice
from tests.support.events import Ground


async def test_two_hundred_for_the_last_seat(ground: Ground) -> None:
    """F10: one is confirmed, the others wait in the order of their commits."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=2)
    first, *crowd = await ground.members(unit, 201)
    assert (await ground.register(activity, first))["status"] == "confirmed"
    replies = await asyncio.gather(*(ground.register(activity, member) for member in crowd))
    assert sorted(reply["status"] for reply in replies) == ["confirmed", *["waiting"] * 199]
    statuses = await ground.statuses(activity)
    assert statuses == [(1, "confirmed"), (2, "confirmed"), *((place, "waiting") for place in range(3, 202))]
    # Order: the position is the order of commits, which the outbox shows.
    rows = await ground.rows(
        "SELECT r.position FROM registrations r JOIN outbox o ON o.key = r.id WHERE r.activity_id = $1 ORDER BY o.id",
        UUID(activity),
    )
    assert [row["position"] for row in rows] == list(range(1, 202))
    said = {reply["id"]: reply["status"] for reply in replies}
    stored = await ground.rows(
        "SELECT id::text, status FROM registrations WHERE activity_id = $1", UUID(activity)
    )
    assert said.items() <= {row["id"]: row["status"] for row in stored}.items()


async def test_a_repetition_gives_the_first_reply_and_no_second_place(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=1)
    one, other = await ground.members(unit, 2)
    first = await ground.register(activity, one, key="a-key-of-mine")
    assert await ground.register(activity, one, key="a-key-of-mine") == first
    # Another user's key is another key.
    assert (await ground.register(activity, other, key="a-key-of-mine"))["status"] == "waiting"
    path = f"/activities/{activity}/registrations"
    body = {"member_id": one}
    await ground.call("POST", path, by=f"user-{one}", json=body, key="a-key-of-mine", expect=403)
    assert len(await ground.statuses(activity)) == 2
    assert await ground.events(first["id"]) == [("registration.registered.v1", 1)]


@pytest.mark.parametrize("by_organiser", [False, True])
async def test_what_was_in_the_way_a_moment_ago_is_no_refusal(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, *, by_organiser: bool
) -> None:
    """The member is heard of between the statement that found nobody and the look for the reason."""
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=1)
    [member] = await ground.members(unit)
    asked = []
    real = HotChoice.run

    async def late(self: HotChoice, database: Any, scope: Any, choosing: Any, *shared: Any) -> Any:
        asked.append(choosing)
        return [None] if len(asked) == 1 else await real(self, database, scope, choosing, *shared)

    monkeypatch.setattr(HotChoice, "run", late)
    by, body = (organiser, {"member_id": member}) if by_organiser else (f"user-{member}", {})
    path = f"/activities/{activity}/registrations"
    registered = await ground.call("POST", path, by=by, json=body, expect=201)
    assert (registered["status"], len(asked)) == ("confirmed", 2)


async def test_parallel_twins_have_one_effect(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=1)
    [member] = await ground.members(unit)
    replies = await asyncio.gather(
        *(ground.register(activity, member, key="the-same-key") for _ in range(20))
    )
    assert len({reply["id"] for reply in replies}) == 1
    assert await ground.statuses(activity) == [(1, "confirmed")]


async def test_nobody_registers_twice(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=5)
    [member] = await ground.members(unit)
    await ground.register(activity, member)
    assert (await ground.register(activity, member, expect=409))["code"] == "registration-exists"
    path = f"/activities/{activity}/registrations"
    refused = await ground.call("POST", path, by=organiser, json={"member_id": member}, expect=409)
    assert refused["code"] == "registration-exists"
    [other] = await ground.members(unit)
    headers = [ground.issuer.headers(f"user-{other}") | {"Idempotency-Key": str(uuid4())} for _ in range(10)]
    replies = await asyncio.gather(
        *(ground.client.post(f"/api/v1{path}", headers=one, json={}) for one in headers)
    )
    assert sorted(reply.status_code for reply in replies) == [201, *[409] * 9]
    assert await ground.statuses(activity) == [(1, "confirmed"), (2, "confirmed")]


async def test_only_while_registration_is_open(ground: Ground) -> None:
    unit = await ground.unit()
    [member] = await ground.members(unit)
    published, organiser = await ground.activity(unit, "published")
    assert (await ground.register(published, member, expect=409))["code"] == "registration-not-open-yet"
    await ground.call("POST", f"/activities/{published}/opening", by=organiser, version=4)
    await ground.register(published, member)
    closed, _ = await ground.activity(unit, "closed")
    assert (await ground.register(closed, member, expect=409))["code"] == "registration-closed"
    opened, organiser = await ground.activity(unit)
    # The job has not come by yet.
    ground.clock.advance(timedelta(days=8, seconds=1))
    assert (await ground.register(opened, member, expect=409))["code"] == "registration-closed"
    path = f"/activities/{opened}/registrations"
    await ground.call("POST", path, by=organiser, json={"member_id": member}, expect=409)
    draft, _ = await ground.activity(unit, "draft")
    assert (await ground.register(draft, member, expect=404))["code"] == "not-found"


@pytest.mark.parametrize(
    ("audience", "changes", "is_welcome"),
    [
        ({}, {}, True),
        ({}, {"status": "withdrawn"}, False),
        ({}, {"status": "retained"}, True),
        ({}, {"status": "applied"}, False),
        ({"genders": ["female"]}, {}, True),
        ({"genders": ["male"]}, {}, False),
        ({"min_age": 36}, {}, True),
        ({"min_age": 37}, {}, False),
        ({"max_age": 36}, {}, True),
        ({"max_age": 35}, {}, False),
        ({"max_age": 99}, {"birth_year": None}, False),
        ({"employment_forms": ["migrant", "contract"]}, {}, True),
        ({"employment_forms": ["migrant"]}, {}, False),
        ({"post_roles": ["organiser"]}, {}, False),
    ],
)
async def test_the_audience_in_sql_and_in_words_is_one(
    ground: Ground, audience: dict[str, Any], changes: dict[str, Any], *, is_welcome: bool
) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, audience=audience)
    [member] = await ground.members(unit, **changes)
    await ground.register(activity, member, expect=201 if is_welcome else 403)
    state: dict[str, Any] = {
        "status": "active",
        "gender": "female",
        "birth_year": 1990,
        "employment_form": "contract",
    }
    candidate = Candidate(is_below=True, roles=(), **(state | changes))
    async with ground.worker.read(Scope.everything()) as session:
        found = await repository.get(session, UUID(activity))
    assert found.welcomes(candidate) is is_welcome


async def test_posts_make_an_audience(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    activity, _ = await ground.activity(unit, audience={"post_roles": [Role.ORGANISER]})
    holder, elsewhere = await ground.members(unit, 2)
    await ground.grant(f"user-{holder}", "organiser", unit)
    await ground.grant(f"user-{elsewhere}", "organiser", sibling)
    await ground.register(activity, elsewhere, expect=403)
    await ground.register(activity, holder)


async def test_other_units_and_strangers(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    branch = await ground.unit(unit)
    [inside], [below], [above], [outside] = [
        await ground.members(one) for one in (unit, branch, root, sibling)
    ]
    activity, organiser = await ground.activity(unit, capacity=9)
    await ground.register(activity, inside)
    await ground.register(activity, below)
    for member in (above, outside):
        # Not a word of an activity that is not announced to them.
        assert (await ground.register(activity, member, expect=404))["code"] == "not-found"
    await ground.register(str(uuid4()), inside, expect=404)
    path = f"/activities/{activity}/registrations"
    assert (await ground.call("POST", path, by="nobody", json={}, expect=404))["code"] == "no-own-member"
    refused = await ground.call("POST", path, by=organiser, json={"member_id": outside}, expect=403)
    assert refused["code"] == "registration-out-of-audience"
    branch_only, _ = await ground.activity(unit, audience={"organisation_id": branch})
    await ground.register(branch_only, below)
    await ground.register(branch_only, inside, expect=403)


async def test_an_organiser_registers_members_within_the_own_subtree_alone(ground: Ground) -> None:
    root = await ground.unit()
    unit, sibling = await ground.unit(root), await ground.unit(root)
    activity, organiser = await ground.activity(unit)
    stranger, reader = await ground.user("organiser", sibling), await ground.user("auditor", unit)
    one, other = await ground.members(unit, 2)
    path = f"/activities/{activity}/registrations"
    await ground.call("POST", path, by=stranger, json={"member_id": one}, expect=404)
    await ground.call("POST", path, by=reader, json={"member_id": one}, expect=403)
    made = await ground.call("POST", path, by=organiser, json={"member_id": one}, expect=201)
    [row] = await ground.rows("SELECT action FROM audit_entries WHERE subject_id = $1", UUID(made["id"]))
    assert row["action"] == "registration.registered"
    await ground.call("POST", path, by=organiser, json={"member_id": str(uuid4())}, expect=404)
    seen = {"member_id": other, "member_sequence": 2}
    assert (await ground.call("POST", path, by=organiser, json=seen, expect=409))["code"] == "stale-replica"
    await ground.apply(ground.member_event(other, unit, "changed"))
    await ground.call("POST", path, by=organiser, json=seen, expect=201)


@pytest.mark.parametrize(
    "field", ["status", "position", "organisation_id", "attended", "registered_at", "id"]
)
async def test_nobody_sets_what_is_not_asked_for(ground: Ground, field: str) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit)
    [member] = await ground.members(unit)
    path = f"/activities/{activity}/registrations"
    await ground.call("POST", path, by=f"user-{member}", json={field: "confirmed"}, expect=422)
    assert await ground.statuses(activity) == []


async def test_quotas_are_seats_of_their_units(ground: Ground) -> None:
    unit = await ground.unit()
    one, other = await ground.unit(unit), await ground.unit(unit)
    quotas = [{"organisation_id": one, "seats": 1}]
    activity, organiser = await ground.activity(unit, capacity=2, quotas=quotas)
    ones, others = await ground.members(one, 2), await ground.members(other, 2)
    said = [(await ground.register(activity, member))["status"] for member in (*others, *ones)]
    assert said == ["confirmed", "waiting", "confirmed", "waiting"]
    path = f"/activities/{activity}"
    wider = {"capacity": 4, "quotas": [{"organisation_id": one, "seats": 2}]}
    changed = await ground.call("PUT", f"{path}/seats", by=organiser, version=5, json=wider)
    assert changed["capacity"] == 4
    counts = await ground.call("GET", f"{path}/registrations/counts", by=organiser)
    assert counts == {"entered": 0, "confirmed": 4, "waiting": 0, "cancelled": 0}
    narrower = {"capacity": 4, "quotas": [{"organisation_id": one, "seats": 1}]}
    refused = await ground.call("PUT", f"{path}/seats", by=organiser, version=6, json=narrower, expect=409)
    assert refused["code"] == "seats-taken"
    units = {"capacity": 9, "quotas": [{"organisation_id": other, "seats": 1}]}
    await ground.call("PUT", f"{path}/seats", by=organiser, version=6, json=units, expect=422)
