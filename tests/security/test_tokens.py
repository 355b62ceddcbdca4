"""S5: every kind of bad token on every service, and no token on every route."""

from typing import Any

import pytest

from tests.integration.web.test_tokens import BAD, GOOD
from tests.security.routes import routes_of
from tests.security.samples import SAMPLES, request_of
from tests.security.stage import Stage
from tests.security.world import SERVICES, user_at

GUARDED = {
    "membership": "/organisations",
    "welfare": "/budgets?year=2026",
    "events": "/activities",
    "gateway": "/work",
}
#: The secret address is all that a calendar programme has.
OPEN = {"GET /api/v1/calendars/{token}.ics"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused_everywhere(stage: Stage, service: str, kind: str) -> None:
    headers = {"Authorization": f"Bearer {BAD[kind](stage.world.issuer)}"}
    reply = await stage.world.send(service, "GET", GUARDED[service], by=None, headers=headers)
    assert (reply.status_code, reply.json()["status"]) == (401, 401)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", GOOD)
async def test_a_good_token_is_let_in_everywhere(stage: Stage, service: str, kind: str) -> None:
    """Let in; that "rita" of the token holds no post is another matter."""
    headers = {"Authorization": f"Bearer {GOOD[kind](stage.world.issuer)}"}
    reply = await stage.world.send(service, "GET", GUARDED[service], by=None, headers=headers)
    assert reply.status_code in {200, 403}


@pytest.mark.parametrize("service", SERVICES)
async def test_no_route_answers_without_a_token(stage: Stage, service: str) -> None:
    for route in routes_of(stage.world.apps[service]):
        path, request = request_of(stage, route, SAMPLES[service][route])
        reply = await stage.world.send(service, route.split(" ")[0], path, by=None, **request)
        assert (reply.status_code == 401) == (route not in OPEN), f"{service} {route}: {reply.status_code}"


@pytest.mark.parametrize("service", SERVICES)
async def test_claims_of_roles_give_nothing(stage: Stage, service: str) -> None:
    roles: dict[str, Any] = {
        "roles": ["administrator", "treasurer"],
        "realm_access": {"roles": ["administrator"]},
    }
    token = stage.world.issuer.token_for("stranger", **roles)
    claimed = {"Authorization": f"Bearer {token}"}
    organisation = f"/audit?organisation={stage.own}"
    reply = await stage.world.send(service, "GET", organisation, by=None, headers=claimed)
    assert reply.status_code == 404
    twin = await stage.world.send(service, "GET", organisation, by=user_at("auditor", "own"))
    assert twin.status_code == 200
