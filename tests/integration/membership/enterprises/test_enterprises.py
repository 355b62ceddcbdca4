"""The register of employers over HTTP, and the rates of a subtree."""

from itertools import count
from typing import Any
from uuid import uuid4

from tests.support.membership import Federation, credit_code

_serial = count(uuid4().int % 9_000_000)


def report(area: str, **changes: Any) -> dict[str, Any]:
    return {
        "credit_code": credit_code(next(_serial)),
        "name": "示例机械厂",
        "industry": "制造业",
        "ownership": "private",
        "headcount": 100,
        "women": 40,
        "migrant_workers": 60,
        "dispatched_workers": 10,
        "unionised": False,
        "verified_on": "2026-03-10",
        "area_id": area,
    } | changes


def update(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "credit_code"} | changes


async def test_an_employer_is_registered_and_updated(federation: Federation) -> None:
    county = await federation.unit()
    plant = await federation.unit(county["id"], kind="enterprise")
    registrar = await federation.user("registrar", county["id"])
    body = report(county["id"])
    registered = await federation.call("POST", "/enterprises", by=registrar, json=body, expect=201)
    assert registered["credit_code"] == body["credit_code"]
    path = f"/enterprises/{registered['id']}"
    later = update(body, unionised=True, organisation_id=plant["id"], headcount=120, verified_on="2026-03-16")
    updated = await federation.call("PUT", path, by=registrar, version=1, json=later)
    assert (updated["organisation_id"], updated["headcount"], updated["version"]) == (plant["id"], 120, 2)
    await federation.call("PUT", path, by=registrar, version=1, expect=412, json=later)
    assert await federation.events(registered["id"]) == [
        ("enterprise.registered.v1", 1),
        ("enterprise.updated.v1", 2),
    ]
    # It stands where the unit that serves it stands.
    at_plant = await federation.user("auditor", plant["id"])
    await federation.call("GET", path, by=at_plant)
    await federation.call("PUT", path, by=at_plant, version=2, expect=403, json=later)


async def test_a_credit_code_is_checked_and_registered_once(federation: Federation) -> None:
    county, other = await federation.unit(), await federation.unit()
    body = report(county["id"])
    await federation.call("POST", "/enterprises", json=body, expect=201)
    registrar = await federation.user("registrar", other["id"])
    twice = body | {"area_id": other["id"]}
    refused = await federation.call("POST", "/enterprises", by=registrar, json=twice, expect=409)
    assert refused["code"] == "enterprise-exists"
    wrong = report(county["id"], credit_code="91990000MA0000000X")
    refused = await federation.call("POST", "/enterprises", json=wrong, expect=422, language="en")
    assert refused["code"] == "credit-code-invalid"
    figures = report(county["id"], women=101, unionised=True)
    refused = await federation.call("POST", "/enterprises", json=figures, expect=422)
    assert {problem["code"] for problem in refused["problems"]} == {
        "enterprise-part-above-headcount",
        "enterprise-unionised-by-nobody",
    }
    await federation.call("POST", "/enterprises", json=report(county["id"], headcount=-1), expect=422)
    # Not beyond one's own units.
    await federation.call("POST", "/enterprises", by=registrar, json=report(county["id"]), expect=404)


async def test_rates_of_a_subtree_follow_the_move_of_a_unit(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    plant = await federation.unit(old["id"], kind="enterprise")
    served = report(old["id"], unionised=True, organisation_id=plant["id"], headcount=200)
    await federation.call("POST", "/enterprises", json=served, expect=201)
    await federation.call("POST", "/enterprises", json=report(old["id"]), expect=201)

    async def rates(unit: dict[str, Any]) -> tuple[Any, Any]:
        reply = await federation.call("GET", f"/organisations/{unit['id']}/rates")
        return reply["formation"], reply["membership"]

    nothing = {"numerator": 0, "denominator": 0, "value": None}
    assert await rates(old) == (
        {"numerator": 1, "denominator": 2, "value": 0.5},
        {"numerator": 0, "denominator": 200, "value": 0.0},
    )
    assert await rates(new) == (nothing, nothing)
    await federation.call(
        "POST", f"/organisations/{plant['id']}/move", version=1, json={"parent_id": new["id"]}
    )
    assert await rates(old) == ({"numerator": 0, "denominator": 1, "value": 0.0}, nothing)
    assert await rates(new) == (
        {"numerator": 1, "denominator": 1, "value": 1.0},
        {"numerator": 0, "denominator": 200, "value": 0.0},
    )


async def test_employers_are_found_by_name_and_code_within_a_subtree(federation: Federation) -> None:
    county, other = await federation.unit(), await federation.unit()
    bodies = [report(county["id"], name=f"甲{number}纺织厂") for number in range(3)]
    ids = [(await federation.call("POST", "/enterprises", json=body, expect=201))["id"] for body in bodies]
    await federation.call("POST", "/enterprises", json=report(other["id"], name="甲纺织厂"), expect=201)

    async def found(**search: Any) -> list[str]:
        page = await federation.call("POST", "/enterprises/search", json={"within": county["id"]} | search)
        items = [item["id"] for item in page["items"]]
        return items + (
            await found(**search | {"cursor": page["next_cursor"]}) if page["next_cursor"] else []
        )

    assert await found(limit=2) == sorted(ids)
    assert await found(words="甲1纺") == [ids[1]]
    assert await found(words=bodies[2]["credit_code"].lower()) == [ids[2]]
    registrar = await federation.user("registrar", other["id"])
    search = {"within": county["id"]}
    await federation.call("POST", "/enterprises/search", by=registrar, json=search, expect=404)


async def test_a_unit_that_serves_an_employer_is_not_dissolved(federation: Federation) -> None:
    county, successor = await federation.unit(), await federation.unit()
    await federation.call("POST", "/enterprises", json=report(county["id"]), expect=201)
    body = {"successor_id": successor["id"]}
    refused = await federation.call(
        "POST", f"/organisations/{county['id']}/dissolution", version=1, expect=409, json=body
    )
    assert [problem["code"] for problem in refused["problems"]] == ["organisation-still-has-enterprises"]
