"""S8: the same command again, under another body, by another user, fifty at once: one effect."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.security import matrix
from tests.security.routes import routes_of, takes
from tests.security.samples import SAMPLES, request_of
from tests.security.stage import MEMBER, Stage
from tests.security.world import OWNERS, user_at

REPLAYED = "idempotency-replayed"


def allowed(service: str, route: str) -> str:
    """A user whom the matrix lets in, at the unit itself."""
    if "/me/" in route or route.endswith("/feedback"):
        return MEMBER
    for line in matrix.read()[f"{service} {route}"].splitlines():
        words = line.split()
        if words[0] == "yes" and "own" in words:
            last = words[-1]
            return user_at("registrar" if last == "everyone" else last, "own")
    raise AssertionError(f"nobody may {route}")


def keyed(stage: Stage, service: str) -> list[str]:
    """Every POST that takes an Idempotency-Key."""
    operations = routes_of(stage.world.apps[service])
    return [route for route, operation in operations.items() if takes(operation, "idempotency-key")]


@pytest.mark.parametrize("service", OWNERS)
async def test_a_key_belongs_to_one_command_of_one_user(stage: Stage, service: str) -> None:
    done = []
    for route in keyed(stage, service):
        path, request = request_of(stage, route, SAMPLES[service][route])
        by, key = allowed(service, route), str(uuid4())
        first = await stage.world.send(service, "POST", path, by=by, key=key, **request)
        if first.status_code >= 300:
            continue
        again = await stage.world.send(service, "POST", path, by=by, key=key, **request)
        assert (again.status_code, again.content) == (first.status_code, first.content), route
        assert again.headers.get(REPLAYED) == "true", route
        if "json" in request:
            other = request | {"json": request["json"] | {"unasked": 1}}
            refused = await stage.world.send(service, "POST", path, by=by, key=key, **other)
            assert refused.status_code == 422, f"{route}: {refused.text}"
        stranger = await stage.world.send(
            service, "POST", path, by=user_at("auditor", "other"), key=key, **request
        )
        assert REPLAYED not in stranger.headers, route
        assert first.content not in stranger.content, route
        done.append(route)
    assert len(done) >= {"membership": 7, "welfare": 6, "events": 4}[service], done


@pytest.mark.parametrize("service", OWNERS)
async def test_a_key_is_asked_for(stage: Stage, service: str) -> None:
    for route in keyed(stage, service):
        path, request = request_of(stage, route, SAMPLES[service][route])
        for key, code in (("", "idempotency-key-malformed"), ("x" * 129, "idempotency-key-malformed")):
            request["headers"] = {"Idempotency-Key": key}
            reply = await stage.world.send(service, "POST", path, by=allowed(service, route), **request)
            assert (reply.status_code, reply.json()["code"]) == (400, code), route


async def fifty(stage: Stage, service: str, route: str) -> list[Any]:
    """The same command fifty times at once; the replies that say it was done."""
    path, request = request_of(stage, route, SAMPLES[service][route])
    by, key = allowed(service, route), str(uuid4())
    replies = await asyncio.gather(
        *(stage.world.send(service, "POST", path, by=by, key=key, **request) for _ in range(50))
    )
    done = [reply.content for reply in replies if reply.status_code == 201]
    waiting = [reply for reply in replies if reply.status_code != 201]
    assert all(reply.json()["code"] in {"request-still-running", "database-busy"} for reply in waiting)
    assert len(set(done)) == 1
    return done


async def test_fifty_at_once_have_one_effect(stage: Stage) -> None:
    for service, route, counted in (
        ("welfare", "POST /api/v1/budgets/{budget_id}/income", "journal_entries"),
        ("welfare", "POST /api/v1/budgets/{budget_id}/allocations", "journal_entries"),
        ("welfare", "POST /api/v1/cases", "cases"),
        ("welfare", "POST /api/v1/programmes", "programmes"),
        ("welfare", "POST /api/v1/dossiers", "dossiers"),
        ("events", "POST /api/v1/activities", "activities"),
        ("membership", "POST /api/v1/members/applications", "members"),
    ):
        sql = f"SELECT count(*) AS n FROM {counted}"
        [before] = await stage.world.rows(service, sql)
        await fifty(stage, service, route)
        [after] = await stage.world.rows(service, sql)
        assert after["n"] == before["n"] + 1, route
