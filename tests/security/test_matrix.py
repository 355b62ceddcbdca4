"""S1 and S2: every route as every role from every place, against the file; and that a refusal tells nothing."""

import asyncio
import os
import re
from typing import Final
from uuid import uuid4

import pytest

from shared.security import policy
from shared.security.policy import Action, Caller
from tests.security import matrix
from tests.security.routes import routes_of
from tests.security.samples import SAMPLES, request_of
from tests.security.stage import Stage, fresh_plan
from tests.security.world import NOBODY, PLACES, ROLES, SERVICES, user_at

#: What is open to everybody who is signed in, to their own things alone, or is secret by its address.
_ABOUT_ONESELF: Final = "/me"
#: Streams never end; that they ask for the same right as the dashboard, tests/integration/gateway/test_live.py shows.
_STREAMS: Final = {"GET /api/v1/organisations/{organisation_id}/live"}
#: Read from below too, because it holds for the units below; changed at its place alone.
_SHINES_DOWN: Final = re.compile(
    r"welfare GET /api/v1/(rules/\{rule_id\}|programmes/\{programme_id\}|programmes)$"
)
_ANYWHERE: Final = re.compile(
    r" GET (/internal/v1/(digest|work)|/api/v1/(work$|calendars|rosters/template$|organisations$))"
)
#: Lists and commands that name no unit: what they answer from elsewhere holds nothing of this unit (see the tests of S2).
_NAMING_NO_UNIT: Final = {"events GET /api/v1/registrations"}
#: The unit beside is the other side of the transfer on the stage.
_OTHER_SIDE: Final = {
    "membership GET /api/v1/transfers/{transfer_id}",
    "membership POST /api/v1/transfers/{transfer_id}/acceptance",
    "membership POST /api/v1/transfers/{transfer_id}/refusal",
}
#: What holds for units below, the unit as the parent of another, and what has its other side elsewhere.
_SEEN_ELSEWHERE: Final = {"programme_id", "rule_id", "budget_id", "organisation_id", "transfer_id"}
#: What holds for units below may be read there.
_SHOWN_BELOW: Final = {
    "welfare GET /api/v1/rules/{rule_id}",
    "welfare GET /api/v1/programmes/{programme_id}",
}


async def answered(stage: Stage, service: str, route: str, by: str) -> str:
    """What a user is answered: "yes", or the status of the refusal."""
    if "{plan_id}" in route:
        await fresh_plan(stage)
    path, request = request_of(stage, route, SAMPLES[service][route])
    reply = await stage.world.send(service, route.split(" ", maxsplit=1)[0], path, by=by, **request)
    assert reply.status_code < 500 or reply.status_code == 503, f"{service} {route} by {by}: {reply.text}"
    return "yes" if reply.status_code < 300 or reply.status_code in {409, 412} else str(reply.status_code)


async def everybody(stage: Stage, service: str, route: str) -> dict[tuple[str, str], str]:
    """What each role at each place is answered; those of one place ask at the same time, unless they use something up."""
    found = {(NOBODY, ""): await answered(stage, service, route, NOBODY)}
    together = 1 if "{plan_id}" in route else len(ROLES)
    for place in PLACES:
        for first in range(0, len(ROLES), together):
            roles = ROLES[first : first + together]
            asked = (answered(stage, service, route, user_at(role, place)) for role in roles)
            answers = await asyncio.gather(*asked)
            found |= {(role, place): answer for role, answer in zip(roles, answers, strict=True)}
    return found


@pytest.fixture(scope="package")
async def found(stage: Stage) -> dict[str, dict[tuple[str, str], str]]:
    """Every answer, by "service METHOD path"."""
    answers: dict[str, dict[tuple[str, str], str]] = {}
    for service in SERVICES:
        for route in routes_of(stage.world.apps[service]):
            if route in SAMPLES[service] and route not in _STREAMS:
                answers[f"{service} {route}"] = await everybody(stage, service, route)
    return answers


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_is_tried(stage: Stage, service: str) -> None:
    assert set(routes_of(stage.world.apps[service])) == set(SAMPLES[service])


@pytest.mark.timeout(300)
async def test_everybody_may_do_what_the_file_says_and_nothing_else(
    found: dict[str, dict[tuple[str, str], str]],
) -> None:
    if os.environ.get("WRITE_MATRIX"):
        matrix.FILE.write_text(matrix.written(found), "utf-8")
    wrong = matrix.differences(found, matrix.read())
    assert not wrong, "\n".join(wrong)


async def test_a_post_beside_or_below_lets_nobody_in(found: dict[str, dict[tuple[str, str], str]]) -> None:
    """Whatever the file says: from outside, only what is one's own, what holds for units below, and what names no unit."""
    astray = {
        route
        for route in matrix.let_in(found, ("child", "sibling", "other", ""))
        if _ABOUT_ONESELF not in route and not _SHINES_DOWN.search(route) and not _ANYWHERE.search(route)
    }
    assert astray == _NAMING_NO_UNIT | _OTHER_SIDE
    assert len(matrix.let_in(found, ("own",)) & matrix.let_in(found, ("parent",))) > 120


async def test_the_matrix_sees_an_opened_route(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing: a right given to one more role is a difference."""
    route = "GET /api/v1/payouts/{payout_id}"
    key = f"welfare {route}"
    known = {key: matrix.read()[key]}

    async def tried() -> dict[str, dict[tuple[str, str], str]]:
        return {key: await everybody(stage, "welfare", route)}

    assert matrix.differences(await tried(), known) == []
    opened = policy.PERMISSIONS[Action.PAYOUT_READ] | policy.PERMISSIONS[Action.ACTIVITY_CHANGE]
    monkeypatch.setitem(policy.PERMISSIONS, Action.PAYOUT_READ, opened)
    [difference] = matrix.differences(await tried(), known)
    assert "organiser" in difference.partition("now:")[2].partition("403")[0]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_foreign_thing_and_none_at_all_are_answered_alike(stage: Stage, service: str) -> None:
    """S2: 404 with the same words, so that nobody learns what exists beyond his own units."""
    tried = 0
    for route in routes_of(stage.world.apps[service]):
        sample = SAMPLES[service].get(route)
        if sample is None or "{" not in route or route in _STREAMS or "{plan_id}" in route:
            continue
        last = re.findall(r"\{(\w+)\}", route)[-1]
        if last in {"kind", "bucket", "token", "number"}:
            continue
        path, request = request_of(stage, route, sample)
        real = stage.ids[sample.ids.get(last, last)]
        for by in (user_at("welfare_officer", "other"), user_at("registrar", "other"), NOBODY):
            answers = []
            for address in (path, path.replace(real, str(uuid4()))):
                reply = await stage.world.send(service, route.split(" ")[0], address, by=by, **request)
                said = reply.json() if "json" in reply.headers["content-type"] else {}
                answers.append(
                    (reply.status_code, said.get("code"), said.get("detail"), said.get("problems"))
                )
            if f"{service} {route}" not in _SHOWN_BELOW:
                assert answers[0] == answers[1], f"{route} by {by}"
            tried += 1
    assert tried > (5 if service == "gateway" else 40)


@pytest.mark.parametrize("service", SERVICES)
async def test_no_list_search_or_count_shows_a_foreign_row(stage: Stage, service: str) -> None:
    """S2: lists that name no unit, asked from beside, from below and from another branch; the same from within finds some."""
    lists = [
        route
        for route in routes_of(stage.world.apps[service])
        if route not in _STREAMS
        and (route.endswith("/search") or re.fullmatch(r"GET [^{}]+", route))
        and "digest" not in route
    ]
    secret = {stage.ids[kind] for kind in stage.ids if kind not in _SEEN_ELSEWHERE}
    seen: dict[str, int] = {}
    for place in PLACES:
        for role in ROLES:
            for route in lists:
                path, request = request_of(stage, route, SAMPLES[service][route])
                request["params"] = {"year": "2026"} if "/budgets" in route else {}
                request["json"] = {"name": "欧阳"} if "members/search" in route else {"last_four": "3123"}
                if not route.endswith("members/search") and not route.endswith("dossiers/search"):
                    request.pop("json")
                if "/organisations/search" in route or "/enterprises/search" in route:
                    request["json"] = {"within": stage.world.units[place], "words": "示例"}
                reply = await stage.world.send(
                    service, route.split(" ")[0], path, by=user_at(role, place), **request
                )
                hits = sum(one in reply.text for one in secret)
                seen[place] = seen.get(place, 0) + hits
                if place in {"sibling", "other", "child"} and "transfers" not in route:
                    assert hits == 0, f"{route} by {role} at {place}: {reply.text}"
    assert service == "gateway" or (seen["own"] > 0 and seen["parent"] > 0)


def test_the_policy_knows_nobody_without_a_post() -> None:
    nobody = Caller("issuer", NOBODY, (), posts_as_of=None)  # type: ignore[arg-type]
    assert not [action for action in Action if nobody.paths(action)]
