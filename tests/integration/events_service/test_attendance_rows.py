"""What belongs to an activity is seen with it, by the database alone; what must hold of it is looked for and found."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from events_service.invariants import INVARIANTS
from events_service.worker import WRAPPED_KEYS
from shared.contracts.membership import MEMBERS
from shared.database.scope import Scope
from shared.security.keys import KeyRing, new_ring_json
from shared.security.rotation import keys_in_use, rewrap_batch
from tests.support.events import Ground, received


async def lived(ground: Ground, unit: str) -> tuple[str, str, str]:
    """A drawn lottery whose winner was there and said so: activity, organiser, registration."""
    activity, organiser = await ground.activity(unit, mode="lottery")
    [member] = await ground.members(unit)
    registration = (await ground.register(activity, member))["id"]
    await ground.call("POST", f"/activities/{activity}/closing", by=organiser, version=5)
    await ground.call("POST", f"/activities/{activity}/lottery/draw", by=organiser)
    ground.clock.advance(timedelta(days=10))
    await ground.call(
        "POST", f"/activities/{activity}/check-ins", by=organiser, json={"registration_id": registration}
    )
    body = {"score": 5, "comment": "很好"}
    await ground.call("POST", f"/registrations/{registration}/feedback", by=f"user-{member}", json=body)
    return activity, organiser, registration


async def test_of_an_erased_member_neither_words_nor_calendar_stay(ground: Ground) -> None:
    unit = await ground.unit()
    kept = [await lived(ground, unit) for _ in range(2)]
    members = []
    for _, _, registration in kept:
        [row] = await ground.rows("SELECT member_id FROM registrations WHERE id = $1", UUID(registration))
        members.append(row["member_id"])
        await ground.call("POST", "/me/calendar", by=f"user-{row['member_id']}", expect=201)
    at = ground.clock.now()
    await ground.take_effect(received(MEMBERS.name, "member.erased", members[0], 2, None, at))
    for member, left in ((members[0], 0), (members[1], 1)):
        words = await ground.rows(
            """
            SELECT r.satisfaction, f.comment_sealed, f.data_key_wrapped FROM feedback f
            JOIN registrations r ON r.id = f.registration_id WHERE r.member_id = $1
            """,
            member,
        )
        assert words[0]["satisfaction"] == 5
        assert sum(words[0][name] is not None for name in ("comment_sealed", "data_key_wrapped")) == 2 * left
        assert len(await ground.rows("SELECT FROM calendar_feeds WHERE member_id = $1", member)) == left


@pytest.mark.parametrize("table", ["lotteries", "lottery_blocks", "check_ins", "feedback"])
async def test_without_a_scope_there_is_no_row_and_with_one_only_its_own(ground: Ground, table: str) -> None:
    root = await ground.unit()
    mine, other = await ground.unit(root), await ground.unit(root)
    activities = [(await lived(ground, unit))[0] for unit in (mine, other)]
    [row] = await ground.rows("SELECT path FROM activities WHERE id = $1", UUID(activities[0]))
    connection = await asyncpg.connect(ground.urls.app)
    try:
        for scope in (None, "", "%", "1", f"{row['path']}%", "*/"):
            if scope is not None:
                await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        await connection.execute("SELECT set_config('app.scope', $1, false)", row["path"])
        seen = await connection.fetch(f"SELECT activity_id::text AS activity FROM {table}")
        assert [record["activity"] for record in seen] == [activities[0]]
    finally:
        await connection.close()


async def broken(ground: Ground, what: str) -> list[str]:
    [invariant] = [one for one in INVARIANTS if one.what == what]
    return [str(row[0]) for row in await ground.rows(invariant.offenders)]


async def test_a_lost_check_in_and_a_lost_attendance_are_found(ground: Ground) -> None:
    _, _, registration = await lived(ground, await ground.unit())
    owner = await asyncpg.connect(ground.urls.owner)
    one = UUID(registration)
    try:
        await owner.execute("UPDATE registrations SET attended = false WHERE id = $1", one)
        assert await broken(ground, "check-in of nobody who attended") == [registration]
        await owner.execute("UPDATE registrations SET attended = true WHERE id = $1", one)
        assert await broken(ground, "check-in of nobody who attended") == []
        kept = await owner.fetchrow("DELETE FROM check_ins WHERE registration_id = $1 RETURNING *", one)
        assert kept is not None
        assert await broken(ground, "attended without a check-in") == [registration]
        marks = ", ".join(f"${place}" for place in range(1, len(kept) + 1))
        await owner.execute(f"INSERT INTO check_ins VALUES ({marks})", *kept.values())
        assert await broken(ground, "attended without a check-in") == []
    finally:
        await owner.close()


async def test_a_lottery_without_a_commitment_is_found(ground: Ground) -> None:
    activity, _ = await ground.activity(await ground.unit(), stage="published")
    owner = await asyncpg.connect(ground.urls.owner)
    try:
        await owner.execute("UPDATE activities SET mode = 'lottery' WHERE id = $1", UUID(activity))
        assert await broken(ground, "lottery without a commitment") == [activity]
        await owner.execute("UPDATE activities SET mode = 'first_come' WHERE id = $1", UUID(activity))
        assert await broken(ground, "lottery without a commitment") == []
    finally:
        await owner.close()


def rotated(keys_file: Path) -> KeyRing:
    """The ring of the service with a newer field key."""
    ring: dict[str, Any] = orjson.loads(keys_file.read_bytes())
    fresh = orjson.loads(new_ring_json())["field"]
    ring["field"] = {
        "current": "f2",
        "keys": {**ring["field"]["keys"], "f2": fresh["keys"][fresh["current"]]},
    }
    path = keys_file.with_name("rotated.json")
    path.write_bytes(orjson.dumps(ring))
    path.chmod(0o600)
    return KeyRing.load(path)


async def test_seeds_and_comments_are_wrapped_anew_with_all_other_keys(
    ground: Ground, keys_file: Path
) -> None:
    unit = await ground.unit()
    await lived(ground, unit)
    waiting, _ = await ground.activity(unit, mode="lottery")
    ring = rotated(keys_file)
    async with ground.worker.write(Scope.everything()) as session:
        for place in WRAPPED_KEYS:
            before = await keys_in_use(session, place)
            assert before
            await rewrap_batch(session, ring, place, limit=100_000)
            assert await keys_in_use(session, place) == {"f2": sum(before.values())}
        # Nothing is committed: the other tests go on with the ring they know.
    drawn = await ground.rows("SELECT seed_wrapped FROM lotteries WHERE activity_id = $1", UUID(waiting))
    assert ring.unwrap(drawn[0]["seed_wrapped"])
