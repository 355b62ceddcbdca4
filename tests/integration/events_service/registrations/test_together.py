"""Who asks for a seat while others are under way goes with them, in one transaction: exact, in order, each on its own account."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from events_service.app import build
from events_service.registrations import joining
from events_service.settings import Settings
from shared.testing.waiting import eventually
from tests.support.events import Ground
from tests.support.service import client_of

_SEATS = "SELECT FROM activity_seats WHERE activity_id = $1 FOR UPDATE"
_MEMBER = "SELECT FROM directory_members WHERE id = $1 FOR UPDATE"
_WAITING = """
    SELECT count(DISTINCT pid) AS waiting FROM pg_locks
    WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())
"""
_TRANSACTIONS = """
    SELECT count(DISTINCT xmin::text) AS transactions FROM registrations
    WHERE activity_id = $1 AND member_id = ANY ($2::uuid[])
"""


@asynccontextmanager
async def held(ground: Ground, sql: str, row: str) -> AsyncIterator[None]:
    """With a row locked, until the block ends."""
    connection = await asyncpg.connect(ground.urls.worker)
    try:
        async with connection.transaction():
            await connection.fetch(sql, UUID(row))
            yield
    finally:
        await connection.close()


async def queue(ground: Ground, number: int) -> None:
    """Until so many wait for a lock."""

    async def waiting() -> bool:
        [row] = await ground.rows(_WAITING)
        return bool(row["waiting"] == number)

    await eventually(waiting)


async def in_line(activity: str, number: int) -> None:
    """Until so many wait for those who are under way."""

    def waiting() -> bool:
        lines = joining._TOGETHER._lines.items()
        return sum(len(line) for (_, one), line in lines if one == UUID(activity)) == number

    await eventually(waiting, every=0.005)


async def send(ground: Ground, activity: str, member: str, key: str | None = None) -> httpx.Response:
    """A registration by the member, as it is answered."""
    headers = ground.issuer.headers(f"user-{member}") | {"Idempotency-Key": key or str(uuid4())}
    return await ground.client.post(f"/api/v1/activities/{activity}/registrations", headers=headers, json={})


async def behind_one(
    ground: Ground, activity: str, first: str, asking: Sequence[Awaitable[httpx.Response]]
) -> list[httpx.Response]:
    """Replies to what is asked while the statement of `first` is under way: all of it goes together after that."""
    async with held(ground, _SEATS, activity):
        tasks = [asyncio.ensure_future(send(ground, activity, first))]
        await queue(ground, 1)
        for number, one in enumerate(asking, 1):
            tasks.append(asyncio.ensure_future(one))
            # Requests overtake each other on the way here otherwise.
            await in_line(activity, number)
    _, *replies = await asyncio.gather(*tasks)
    return list(replies)


async def transactions(ground: Ground, activity: str, members: Sequence[str]) -> int:
    """How many transactions wrote the registrations of these members."""
    [row] = await ground.rows(_TRANSACTIONS, UUID(activity), [UUID(one) for one in members])
    found: int = row["transactions"]
    return found


async def places(ground: Ground, activity: str) -> dict[str, tuple[int, str]]:
    """Member -> (position, status)."""
    rows = await ground.rows(
        "SELECT member_id::text AS member, position, status FROM registrations WHERE activity_id = $1",
        UUID(activity),
    )
    return {row["member"]: (row["position"], row["status"]) for row in rows}


@pytest.fixture
async def twin(ground: Ground, settings: Settings) -> AsyncIterator[Ground]:
    """Another process of the same service, with connections and a line of its own."""
    app = build(settings, clock=ground.clock, key_source=ground.issuer)
    async with client_of(app) as client:
        yield replace(ground, client=client)


async def test_who_waits_goes_in_one_transaction_in_the_order_of_asking(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=5)
    first, *others = await ground.members(unit, 20)
    replies = await behind_one(ground, activity, first, [send(ground, activity, one) for one in others])
    expected = [*["confirmed"] * 4, *["waiting"] * 15]
    assert [reply.json()["status"] for reply in replies] == expected
    found = await places(ground, activity)
    assert [found[one] for one in (first, *others)] == list(
        zip(range(1, 21), ["confirmed", *expected], strict=True)
    )
    assert await transactions(ground, activity, others) == 1
    rows = await ground.rows(
        """
        SELECT r.id::text, r.member_id::text AS member, h.actor_subject,
            (SELECT count(*) FROM outbox o WHERE o.key = r.id) AS events,
            (SELECT convert_from(o.payload, 'UTF8')::json->'state'->>'member_id' FROM outbox o WHERE o.key = r.id) AS told
        FROM registrations r JOIN registration_history h ON h.registration_id = r.id
        WHERE r.activity_id = $1
        """,
        UUID(activity),
    )
    assert len(rows) == 20
    assert {reply.json()["id"]: one for reply, one in zip(replies, others, strict=True)}.items() <= {
        row["id"]: row["member"] for row in rows
    }.items()
    for row in rows:
        # Nobody's name stands on another's registration.
        assert row["actor_subject"] == f"user-{row['member']}"
        assert (row["events"], row["told"]) == (1, row["member"])
    # The outbox is in the order of the positions.
    order = await ground.rows(
        "SELECT r.position FROM registrations r JOIN outbox o ON o.key = r.id WHERE r.activity_id = $1 ORDER BY o.id",
        UUID(activity),
    )
    assert [row["position"] for row in order] == list(range(1, 21))


async def test_one_member_twice_among_others_has_one_place(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9)
    first, member, other = await ground.members(unit, 3)
    asking = [
        send(ground, activity, member),
        send(ground, activity, other),
        send(ground, activity, member),
    ]
    replies = await behind_one(ground, activity, first, asking)
    assert [reply.status_code for reply in replies] == [201, 201, 409]
    assert replies[2].json()["code"] == "registration-exists"
    assert await transactions(ground, activity, [member, other]) == 1
    assert await ground.statuses(activity) == [(place, "confirmed") for place in (1, 2, 3)]


async def test_one_request_twice_among_others_has_one_reply(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9)
    first, member, other = await ground.members(unit, 3)
    asking = [
        send(ground, activity, member, key="the-same-key"),
        send(ground, activity, other),
        send(ground, activity, member, key="the-same-key"),
    ]
    once, between, again = await behind_one(ground, activity, first, asking)
    assert (once.status_code, between.status_code, again.status_code) == (201, 201, 201)
    assert again.json() == once.json() != between.json()
    assert "Idempotency-Replayed" not in once.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await transactions(ground, activity, [member, other]) == 1
    stored = await ground.rows(
        "SELECT key FROM idempotency_keys WHERE route = $1",
        f"POST /api/v1/activities/{activity}/registrations",
    )
    assert len(stored) == 3


async def test_each_reply_is_its_own_and_so_is_its_repetition(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=2)
    first, *others = await ground.members(unit, 4)
    keys = {one: str(uuid4()) for one in others}
    asking = [send(ground, activity, one, key=keys[one]) for one in others]
    replies = await behind_one(ground, activity, first, asking)
    again = [await send(ground, activity, one, key=keys[one]) for one in others]
    assert [reply.json()["status"] for reply in again] == ["confirmed", "waiting", "waiting"]
    assert [reply.json() for reply in again] == [reply.json() for reply in replies]
    assert [reply.headers["ETag"] for reply in again] == ['"1"'] * 3


async def test_who_may_not_costs_the_others_nothing(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9, audience={"genders": ["female"]})
    first, one, two = await ground.members(unit, 3)
    [man] = await ground.members(unit, gender="male")
    [stranger] = await ground.members(await ground.unit())
    asked = (one, man, stranger, "nobody-at-all", two)
    replies = await behind_one(ground, activity, first, [send(ground, activity, who) for who in asked])
    assert [reply.status_code for reply in replies] == [201, 403, 404, 404, 201]
    assert [reply.json().get("code") for reply in replies[1:4]] == [
        "registration-out-of-audience",
        "not-found",
        "no-own-member",
    ]
    assert await transactions(ground, activity, [one, two]) == 1
    assert set((await places(ground, activity)).values()) == {(place, "confirmed") for place in (1, 2, 3)}


async def test_pools_are_taken_each_in_its_order(ground: Ground) -> None:
    unit = await ground.unit()
    one, other = await ground.unit(unit), await ground.unit(unit)
    quotas = [{"organisation_id": one, "seats": 1}]
    activity, _ = await ground.activity(unit, capacity=2, quotas=quotas)
    ones, others = await ground.members(one, 3), await ground.members(other, 3)
    first, *rest = [member for pair in zip(ones, others, strict=True) for member in pair]
    await behind_one(ground, activity, first, [send(ground, activity, member) for member in rest])
    found = await places(ground, activity)
    expected = [(1, "confirmed"), (2, "waiting"), (3, "waiting")]
    assert [found[member] for member in ones] == expected
    assert [found[member] for member in others] == expected
    assert await transactions(ground, activity, rest) == 1


async def test_who_leaves_meanwhile_has_no_place(ground: Ground) -> None:
    """Before the statement of all begins: refused. While it runs: the leaving waits for it, and ends the place."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9, audience={"genders": ["female"]})
    [man] = await ground.members(unit, gender="male")
    early, late, *others = await ground.members(unit, 5)

    def left(member: str) -> Coroutine[Any, Any, int]:
        return ground.take_effect(
            ground.member_event(member, unit, "withdrawn", status="withdrawn", left_on="2026-03-16")
        )

    async with held(ground, _SEATS, activity):
        async with held(ground, _MEMBER, man):
            # Keeps the others out until they are many, and never comes as far as the seats.
            refused = asyncio.create_task(send(ground, activity, man))
            await queue(ground, 1)
            tasks = [asyncio.create_task(send(ground, activity, one)) for one in (early, late, *others)]
            await in_line(activity, len(tasks))
            await left(early)
        assert (await refused).status_code == 403
        # The statement of the five holds its members and waits for the seats.
        await queue(ground, 1)
        leaving = asyncio.create_task(left(late))
        await queue(ground, 2)
    replies = await asyncio.gather(*tasks)
    assert await leaving == 1
    assert [reply.status_code for reply in replies] == [403, *[201] * 4]
    found = await places(ground, activity)
    assert found.keys() == {late, *others}
    assert {one for one, (_, status) in found.items() if status == "cancelled"} == {late}
    assert sorted(place for place, _ in found.values()) == [1, 2, 3, 4]
    assert await transactions(ground, activity, others) == 1


async def test_what_breaks_the_statement_of_all_is_done_one_by_one(ground: Ground, twin: Ground) -> None:
    """The same member through another process, at the same time."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9, audience={"genders": ["female"]})
    [man] = await ground.members(unit, gender="male")
    member, one, two = await ground.members(unit, 3)
    async with held(ground, _SEATS, activity):
        async with held(ground, _MEMBER, man):
            refused = asyncio.create_task(send(ground, activity, man))
            await queue(ground, 1)
            elsewhere = asyncio.create_task(send(twin, activity, member))
            await queue(ground, 2)
            tasks = [asyncio.create_task(send(ground, activity, who)) for who in (one, member, two)]
            await in_line(activity, len(tasks))
        assert (await refused).status_code == 403
        # The other process is first at the seats; the three have seen nobody registered, and stand behind it.
        await queue(ground, 2)
    replies = await asyncio.gather(elsewhere, *tasks)
    assert [reply.status_code for reply in replies] == [201, 201, 409, 201]
    assert replies[2].json()["code"] == "registration-exists"
    assert await ground.statuses(activity) == [(place, "confirmed") for place in (1, 2, 3)]
    assert await transactions(ground, activity, [one, two]) == 2


async def test_two_processes_never_give_a_seat_too_many(ground: Ground, twin: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=5)
    members = await ground.members(unit, 200)
    replies = await asyncio.gather(
        *(
            send(ground if number % 2 else twin, activity, member)
            for number, member in enumerate(members[:190])
        ),
        # By the organiser, in between.
        *(
            ground.call(
                "POST",
                f"/activities/{activity}/registrations",
                by=organiser,
                json={"member_id": member},
                expect=201,
            )
            for member in members[190:]
        ),
    )
    told = Counter((reply if isinstance(reply, dict) else reply.json())["status"] for reply in replies)
    assert told == {"confirmed": 5, "waiting": 195}
    assert await ground.statuses(activity) == [
        (place, "confirmed" if place <= 5 else "waiting") for place in range(1, 201)
    ]
    assert await transactions(ground, activity, members) < 200


async def test_who_went_away_is_registered_all_the_same(ground: Ground) -> None:
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=9)
    first, gone, other = await ground.members(unit, 3)
    async with held(ground, _SEATS, activity):
        alone = asyncio.create_task(send(ground, activity, first))
        await queue(ground, 1)
        leaving = asyncio.create_task(send(ground, activity, gone, key="of-who-went"))
        staying = asyncio.create_task(send(ground, activity, other))
        await in_line(activity, 2)
        leaving.cancel()
    assert [(await reply).status_code for reply in (alone, staying)] == [201, 201]
    assert len(await ground.statuses(activity)) == 3
    again = await send(ground, activity, gone, key="of-who-went")
    assert again.headers["Idempotency-Replayed"] == "true"
