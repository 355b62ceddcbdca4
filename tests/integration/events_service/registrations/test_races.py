"""Two things at once: whichever comes first, what is left is right."""

import asyncio
from uuid import UUID

from sqlalchemy import text

from events_service.activities import repository as activities
from events_service.invariants import INVARIANTS
from events_service.registrations import repository as registrations
from shared.database.scope import Scope
from shared.security.acting import By
from shared.web.invariants import Invariant
from tests.support.events import Ground
from tests.support.tokens import ISSUER


async def test_who_leaves_while_registering_has_no_place(ground: Ground) -> None:
    """Either the leaving finds the registration, or the registration finds the member gone."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=5)
    members = await ground.members(unit, 30)

    async def register(member: str) -> int:
        headers = ground.issuer.headers(f"user-{member}") | {"Idempotency-Key": f"key-{member}"}
        path = f"/api/v1/activities/{activity}/registrations"
        return (await ground.client.post(path, headers=headers, json={})).status_code

    async def leave(member: str) -> int:
        event = ground.member_event(member, unit, "withdrawn", status="withdrawn", left_on="2026-03-16")
        await ground.take_effect(event)
        return 0

    said = await asyncio.gather(*(do(member) for member in members for do in (register, leave)))
    assert set(said) <= {0, 201, 403}
    statuses = {status for _, status in await ground.statuses(activity)}
    assert statuses <= {"cancelled"}


async def test_closing_while_everybody_registers_lets_nobody_in_afterwards(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=5)
    members = await ground.members(unit, 40)

    async def register(member: str) -> int:
        headers = ground.issuer.headers(f"user-{member}") | {"Idempotency-Key": f"key-{member}"}
        path = f"/api/v1/activities/{activity}/registrations"
        return (await ground.client.post(path, headers=headers, json={})).status_code

    async def close() -> int:
        await ground.call("POST", f"/activities/{activity}/closing", by=organiser, version=5)
        return 0

    half = len(members) // 2
    said = await asyncio.gather(
        *(register(member) for member in members[:half]),
        close(),
        *(register(member) for member in members[half:]),
    )
    assert set(said) <= {0, 201, 409}
    assert said.count(201) == len(await ground.statuses(activity))
    rows = await ground.rows(
        """
        SELECT (SELECT o.id FROM outbox o WHERE o.key = $1 AND o.sequence = 6) AS closed, max(o.id) AS last
        FROM registrations r JOIN outbox o ON o.key = r.id WHERE r.activity_id = $1
        """,
        UUID(activity),
    )
    # The seats know of the closing before its event is written, and registrations under way were waited for.
    assert rows[0]["last"] is None or rows[0]["last"] < rows[0]["closed"]


async def test_seats_change_while_somebody_gives_one_up(ground: Ground) -> None:
    """Both write the seats twice or lock the activity before: neither waits for the other in a circle."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=1)
    first, _ = [await ground.register(activity, member) for member in await ground.members(unit, 2)]
    by = By(ISSUER, "somebody", ground.clock.now())

    async def lock() -> list[int]:
        async with ground.worker.write(Scope.everything()) as session:
            await activities.get_for_change(session, UUID(activity))
            going.set()
            return await activities.taken_for_change(session, UUID(activity))

    going = asyncio.Event()
    async with ground.worker.write(Scope.everything()) as session:
        pools = await registrations.lock(session, [UUID(first["id"])])
        await registrations.cancel(session, [UUID(first["id"])], None, by)
        other = asyncio.create_task(lock())
        await going.wait()
        await asyncio.sleep(0.2)
        assert await registrations.promote(session, pools, by) == 1
        await session.flush_events()
        await session.commit()
    assert await other == [1]


async def test_the_invariants_name_what_breaks_them(ground: Ground) -> None:
    """Each is seen failing for its own reason, in a transaction that is rolled back."""
    unit = await ground.unit()
    activity, _ = await ground.activity(unit, capacity=1)
    one, two, three = await ground.members(unit, 3)
    places = [await ground.register(activity, member) for member in (one, two, three)]
    faults = {
        ("I6", "activities"): (f"UPDATE activities SET version = 9 WHERE id = '{activity}'", activity),
        ("I6", "registrations"): (
            f"UPDATE registrations SET version = 2 WHERE id = '{places[0]['id']}'",
            places[0]["id"],
        ),
        ("I11", "seats taken"): (
            f"UPDATE registrations SET status = 'confirmed' WHERE id = '{places[1]['id']}'",
            activity,
        ),
        ("I11", "seats of an activity"): (
            f"UPDATE activity_seats SET seats = 7 WHERE activity_id = '{activity}'",
            activity,
        ),
        ("I11", "waiting while a seat is free"): (
            f"UPDATE activity_seats SET taken = 0 WHERE activity_id = '{activity}'",
            activity,
        ),
        ("I11", "order of waiting"): (
            f"UPDATE registrations SET position = 2 WHERE activity_id = '{activity}'",
            min(places[1]["id"], places[2]["id"]),
        ),
    }
    ours: dict[tuple[str, str], Invariant] = {(one.id, one.what): one for one in INVARIANTS}
    for name, (fault, offender) in faults.items():
        async with ground.worker.write(Scope.everything()) as session:
            assert not (await session.execute(text(ours[name].offenders))).all()
            await session.execute(text(fault))
            found = (await session.execute(text(ours[name].offenders))).all()
        assert [str(row[0]) for row in found] == [offender], name
