"""What happens in the demo federation once its members are there: aid and activities, side by side."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from local_stack.users import demo_user
from unionhall_cli.demo import activities, aid, payments
from unionhall_cli.demo.aid import CITY, ENTERPRISE, Frame
from unionhall_cli.demo.crowd import Crowd, crowd, together
from unionhall_cli.demo.households import households
from unionhall_cli.demo.places import Scale, Unit

Tell = Callable[[float, float], None]
#: Members of the city of whom some ask for help and register.
_POOL = 700
#: Who reads at each service before anything is written: a post that has not arrived there yet is waited for.
_FIRST_LOOKS = (
    ("administrator", "/api/v1/rules"),
    *(
        (user, "/api/v1/dossiers")
        for user in ("welfare-officer", "welfare-officer-city", "approver", "approver-city")
    ),
    *((user, "/api/v1/payouts") for user in ("treasurer", "treasurer-city", "treasurer-province")),
    *(
        (user, "/api/v1/activities")
        for user in ("organiser", "organiser-enterprise", "approver", "approver-city")
    ),
)


@dataclass(frozen=True)
class Bars:
    """Where progress is told."""

    dossiers: Tell
    cases: Tell
    activities: Tell


def load(scale: Scale, unions: list[Unit], frame: Frame, written_on: date, bars: Bars) -> dict[str, Any]:
    """Do what is missing; how much there is of everything, and a case and an activity to look at."""
    return asyncio.run(_load(scale, unions, frame, written_on, bars))


async def _load(
    scale: Scale, unions: list[Unit], frame: Frame, written_on: date, bars: Bars
) -> dict[str, Any]:
    async with crowd() as people:
        await together([people.get(user, path, limit=1) for user, path in _FIRST_LOOKS])
        await _link_members(people, frame)
        pool = await _pool(people, frame)

        async def help_members() -> dict[str, int]:
            programmes = await aid.set_up(people, frame)
            areas = (CITY,)
            wanted = list(
                islice(households(scale, unions, frame.seed, written_on, frame.today, areas), scale.dossiers)
            )
            dossiers, opened = await aid.open_dossiers(people, frame, wanted, bars.dossiers)
            cases = await aid.open_cases(people, frame, scale.cases, programmes, pool, opened, bars.cases)
            return {"dossiers": dossiers, "cases": cases, "payouts": await payments.pay(people, frame)}

        done = await together(
            [
                activities.hold_activities(people, frame, scale.activities, pool, bars.activities),
                help_members(),
            ]
        )
        return {"activities": done[0], **done[1], "try": await _to_try(people, frame)}


async def _link_members(people: Crowd, frame: Frame) -> None:
    """Each demo user without a post is one of the first members of an enterprise union."""
    registrar, place = "registrar-enterprise", frame.units[ENTERPRISE]
    listed = await people.all(registrar, "/api/v1/members", 50, organisation=place, status="active")
    for username, member in zip(activities.members(), listed, strict=False):
        user = demo_user(username)
        assert user is not None  # noqa: S101 - one of them
        own = await people.ask(username, "GET", "/api/v1/me/member", bear={"no-own-member", "not-found"})
        if own.refusal:
            body, step = {"subject": user.subject}, f"/api/v1/members/{member['id']}/user"
            await people.ask(registrar, "PUT", step, body=body, version=member["version"])


async def _pool(people: Crowd, frame: Frame) -> list[dict[str, Any]]:
    """Members of the city, from all its areas; `own` if a demo user signs in as this member."""
    areas = [
        unit for code, unit in frame.units.items() if len(code) == len(CITY) + 2 and code.startswith(CITY)
    ]
    query = {"status": "active"}
    listed = await together(
        [
            people.all(
                "welfare-officer-city", "/api/v1/members", _POOL // len(areas), organisation=area, **query
            )
            for area in areas
        ]
    )
    own = await together([people.get(user, "/api/v1/me/member") for user in activities.members()])
    linked = {one["id"] for one in own}
    # One of each area after the other, so that the first are not all of one place.
    longest = max(map(len, listed))
    mixed = [area[place] for place in range(longest) for area in listed if place < len(area)]
    return [one | {"own": one["id"] in linked} for one in mixed]


async def _to_try(people: Crowd, frame: Frame) -> dict[str, str]:
    """A case that waits for the county's approver, and an activity with a full waiting list."""
    # Only what he may decide: a large amount waits for the city's.
    place = {"organisation": frame.units[aid.COUNTY], "stage": "submitted", "holder": "mine"}
    cases = await people.all("approver", "/api/v1/cases", 1, **place)
    place = {"organisation": frame.units[CITY], "stage": "open"}
    opened = await people.all("organiser", activities.ACTIVITIES, 200, **place)
    full = ""
    for one in opened:
        seats = await people.get("organiser", f"{activities.ACTIVITIES}/{one['id']}/registrations/counts")
        if seats["waiting"]:
            full = one["id"]
            break
    return {"case": cases[0]["id"] if cases else "", "activity": full}
