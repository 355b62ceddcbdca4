import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.kernel.ids import new_id
from tests.support.events import Ground

HOUR = timedelta(hours=1)


async def begun(
    ground: Ground, number: int = 2, **changes: Any
) -> tuple[str, str, str, list[str], list[str]]:
    """Closed, and its first of two sessions is just beginning: unit, activity, organiser, members, registrations."""
    unit = await ground.unit()
    start = ground.clock.now() + timedelta(days=10)
    sessions = [
        {"starts_at": (start + after).isoformat(), "ends_at": (start + after + 3 * HOUR).isoformat()}
        for after in (timedelta(), timedelta(days=1))
    ]
    plan: dict[str, Any] = {"capacity": 5, "sessions": sessions} | changes
    activity, organiser = await ground.activity(unit, **plan)
    members = await ground.members(unit, number)
    registrations = [(await ground.register(activity, member))["id"] for member in members]
    await ground.call("POST", f"/activities/{activity}/closing", by=organiser, version=5)
    ground.clock.set(start)
    return unit, activity, organiser, members, registrations


async def code(ground: Ground, activity: str, organiser: str, number: int = 1, **more: Any) -> Any:
    return await ground.call("GET", f"/activities/{activity}/sessions/{number}/code", by=organiser, **more)


async def scan(ground: Ground, member: str, scanned: str, **more: Any) -> Any:
    return await ground.call("POST", "/me/check-ins", by=f"user-{member}", json={"code": scanned}, **more)


async def by_hand(ground: Ground, activity: str, organiser: str, **body: Any) -> Any:
    expect = body.pop("expect", 200)
    return await ground.call(
        "POST", f"/activities/{activity}/check-ins", by=organiser, json=body, expect=expect
    )


async def batch(
    ground: Ground, activity: str, organiser: str, rows: list[dict[str, Any]], **more: Any
) -> Any:
    path = f"/activities/{activity}/check-ins/batch"
    reply = await ground.call("POST", path, by=organiser, json={"rows": rows}, **more)
    return [(row["outcome"], row["reason"]) for row in reply["rows"]] if "rows" in reply else reply


def entry(registration: str, at: Any, local: int = 1, device: str = "gate-1") -> dict[str, Any]:
    return {
        "registration_id": registration,
        "at": at.isoformat(),
        "device_id": device,
        "local_id": str(local),
    }


async def attended(ground: Ground, registration: str) -> list[tuple[str, int]]:
    return [event for event in await ground.events(registration) if "attended" in event[0]]


async def test_a_member_signs_in_by_the_code_on_the_screen(ground: Ground) -> None:
    _, activity, organiser, [member, _], [registration, _] = await begun(ground)
    shown = await code(ground, activity, organiser)
    assert shown["qr"].startswith("data:image/svg+xml")
    assert shown["expires_at"] > ground.clock.now().isoformat()
    reply = await scan(ground, member, shown["code"])
    assert (reply["registration_id"], reply["session"]) == (registration, 1)
    assert await attended(ground, registration) == [("registration.attended.v1", 2)]
    sheet = await ground.call("GET", f"/activities/{activity}/check-ins", by=organiser)
    assert [(row["member_id"], row["way"]) for row in sheet["items"]] == [(member, "code")]


async def test_the_same_scan_again_gives_the_same_answer_and_says_nothing_new(ground: Ground) -> None:
    _, activity, organiser, [member, _], [registration, _] = await begun(ground)
    shown = (await code(ground, activity, organiser))["code"]
    first = await scan(ground, member, shown)
    ground.clock.advance(timedelta(seconds=20))
    again = await asyncio.gather(*(scan(ground, member, shown) for _ in range(5)))
    assert again == [first] * 5
    assert len(await attended(ground, registration)) == 1


async def test_who_comes_to_the_second_session_too_has_two_check_ins_and_attended_once(
    ground: Ground,
) -> None:
    _, activity, organiser, [member, _], [registration, _] = await begun(ground)
    await scan(ground, member, (await code(ground, activity, organiser))["code"])
    ground.clock.advance(timedelta(days=1))
    reply = await scan(ground, member, (await code(ground, activity, organiser, 2))["code"])
    assert reply["session"] == 2
    assert len(await attended(ground, registration)) == 1
    page = await ground.call("GET", f"/activities/{activity}/check-ins?limit=1", by=organiser)
    rest = await ground.call(
        "GET", f"/activities/{activity}/check-ins?limit=1&cursor={page['next_cursor']}", by=organiser
    )
    assert [row["session"] for row in page["items"] + rest["items"]] == [1, 2]
    assert rest["next_cursor"] is None


async def test_forged_and_expired_codes_are_refused(ground: Ground) -> None:
    _, activity, organiser, [member, _], [registration, _] = await begun(ground)
    shown = (await code(ground, activity, organiser))["code"]
    forged = shown[:-1] + ("A" if shown[-1] != "A" else "Q")
    for bad in (forged, "x", "签到", shown * 2):
        assert (await scan(ground, member, bad, expect=422))["code"] == "check-in-code-wrong"
    ground.clock.advance(timedelta(seconds=61))
    assert (await scan(ground, member, shown, expect=409))["code"] == "check-in-code-expired"
    assert await attended(ground, registration) == []
    await scan(ground, member, (await code(ground, activity, organiser))["code"])


async def test_only_who_has_a_seat_signs_in(ground: Ground) -> None:
    unit, activity, organiser, members, registrations = await begun(ground, 3, capacity=2)
    [stranger] = await ground.members(unit)
    shown = (await code(ground, activity, organiser))["code"]
    refused = [
        await scan(ground, members[2], shown, expect=403),
        await scan(ground, stranger, shown, expect=403),
        await by_hand(ground, activity, organiser, registration_id=registrations[2], expect=403),
        await by_hand(ground, activity, organiser, member_id=stranger, expect=403),
        await by_hand(ground, activity, organiser, registration_id=str(new_id()), expect=403),
    ]
    assert {one["code"] for one in refused} == {"check-in-no-seat"}
    nobody = await ground.call("POST", "/me/check-ins", by=organiser, json={"code": shown}, expect=404)
    assert nobody["code"] == "no-own-member"
    await scan(ground, members[0], shown)
    await by_hand(ground, activity, organiser, member_id=members[1])


async def test_codes_and_lists_are_the_organisers_of_the_unit(ground: Ground) -> None:
    unit, activity, organiser, [member, _], [registration, _] = await begun(ground)
    elsewhere = await ground.user("organiser", await ground.unit())
    auditor = await ground.user("auditor", unit)
    for by, status in ((elsewhere, 404), (f"user-{member}", 404), (auditor, 403)):
        await code(ground, activity, by, expect=status)
        await by_hand(ground, activity, by, registration_id=registration, expect=status)
        await batch(ground, activity, by, [entry(registration, ground.clock.now())], expect=status)
    for by, status in ((elsewhere, 404), (f"user-{member}", 404), (auditor, 200)):
        await ground.call("GET", f"/activities/{activity}/check-ins", by=by, expect=status)
    await code(ground, activity, organiser)


async def test_there_is_no_code_but_around_the_session(ground: Ground) -> None:
    _, activity, organiser, _, _ = await begun(ground)
    assert (await code(ground, activity, organiser, 2, expect=409))["code"] == "check-in-no-session-then"
    assert (await code(ground, activity, organiser, 3, expect=422))["code"] == "check-in-no-such-session"
    await code(ground, activity, organiser, 0, expect=422)
    ground.clock.advance(-3 * HOUR)
    assert (await code(ground, activity, organiser, expect=409))["code"] == "check-in-no-session-then"
    ground.clock.advance(HOUR)
    await code(ground, activity, organiser)


async def test_by_hand_one_signs_in_now_or_when_it_was(ground: Ground) -> None:
    _, activity, organiser, members, registrations = await begun(ground)
    start = ground.clock.now()
    ground.clock.advance(6 * HOUR)
    late = await by_hand(ground, activity, organiser, registration_id=registrations[0], expect=409)
    assert late["code"] == "check-in-no-session-then"
    was = await by_hand(ground, activity, organiser, registration_id=registrations[0], at=start.isoformat())
    assert was["session"] == 1
    ahead = (ground.clock.now() + HOUR).isoformat()
    refused = await by_hand(ground, activity, organiser, member_id=members[1], at=ahead, expect=422)
    assert refused["code"] == "check-in-in-future"
    wrong = await by_hand(
        ground, activity, organiser, member_id=members[1], session=2, at=start.isoformat(), expect=409
    )
    assert wrong["code"] == "check-in-no-session-then"
    for body in ({}, {"member_id": members[1], "registration_id": registrations[1]}):
        assert (await by_hand(ground, activity, organiser, expect=422, **body))["code"] == "check-in-who"
    await by_hand(ground, activity, organiser, expect=422, member_id=members[1], way="code")
    await by_hand(ground, activity, organiser, member_id=members[1], session=1, at=start.isoformat())


async def test_a_batch_answers_each_row_and_the_earliest_moment_counts(ground: Ground) -> None:
    _, _, _, _, [foreign, _] = await begun(ground)
    _, activity, organiser, _, [one, other] = await begun(ground)
    start = ground.clock.now()
    ground.clock.advance(2 * HOUR)
    minute = timedelta(minutes=1)
    rows = [
        entry(one, start + 5 * minute, 1),
        entry(one, start + 2 * minute, 2),
        entry(one, start + 2 * minute, 2),
        entry(other, start, 3),
        entry(foreign, start, 4),
        entry(str(new_id()), start, 5),
        entry(other, start + 3 * HOUR, 6),
        entry(other, start - 3 * HOUR, 7),
    ]
    assert await batch(ground, activity, organiser, rows) == [
        ("duplicate", None),
        ("accepted", None),
        ("duplicate", None),
        ("accepted", None),
        ("refused", "check-in-no-seat"),
        ("refused", "check-in-no-seat"),
        ("refused", "check-in-in-future"),
        ("refused", "check-in-no-session-then"),
    ]
    assert {kind for kind, _ in await batch(ground, activity, organiser, rows)} == {"duplicate", "refused"}
    # Another device saw the same person earlier, and a third one later.
    assert await batch(ground, activity, organiser, [entry(one, start, 1, "gate-2")]) == [("duplicate", None)]
    await batch(ground, activity, organiser, [entry(one, start + minute, 1, "gate-3")])
    found = await ground.rows("SELECT attended_at FROM check_ins WHERE registration_id = $1", UUID(one))
    assert [row["attended_at"] for row in found] == [start]
    for registration in (one, other):
        assert len(await attended(ground, registration)) == 1


async def test_devices_that_come_back_at_once_agree(ground: Ground) -> None:
    _, activity, organiser, _, registrations = await begun(ground, 5)
    start = ground.clock.now()
    ground.clock.advance(HOUR)
    devices = [
        [
            entry(one, start + timedelta(minutes=device), number, f"gate-{device}")
            for number, one in enumerate(registrations if device % 2 else reversed(registrations))
        ]
        for device in range(6)
    ]
    answers = await asyncio.gather(*(batch(ground, activity, organiser, rows) for rows in devices))
    assert sum(kind == "accepted" for answer in answers for kind, _ in answer) == 5
    found = await ground.rows("SELECT attended_at FROM check_ins WHERE activity_id = $1", UUID(activity))
    assert [row["attended_at"] for row in found] == [start] * 5


async def test_a_batch_of_nothing_too_much_or_nonsense_is_refused_as_a_whole(ground: Ground) -> None:
    _, activity, organiser, _, [one, _] = await begun(ground)
    good = entry(one, ground.clock.now())
    for rows in (
        [],
        [good] * 1001,
        [good | {"at": "2026-03-16T09:30:00"}],
        [good | {"registration_id": "x"}],
        [good | {"device_id": "'; DROP"}],
        [good | {"attended": True}],
    ):
        await batch(ground, activity, organiser, rows, expect=422)
    assert await attended(ground, one) == []
    key = str(uuid4())
    assert await batch(ground, activity, organiser, [good], key=key) == [("accepted", None)]
    assert await batch(ground, activity, organiser, [good], key=key) == [("accepted", None)]


async def test_nobody_signs_in_to_what_was_called_off(ground: Ground) -> None:
    _, activity, organiser, [member, _], [registration, _] = await begun(ground)
    shown = (await code(ground, activity, organiser))["code"]
    [row] = await ground.rows("SELECT version FROM activities WHERE id = $1", UUID(activity))
    await ground.call(
        "POST",
        f"/activities/{activity}/cancellation",
        by=organiser,
        version=row["version"],
        json={"reason": "台风"},
    )
    assert (await scan(ground, member, shown, expect=409))["code"] == "check-in-not-now"
    refused = await by_hand(ground, activity, organiser, registration_id=registration, expect=409)
    assert refused["code"] == "check-in-not-now"
    await code(ground, activity, organiser, expect=409)
    await batch(ground, activity, organiser, [entry(registration, ground.clock.now())], expect=409)
