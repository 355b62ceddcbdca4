import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.support.events import Ground

CANARY = "张师傅的腰病又犯了 13800009999"


async def held(ground: Ground, number: int) -> tuple[str, str, str, list[str], list[str]]:
    """Held, and everybody was there: unit, activity, organiser, members, registrations."""
    unit = await ground.unit()
    activity, organiser = await ground.activity(unit, capacity=number)
    members = await ground.members(unit, number)
    registrations = [(await ground.register(activity, member))["id"] for member in members]
    await step(ground, activity, organiser, "closing")
    ground.clock.advance(timedelta(days=10))
    for registration in registrations:
        await ground.call(
            "POST",
            f"/activities/{activity}/check-ins",
            by=organiser,
            json={"registration_id": registration},
        )
    ground.clock.advance(timedelta(days=2))
    await step(ground, activity, organiser, "holding")
    return unit, activity, organiser, members, registrations


async def step(ground: Ground, activity: str, organiser: str, name: str) -> None:
    [row] = await ground.rows("SELECT version FROM activities WHERE id = $1", UUID(activity))
    await ground.call("POST", f"/activities/{activity}/{name}", by=organiser, version=row["version"])


async def say(
    ground: Ground, registration: str, member: str, score: Any, comment: Any = None, **more: Any
) -> Any:
    body = {"score": score} | ({"comment": comment} if comment is not None else {})
    by = more.pop("by", f"user-{member}")
    return await ground.call("POST", f"/registrations/{registration}/feedback", by=by, json=body, **more)


async def figures(ground: Ground, activity: str, by: str, **more: Any) -> Any:
    return await ground.call("GET", f"/activities/{activity}/feedback", by=by, **more)


async def test_who_was_there_says_how_it_was_and_may_change_it(ground: Ground) -> None:
    _, activity, organiser, [member], [registration] = await held(ground, 1)
    first = await say(ground, registration, member, 4, CANARY)
    assert (first["score"], first["comment"]) == (4, CANARY)
    await say(ground, registration, member, 4)
    again = await say(ground, registration, member, 2, "  ")
    assert (again["score"], again["comment"]) == (2, None)
    assert [kind for kind, _ in await ground.events(registration)] == [
        f"registration.{kind}.v1" for kind in ("registered", "attended", "rated", "rated")
    ]
    await step(ground, activity, organiser, "archiving")
    assert (await say(ground, registration, member, 5, expect=409))["code"] == "feedback-archived"


async def test_a_comment_lies_sealed_and_goes_nowhere(ground: Ground) -> None:
    _, _, _, [member], [registration] = await held(ground, 1)
    await say(ground, registration, member, 1, CANARY)
    for table in ("feedback", "outbox", "audit_entries", "registrations", "idempotency_keys"):
        rows = await ground.rows(f"SELECT {table}::text AS row FROM {table}")
        for row in rows:
            assert CANARY not in row["row"]
            assert CANARY.encode().hex() not in row["row"]


async def test_nobody_rates_for_another_or_without_having_been_there(ground: Ground) -> None:
    unit, _, organiser, [member, other], [registration, _] = await held(ground, 2)
    for by, code in ((f"user-{other}", "not-found"), (organiser, "no-own-member")):
        assert (await say(ground, registration, member, 5, by=by, expect=404))["code"] == code
    await say(ground, registration, member, 5)
    activity, _ = await ground.activity(unit)
    absent = await ground.register(activity, member)
    refused = await say(ground, absent["id"], member, 5, expect=409)
    assert refused["code"] == "registration-not-attended"


async def test_scores_and_comments_have_their_bounds(ground: Ground) -> None:
    _, _, _, [member], [registration] = await held(ground, 1)
    for score in (0, 6, -1, 2.5, "5", None, True, 10**30):
        await say(ground, registration, member, score, expect=422)
    await say(ground, registration, member, 5, "长" * 1001, expect=422)
    await ground.call(
        "POST",
        f"/registrations/{registration}/feedback",
        by=f"user-{member}",
        json={"score": 5, "attended": True},
        expect=422,
    )
    await say(ground, registration, member, 5, "长" * 1000)


async def test_figures_and_comments_wait_for_five(ground: Ground) -> None:
    unit, activity, organiser, members, registrations = await held(ground, 6)
    comments = f"/activities/{activity}/feedback/comments"
    for place in range(4):
        await say(ground, registrations[place], members[place], 5, f"好 {place}")
    assert await figures(ground, activity, organiser) == {
        "attended": 6, "answered": None, "mean": None, "distribution": None, "suppressed": True
    }  # fmt: skip
    assert (await ground.call("GET", comments, by=organiser))["items"] == []
    await say(ground, registrations[4], members[4], 1, "不好")
    auditor = await ground.user("auditor", unit)
    assert await figures(ground, activity, auditor) == {
        "attended": 6, "answered": 5, "mean": 4.2, "distribution": {"1": 1, "2": 0, "3": 0, "4": 0, "5": 4},
        "suppressed": False,
    }  # fmt: skip
    page = await ground.call("GET", f"{comments}?limit=3", by=organiser)
    rest = await ground.call("GET", f"{comments}?limit=3&cursor={page['next_cursor']}", by=organiser)
    found = page["items"] + rest["items"]
    assert {one["comment"] for one in found} == {"好 0", "好 1", "好 2", "好 3", "不好"}
    assert all(set(one) == {"id", "comment"} for one in found)
    known = {*members, *registrations}
    assert not known & {one["id"] for one in found}


async def test_figures_are_the_organisers_of_the_unit(ground: Ground) -> None:
    unit, activity, organiser, [member], _ = await held(ground, 1)
    elsewhere = await ground.user("organiser", await ground.unit())
    registrar = await ground.user("registrar", unit)
    for by, status in ((elsewhere, 404), (f"user-{member}", 404), (registrar, 403), (organiser, 200)):
        await figures(ground, activity, by, expect=status)
        await ground.call("GET", f"/activities/{activity}/feedback/comments", by=by, expect=status)


async def test_the_last_of_two_answers_at_once_stands_in_row_and_figure(ground: Ground) -> None:
    _, _, _, [member], [registration] = await held(ground, 1)
    answers = await asyncio.gather(*(say(ground, registration, member, 1 + n % 5, f"{n}") for n in range(10)))
    [row] = await ground.rows(
        "SELECT satisfaction, version FROM registrations WHERE id = $1", UUID(registration)
    )
    assert row["satisfaction"] in {one["score"] for one in answers}
    rated = [kind for kind, _ in await ground.events(registration) if "rated" in kind]
    assert row["version"] == 2 + len(rated)
    [count] = await ground.rows(
        "SELECT count(*) FROM feedback WHERE registration_id = $1", UUID(registration)
    )
    assert count["count"] == 1
