import logging
from typing import Any

import asyncpg
import httpx
import pytest
from icalendar import Calendar

from shared.kernel.ids import new_id
from tests.support.events import Ground


async def feed_of(ground: Ground, member: str) -> str:
    made = await ground.call("POST", "/me/calendar", by=f"user-{member}", expect=201)
    path: str = made["path"]
    assert path.startswith("/api/v1/calendars/")
    assert path.endswith(".ics")
    return path


async def fetch(ground: Ground, path: str, expect: int = 200, **headers: str) -> httpx.Response:
    """As a calendar programme does: without a token."""
    reply = await ground.client.get(path, headers=headers)
    assert reply.status_code == expect, reply.text
    return reply


async def entries(ground: Ground, path: str) -> list[Any]:
    return list(Calendar.from_ical((await fetch(ground, path)).content).walk("VEVENT"))


async def registered(ground: Ground, **changes: Any) -> tuple[str, str, str, str]:
    """Activity, organiser, member, registration."""
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, **changes)
    [member] = await ground.members(unit)
    return activity, organiser, member, (await ground.register(activity, member))["id"]


async def test_a_member_sees_the_own_seats_and_nobody_elses(ground: Ground) -> None:
    title = "健步走, 春季; \\ 一起来\nEND:VEVENT"
    activity, _, member, registration = await registered(ground, title="健步走, 春季; \\ 一起来", capacity=1)
    path = await feed_of(ground, member)
    reply = await fetch(ground, path)
    assert reply.headers["content-type"] == "text/calendar; charset=utf-8"
    assert reply.headers["cache-control"] == "private, max-age=300"
    [entry] = await entries(ground, path)
    assert entry["UID"] == f"{registration}-1@unionhall"
    assert entry["SUMMARY"] == title.partition("\n")[0]
    assert (entry["STATUS"], entry["LOCATION"]) == ("CONFIRMED", "滨江公园")
    # The next one waits: no seat, no entry.
    [row] = await ground.rows("SELECT organisation_id FROM activities WHERE id = $1::uuid", activity)
    [other] = await ground.members(str(row["organisation_id"]))
    assert (await ground.register(activity, other))["status"] == "waiting"
    assert await entries(ground, await feed_of(ground, other)) == []


async def test_what_is_given_up_or_called_off_is_struck_out(ground: Ground) -> None:
    activity, organiser, member, registration = await registered(ground)
    path = await feed_of(ground, member)
    [before] = await entries(ground, path)
    await ground.call(
        "POST", f"/registrations/{registration}/cancellation", by=f"user-{member}", version=1, json={}
    )
    [after] = await entries(ground, path)
    assert after["UID"] == before["UID"]
    assert after["STATUS"] == "CANCELLED"
    assert after["SEQUENCE"] > before["SEQUENCE"]
    again = await ground.register(activity, member)
    assert {(one["UID"], one["STATUS"]) for one in await entries(ground, path)} == {
        (before["UID"], "CANCELLED"),
        (f"{again['id']}-1@unionhall", "CONFIRMED"),
    }
    await ground.call(
        "POST", f"/activities/{activity}/cancellation", by=organiser, version=5, json={"reason": "台风"}
    )
    assert {one["STATUS"] for one in await entries(ground, path)} == {"CANCELLED"}


async def test_another_time_is_the_same_entry_with_a_higher_sequence(ground: Ground) -> None:
    activity, organiser, member, _ = await registered(ground)
    path = await feed_of(ground, member)
    [before] = await entries(ground, path)
    start = before["DTSTART"].dt.replace(minute=45)
    sessions = [
        {"starts_at": start.isoformat(), "ends_at": before["DTEND"].dt.isoformat(), "place": "体育馆"}
    ]
    await ground.call(
        "PATCH", f"/activities/{activity}", by=organiser, version=5, json={"sessions": sessions}
    )
    [after] = await entries(ground, path)
    assert (after["UID"], after["DTSTART"].dt, after["LOCATION"]) == (before["UID"], start, "体育馆")
    assert after["SEQUENCE"] > before["SEQUENCE"]


async def test_an_unchanged_feed_is_not_sent_again(ground: Ground) -> None:
    _, _, member, registration = await registered(ground)
    path = await feed_of(ground, member)
    tag = (await fetch(ground, path)).headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}"):
        reply = await fetch(ground, path, 304, **{"If-None-Match": known})
        assert (reply.content, reply.headers["etag"]) == (b"", tag)
    await ground.call(
        "POST", f"/registrations/{registration}/cancellation", by=f"user-{member}", version=1, json={}
    )
    assert (await fetch(ground, path, 200, **{"If-None-Match": tag})).headers["etag"] != tag


async def test_a_new_address_ends_the_old_one(ground: Ground) -> None:
    _, _, member, _ = await registered(ground)
    old = await feed_of(ground, member)
    await fetch(ground, old)
    new = await feed_of(ground, member)
    await fetch(ground, old, 404)
    await fetch(ground, new)


async def test_an_address_that_is_nobodys_opens_nothing(ground: Ground) -> None:
    _, _, member, registration = await registered(ground)
    path = await feed_of(ground, member)
    for token in (
        "x",
        path.split("/")[-1][:-5],
        member,
        registration,
        str(new_id()),
        "%27%20OR%201=1",
        "中文",
    ):
        await fetch(ground, f"/api/v1/calendars/{token}.ics", 404)
    await ground.call("POST", "/me/calendar", by="stranger", expect=404)
    await fetch(ground, path)


async def test_the_secret_is_neither_stored_nor_logged(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, member, _ = await registered(ground)
    with caplog.at_level(logging.DEBUG):
        path = await feed_of(ground, member)
        await fetch(ground, path)
        await fetch(ground, path.replace(".ics", "x.ics"), 404)
    token = path.split("/")[-1].removesuffix(".ics")
    ours = [record for record in caplog.records if record.name.startswith("unionhall")]
    assert ours
    assert not [record for record in ours if token in str(record.__dict__)]
    assert {"/api/v1/calendars/{token}.ics"} <= {getattr(record, "route", "") for record in ours}
    for table in ("calendar_feeds", "idempotency_keys", "audit_entries", "outbox"):
        for row in await ground.rows(f"SELECT {table}::text AS row FROM {table}"):
            assert token not in row["row"]


async def test_the_function_behind_it_gives_nothing_without_the_secret(ground: Ground) -> None:
    await registered(ground)
    connection = await asyncpg.connect(ground.urls.app)
    try:
        for secret in (None, b"", bytes(32)):
            assert await connection.fetch("SELECT * FROM calendar_of($1, '-infinity')", secret) == []
    finally:
        await connection.close()
