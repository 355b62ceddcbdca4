import csv
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from events_service.invariants import INVARIANTS
from events_service.lottery import domain, repository, use_cases
from events_service.lottery.domain import digest_of, draw, draw_key
from shared.database.scope import Scope
from shared.security.acting import SYSTEM, By
from tests.support.events import Ground
from unionhall_cli import lottery as command


async def entered(ground: Ground, number: int, **changes: Any) -> tuple[str, str, str, list[str]]:
    """A lottery with so many entries, still open: unit, activity, organiser, registrations."""
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, mode="lottery", **changes)
    registrations = []
    for member in await ground.members(unit, number):
        made = await ground.register(activity, member)
        assert made["status"] == "entered"
        registrations.append(made["id"])
    return unit, activity, organiser, registrations


async def close(ground: Ground, activity: str, organiser: str) -> None:
    [row] = await ground.rows("SELECT version FROM activities WHERE id = $1", UUID(activity))
    await ground.call("POST", f"/activities/{activity}/closing", by=organiser, version=row["version"])


async def lots(ground: Ground, activity: str, organiser: str, **more: Any) -> Any:
    return await ground.call("POST", f"/activities/{activity}/lottery/draw", by=organiser, **more)


async def published(ground: Ground, activity: str, by: str) -> tuple[dict[str, Any], list[command.Entry]]:
    """As the command sees it."""
    document = await ground.call("GET", f"/activities/{activity}/lottery", by=by)
    headers = ground.issuer.headers(by)
    reply = await ground.client.get(f"/api/v1/activities/{activity}/lottery/entries.csv", headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/csv")
    lines = list(csv.reader(reply.text.splitlines()))
    assert lines[0] == ["registration_id", "pool", "rank", "result"]
    entries = [
        command.Entry(UUID(one), int(pool), int(rank), result) for one, pool, rank, result in lines[1:]
    ]
    return document, entries


async def broken(ground: Ground) -> list[str]:
    """The lotteries whose result the service's own invariant finds wrong."""
    [invariant] = [one for one in INVARIANTS if one.what == "result of a lottery"]
    return [str(row[0]) for row in await ground.rows(invariant.offenders)]


async def test_the_commitment_is_public_before_anybody_enters_and_the_seed_is_not(ground: Ground) -> None:
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, stage="published", mode="lottery")
    [member] = await ground.members(unit)
    seen = await ground.call("GET", f"/activities/{activity}/lottery", by=f"user-{member}")
    assert len(bytes.fromhex(seen["commitment"])) == 32
    for hidden in ("seed", "entries", "entries_digest", "seats", "drawn_at"):
        assert seen[hidden] is None
    [row] = await ground.rows(
        "SELECT seed, seed_wrapped FROM lotteries WHERE activity_id = $1", UUID(activity)
    )
    assert row["seed"] is None
    assert len(row["seed_wrapped"]) > 32
    # It stays the same whatever else happens to the activity.
    await ground.call("POST", f"/activities/{activity}/opening", by=organiser, version=4)
    later = await ground.call("GET", f"/activities/{activity}/lottery", by=organiser)
    assert later["commitment"] == seen["commitment"]


async def test_who_may_not_see_the_activity_learns_nothing_of_its_lottery(ground: Ground) -> None:
    root = await ground.unit()
    unit, other = await ground.unit(root), await ground.unit(root)
    activity, organiser = await ground.activity(unit, mode="lottery")
    [inside], [outside] = await ground.members(unit), await ground.members(other)
    elsewhere = await ground.user("organiser", other)
    above = await ground.user("auditor", root)
    for path in (f"/activities/{activity}/lottery", f"/activities/{activity}/lottery/entries.csv"):
        for by in (f"user-{outside}", elsewhere, "stranger"):
            await ground.call("GET", path, by=by, expect=404)
    for by in (f"user-{inside}", organiser, above):
        await ground.call("GET", f"/activities/{activity}/lottery", by=by)
    await close(ground, activity, organiser)
    for by, status in ((elsewhere, 404), (f"user-{inside}", 404), (above, 403), (organiser, 200)):
        await lots(ground, activity, by, expect=status)


async def test_lots_are_drawn_once_and_not_before_closing(ground: Ground) -> None:
    _, activity, organiser, _ = await entered(ground, 3)
    assert (await lots(ground, activity, organiser, expect=409))["code"] == "lottery-not-closed"
    refused = await ground.call(
        "GET", f"/activities/{activity}/lottery/entries.csv", by=organiser, expect=409
    )
    assert refused["code"] == "lottery-not-drawn"
    await close(ground, activity, organiser)
    first = await lots(ground, activity, organiser, key="a-key-of-its-own")
    assert await lots(ground, activity, organiser, key="a-key-of-its-own") == first
    assert (await lots(ground, activity, organiser, expect=409))["code"] == "lottery-drawn"
    assert [status for _, status in await ground.statuses(activity)] == ["confirmed", "confirmed", "waiting"]


async def test_without_a_lottery_there_is_none(ground: Ground) -> None:
    activity, organiser = await ground.activity(await ground.unit(), stage="closed")
    for method, path in (("GET", ""), ("POST", "/draw")):
        refused = await ground.call(method, f"/activities/{activity}/lottery{path}", by=organiser, expect=404)
        assert refused["code"] == "lottery-none"


async def test_the_draw_is_what_the_rules_say_and_anybody_can_do_it_again(ground: Ground) -> None:
    _, activity, organiser, registrations = await entered(ground, 12, capacity=5)
    await close(ground, activity, organiser)
    # Whoever gives up before the draw is not among the entries.
    await ground.call(
        "POST", f"/registrations/{registrations[0]}/cancellation", by=organiser, version=1, json={}
    )
    await lots(ground, activity, organiser)
    document, entries = await published(ground, activity, organiser)
    assert {str(one.id) for one in entries} == set(registrations[1:])
    assert hashlib.sha256(bytes.fromhex(document["seed"])).hexdigest() == document["commitment"]
    pools = dict.fromkeys(map(UUID, registrations[1:]), 0)
    key = draw_key(bytes.fromhex(document["seed"]), digest_of(pools))
    assert [
        (one.registration_id, one.rank, "confirmed" if one.is_confirmed else "waiting")
        for one in draw(key, pools, [5])
    ] == [(one.id, one.rank, one.result) for one in entries]
    assert not list(command.differences(document, entries))
    winner, loser = entries[0], entries[-1]
    assert (winner.result, loser.result) == ("confirmed", "waiting")
    assert await ground.events(str(winner.id)) == [
        ("registration.registered.v1", 1),
        ("registration.drawn.v1", 2),
    ]


async def test_a_quota_draws_among_its_own(ground: Ground) -> None:
    unit = await ground.unit()
    branch = await ground.unit(unit)
    quotas = [{"organisation_id": branch, "seats": 2}]
    activity, organiser = await ground.activity(unit, mode="lottery", capacity=3, quotas=quotas)
    for member in [*await ground.members(unit, 4), *await ground.members(branch, 5)]:
        await ground.register(activity, member)
    await close(ground, activity, organiser)
    await lots(ground, activity, organiser)
    document, entries = await published(ground, activity, organiser)
    assert document["seats"] == [1, 2]
    for pool, (all_, seats) in enumerate(((4, 1), (5, 2))):
        results = [one.result for one in entries if one.pool == pool]
        assert results == ["confirmed"] * seats + ["waiting"] * (all_ - seats)
        rows = await ground.rows(
            "SELECT id, position, status FROM registrations WHERE activity_id = $1 AND pool = $2 ORDER BY position",
            UUID(activity),
            pool,
        )
        assert [row["id"] for row in rows] == [one.id for one in entries if one.pool == pool]
        assert [row["position"] for row in rows] == list(range(1, all_ + 1))
        assert [row["status"] for row in rows] == results
    assert not list(command.differences(document, entries))


async def test_who_moves_up_later_changes_nothing_of_what_was_drawn(ground: Ground) -> None:
    _, activity, organiser, _ = await entered(ground, 4)
    await close(ground, activity, organiser)
    await lots(ground, activity, organiser)
    document, entries = await published(ground, activity, organiser)
    first, next_ = entries[0].id, entries[2].id
    await ground.call("POST", f"/registrations/{first}/cancellation", by=organiser, version=2, json={})
    [row] = await ground.rows("SELECT status FROM registrations WHERE id = $1", next_)
    assert row["status"] == "confirmed"
    assert await published(ground, activity, organiser) == (document, entries)
    assert not list(command.differences(document, entries))


async def test_a_large_lottery_is_settled_block_by_block_whoever_gives_up_meanwhile(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three entries a block, so that 11 are four blocks; two of those who won give up before they are told."""
    monkeypatch.setattr(repository, "_RECORD", repository._RECORD.replace("10000", "3"))
    for module in (use_cases, domain):
        monkeypatch.setattr(module, "BLOCK", 3)
    _, activity, organiser, _ = await entered(ground, 11, capacity=7)
    await close(ground, activity, organiser)
    await lots(ground, activity, organiser)
    document, entries = await published(ground, activity, organiser)
    assert not list(command.differences(document, entries))
    assert [status for _, status in await ground.statuses(activity)].count("entered") == 8
    for gone in (entries[4], entries[9]):
        path = f"/registrations/{gone.id}/cancellation"
        await ground.call("POST", path, by=organiser, version=1, json={})
    by = By(SYSTEM, "test", ground.clock.now())
    for number, goes_on in ((1, True), (2, True), (2, True), (3, True), (4, False)):
        async with ground.worker.write(Scope.everything()) as session:
            assert await use_cases.settle(session, UUID(activity), number, by) is goes_on
            await session.commit()
    rows = await ground.rows(
        "SELECT id, status FROM registrations WHERE activity_id = $1 AND status <> 'cancelled' ORDER BY position",
        UUID(activity),
    )
    left = [one.id for one in entries if one not in (entries[4], entries[9])]
    assert [row["id"] for row in rows] == left
    assert [row["status"] for row in rows] == ["confirmed"] * 7 + ["waiting"] * 2
    # The invariant of the record knows blocks of the true size alone.
    owner = await asyncpg.connect(ground.urls.owner)
    try:
        await owner.execute(
            """
            WITH whole AS (
                DELETE FROM lottery_blocks WHERE activity_id = $1 RETURNING number, entries
            ), one AS (SELECT string_agg(entries, ''::bytea ORDER BY number) AS entries FROM whole)
            SELECT set_config('test.block', encode(entries, 'hex'), false) FROM one
            """,
            UUID(activity),
        )
        await owner.execute(
            "INSERT INTO lottery_blocks VALUES ($1, 0, decode(current_setting('test.block'), 'hex'))",
            UUID(activity),
        )
    finally:
        await owner.close()


async def test_a_result_that_was_changed_by_sql_is_found(ground: Ground) -> None:
    _, activity, organiser, _ = await entered(ground, 6)
    await close(ground, activity, organiser)
    await lots(ground, activity, organiser)
    owner = await asyncpg.connect(ground.urls.owner)
    where = "WHERE activity_id = $1"
    try:
        good = await owner.fetchval(f"SELECT entries FROM lottery_blocks {where}", UUID(activity))
        swapped = good[-23:-5] + good[18:23] + good[23:-23] + good[:18] + good[-5:]
        for bad, code in (
            (good[:-5] + b"\x01" + good[-4:], "lottery-result-differs"),
            (swapped, "lottery-order-differs"),
            (good[23:], "lottery-digest-differs"),
        ):
            await owner.execute(f"UPDATE lottery_blocks SET entries = $2 {where}", UUID(activity), bad)
            document, entries = await published(ground, activity, organiser)
            assert code in [one.code for one in command.differences(document, entries)]
            assert await broken(ground) == [activity]
        await owner.execute(f"UPDATE lottery_blocks SET entries = $2 {where}", UUID(activity), good)
        assert await broken(ground) == []
        seed = await owner.fetchval(f"SELECT seed FROM lotteries {where}", UUID(activity))
        await owner.execute(f"UPDATE lotteries SET seed = $2 {where}", UUID(activity), bytes(32))
        document, entries = await published(ground, activity, organiser)
        found = [one.code for one in command.differences(document, entries)]
        assert found[0] == "lottery-seed-differs"
        assert await broken(ground) == [activity]
        await owner.execute(f"UPDATE lotteries SET seed = $2 {where}", UUID(activity), seed)
    finally:
        await owner.close()


async def test_the_application_cannot_write_a_draw_again(ground: Ground) -> None:
    connection = await asyncpg.connect(ground.urls.app)
    try:
        for statement in ("UPDATE lottery_blocks SET entries = ''", "DELETE FROM lottery_blocks"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_entries_end_when_closing_does_not_wait(ground: Ground) -> None:
    """Lots may be drawn as soon as registration is closed by time, whenever that is carried out."""
    _, activity, organiser, _ = await entered(ground, 1)
    ground.clock.advance(timedelta(days=9))
    assert (await lots(ground, activity, organiser, expect=409))["code"] == "lottery-not-closed"
    await close(ground, activity, organiser)
    drawn = await lots(ground, activity, organiser)
    assert drawn["entries"] == 1
