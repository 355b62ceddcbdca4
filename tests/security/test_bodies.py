"""S6 and S9: fields that are not the caller's to set, and amounts that are none; generated from the OpenAPI documents."""

import copy
from typing import Any, Final

import orjson
import pytest

from tests.security.routes import body_schema, objects_in, resolved, routes_of
from tests.security.samples import SAMPLES, request_of
from tests.security.stage import MEMBER, Stage
from tests.security.world import OWNERS, user_at

#: What people would like to set: amounts, states, places, who decides, who owns.
WANTED: Final[dict[str, Any]] = {
    "id": "0190f000-0000-7000-8000-000000000000",
    "status": "active",
    "stage": "approved",
    "state": "paid",
    "version": 99,
    "path": "1/",
    "organisation_id": "0190f000-0000-7000-8000-000000000000",
    "approved_fen": 1,
    "amount_fen": 1,
    "paid_fen": 1,
    "reserved_fen": 0,
    "approved_by_subject": "me",
    "drafted_by_subject": "somebody-else",
    "hardship_class": "deep",
    "is_own": True,
    "role": "administrator",
    "user": {"issuer": "x", "subject": "me"},
}
#: A household may have had no income, and a sum of nothing.
_MAY_BE_ZERO: Final = {"PUT /api/v1/dossiers/{dossier_id}/persons/{person_id}/lines"}
_AMOUNTS: Final = [
    b"-1", b"0", b"1e30", b"NaN", b"Infinity", b"0.001", b'"100"', '"一百"'.encode(), b"true", b"[1]", b"{}",
    b"1000000000000000000000000000000", b"9223372036854775808", b"1e2", b"-0.0",
]  # fmt: skip
_MARK: Final = 123_454_321
_LEDGER: Final = """
    SELECT (SELECT count(*) FROM journal_entries), (SELECT count(*) FROM journal_lines),
        (SELECT array_agg((id, allocated_fen, reserved_fen, paid_fen, version) ORDER BY id)::text FROM budgets),
        (SELECT array_agg((id, requested_fen, approved_fen, stage) ORDER BY id)::text FROM cases)
"""


def bodies(stage: Stage, service: str) -> dict[str, dict[str, Any]]:
    """The schema of the JSON body of each route that takes one."""
    app = stage.world.apps[service]
    found = {route: body_schema(app, operation) for route, operation in routes_of(app).items()}
    return {route: schema for route, schema in found.items() if schema is not None}


def put(body: Any, at: tuple[str | int, ...], value: Any) -> bool:
    """Set what stands there; whether there was a place for it."""
    for step in at[:-1]:
        if isinstance(body, dict) and step not in body:
            return False
        body = body[step]
    body[at[-1]] = value
    return True


@pytest.mark.parametrize("service", OWNERS)
async def test_every_object_of_every_body_refuses_what_it_does_not_know(stage: Stage, service: str) -> None:
    checked = 0
    for route, schema in bodies(stage, service).items():
        for at, inner in objects_in(stage.world.apps[service], schema):
            assert inner.get("additionalProperties") is False, f"{route} at {at}"
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("service", OWNERS)
async def test_nobody_sets_by_body_what_is_not_asked_for(stage: Stage, service: str) -> None:
    tried = 0
    for route, schema in bodies(stage, service).items():
        path, request = request_of(stage, route, SAMPLES[service][route])
        for at, inner in objects_in(stage.world.apps[service], schema):
            for name, value in WANTED.items():
                body = copy.deepcopy(request["json"])
                if name in inner["properties"] or not put(body, (*at, name), value):
                    continue
                reply = await stage.world.send(
                    service,
                    route.split(" ")[0],
                    path,
                    by=user_at("registrar", "own"),
                    **request | {"json": body},
                )
                assert reply.status_code == 422, f"{route} {at} {name}: {reply.status_code} {reply.text}"
                assert any(problem["path"].endswith(name) for problem in reply.json()["problems"]), reply.text
                tried += 1
    assert tried > 150


@pytest.mark.parametrize("service", OWNERS)
async def test_blanks_are_no_reason_no_name_and_no_source(stage: Stage, service: str) -> None:
    tried = 0
    for route, schema in bodies(stage, service).items():
        path, request = request_of(stage, route, SAMPLES[service][route])
        for at, inner in objects_in(stage.world.apps[service], schema):
            for name, described in inner["properties"].items():
                said = resolved(stage.world.apps[service], described)
                if said.get("type") != "string" or said.get("minLength") != 1:
                    continue
                body = copy.deepcopy(request["json"])
                if not put(body, (*at, name), " \u3000\t"):
                    continue
                method, by = route.split(" ")[0], user_at("registrar", "own")
                reply = await stage.world.send(service, method, path, by=by, **request | {"json": body})
                assert reply.status_code == 422, f"{route} {at} {name}: {reply.status_code} {reply.text}"
                tried += 1
    assert tried > 5


def amounts(stage: Stage) -> list[tuple[str, tuple[str | int, ...]]]:
    """Every field that holds money: the route and where it stands in the body."""
    return [
        (route, (*at, name))
        for route, schema in bodies(stage, "welfare").items()
        for at, inner in objects_in(stage.world.apps["welfare"], schema)
        for name in inner["properties"]
        if name.endswith("_fen")
    ]


def payer(route: str) -> str:
    """A user whose request the amount alone can stop."""
    if "/me/" in route:
        return MEMBER
    if "/budgets" in route:
        return user_at("treasurer", "own")
    return user_at("approver" if route.endswith("/approval") else "welfare_officer", "own")


async def test_an_amount_is_a_whole_number_of_fen_above_nothing(stage: Stage) -> None:
    fields = amounts(stage)
    assert len(fields) >= 14
    before = await stage.world.rows("welfare", _LEDGER)
    for route, at in fields:
        path, request = request_of(stage, route, SAMPLES["welfare"][route])
        body = request.pop("json")
        assert put(body, at, _MARK)
        for amount in _AMOUNTS:
            if amount == b"0" and route in _MAY_BE_ZERO:
                continue
            request["content"] = orjson.dumps(body).replace(str(_MARK).encode(), amount)
            request["headers"] = {"Content-Type": "application/json"}
            reply = await stage.world.send("welfare", route.split(" ")[0], path, by=payer(route), **request)
            expected = {400} if amount in {b"NaN", b"Infinity"} else {422}
            assert reply.status_code in expected, f"{route} {at} {amount!r}: {reply.status_code} {reply.text}"
    assert await stage.world.rows("welfare", _LEDGER) == before


async def test_a_good_amount_passes_where_a_bad_one_is_stopped(stage: Stage) -> None:
    """The allowed twin: the same requests, unchanged, get as far as the version, the state or the journal."""
    for route in {route for route, _ in amounts(stage)}:
        path, request = request_of(stage, route, SAMPLES["welfare"][route])
        reply = await stage.world.send("welfare", route.split(" ")[0], path, by=payer(route), **request)
        assert reply.status_code in {200, 201, 409, 412}, f"{route}: {reply.status_code} {reply.text}"
