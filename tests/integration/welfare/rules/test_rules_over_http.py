"""Rules over HTTP: who sets them, what is refused, which one holds where and when."""

import json
from typing import Any

import asyncpg
import pytest

from tests.support.welfare import Unit, Welfare


def rule(unit: Unit, **fields: Any) -> dict[str, Any]:
    return {
        "organisation_id": str(unit.id),
        "key": "dibao_line",
        "value": 90_000,
        "valid_from": "2026-01-01",
        "source": "民政〔2026〕1 号",
    } | fields


async def effective(welfare: Welfare, unit: Unit, by: str, on: str) -> dict[str, Any]:
    query = {"organisation": str(unit.id), "on": on}
    found = await welfare.call("GET", "/rules/effective", by=by, params=query)
    return {item["key"]: item["value"] for item in found["items"]}


async def test_the_nearest_rule_of_the_day_holds(welfare: Welfare) -> None:
    above = await welfare.unit()
    below = await welfare.unit(above)
    administrator, reader = await welfare.user("administrator", above), await welfare.user("auditor", below)
    first = await welfare.call("POST", "/rules", by=administrator, json=rule(above), expect=201)
    ended = await welfare.call(
        "POST", f"/rules/{first['id']}/end", by=administrator, version=1, json={"on": "2026-06-30"}
    )
    assert (ended["valid_to"], ended["version"]) == ("2026-06-30", 2)
    later = rule(above, value=95_000, valid_from="2026-07-01")
    await welfare.call("POST", "/rules", by=administrator, json=later, expect=201)
    near = rule(below, value=80_000, valid_from="2026-03-01", valid_to="2026-03-31")
    await welfare.call("POST", "/rules", by=administrator, json=near, expect=201)
    for on, expected in (
        ("2026-02-28", 90_000),
        ("2026-03-01", 80_000),
        ("2026-03-31", 80_000),
        ("2026-06-30", 90_000),
        ("2026-07-01", 95_000),
        ("2025-12-31", None),
    ):
        assert (await effective(welfare, below, reader, on)).get("dibao_line") == expected


async def test_validity_of_one_key_and_place_does_not_overlap(welfare: Welfare) -> None:
    unit, other = await welfare.unit(), await welfare.unit()
    administrator = await welfare.user("administrator", welfare.top)
    await welfare.call("POST", "/rules", by=administrator, json=rule(unit, valid_to="2026-06-30"), expect=201)
    clash = rule(unit, valid_from="2026-06-30", value=1)
    await welfare.refused("rule-overlaps", 409, "POST", "/rules", by=administrator, json=clash)
    for fits in (rule(unit, valid_from="2026-07-01"), rule(other), rule(unit, key="minimum_wage")):
        await welfare.call("POST", "/rules", by=administrator, json=fits, expect=201)


@pytest.mark.parametrize(
    "value", ["-1", "0", "0.5", "1e30", '"90000"', "true", "null", "[]", "10000000000001"]
)
async def test_a_wrong_amount_names_its_field(welfare: Welfare, value: str) -> None:
    unit = await welfare.unit()
    administrator = await welfare.user("administrator", unit)
    body = rule(unit) | {"value": "HERE"}
    content = json.dumps(body).replace('"HERE"', value)
    problem = await welfare.refused(
        "rule-invalid",
        422,
        "POST",
        "/rules",
        by=administrator,
        content=content,
        headers={"Content-Type": "application/json"},
    )
    assert [error["path"] for error in problem["problems"]] == ["value"]
    assert await welfare.rows("SELECT 1 FROM rules WHERE organisation_id = $1", unit.id) == []


async def test_only_an_administrator_of_the_place_sets_rules_and_everyone_with_a_post_reads(
    welfare: Welfare,
) -> None:
    above = await welfare.unit()
    unit, sibling = await welfare.unit(above), await welfare.unit(above)
    administrator = await welfare.user("administrator", unit)
    made = await welfare.call("POST", "/rules", by=administrator, json=rule(unit), expect=201)
    await welfare.refused("not-found", 404, "POST", "/rules", by=administrator, json=rule(sibling))
    await welfare.refused("not-found", 404, "POST", "/rules", by=administrator, json=rule(above))
    officer = await welfare.user("welfare_officer", unit)
    refused = rule(unit, key="minimum_wage")
    await welfare.refused("not-allowed", 403, "POST", "/rules", by=officer, json=refused)
    ending = f"/rules/{made['id']}/end"
    await welfare.refused(
        "not-allowed", 403, "POST", ending, by=officer, version=1, json={"on": "2026-12-31"}
    )
    far = await welfare.user("organiser", sibling)
    assert (await welfare.call("GET", f"/rules/{made['id']}", by=far))["value"] == 90_000
    await welfare.refused("not-allowed", 403, "GET", f"/rules/{made['id']}", by="nobody")
    listed = await welfare.call("GET", "/rules", by=officer)
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    assert (await welfare.call("GET", "/rules", by=far))["items"] == []


async def test_the_defaults_are_given_once(welfare: Welfare) -> None:
    unit = await welfare.unit()
    administrator = await welfare.user("administrator", unit)
    await welfare.call("POST", "/rules", by=administrator, json=rule(unit, value=1), expect=201)
    body = {"organisation_id": str(unit.id)}
    made = await welfare.call("POST", "/rules/defaults", by=administrator, json=body)
    assert "dibao_line" not in {item["key"] for item in made["items"]}
    assert (await welfare.call("POST", "/rules/defaults", by=administrator, json=body))["items"] == []
    assert (await effective(welfare, unit, administrator, "2026-03-16"))["dibao_line"] == 1
    pages, cursor = [], None
    while True:
        query = {"organisation": str(unit.id), "limit": 4} | ({"cursor": cursor} if cursor else {})
        page = await welfare.call("GET", "/rules", by=administrator, params=query)
        pages += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(pages) == len(set(pages)) == len(made["items"]) + 1


async def test_the_same_command_twice_makes_one_rule(welfare: Welfare) -> None:
    unit = await welfare.unit()
    administrator = await welfare.user("administrator", unit)
    replies = [
        await welfare.send("POST", "/rules", by=administrator, key="same-key-twice", json=rule(unit))
        for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].json() == replies[1].json()


async def test_no_role_changes_a_value_or_removes_a_rule(welfare: Welfare) -> None:
    unit = await welfare.unit()
    administrator = await welfare.user("administrator", unit)
    made = await welfare.call("POST", "/rules", by=administrator, json=rule(unit), expect=201)
    for role in ("app", "worker"):
        async with welfare.connected(role) as connection:
            await connection.execute("SELECT set_config('app.scope', $1, false)", unit.path)
            for statement in (
                "UPDATE rules SET value = '1' WHERE id = $1",
                "DELETE FROM rules WHERE id = $1",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement, made["id"])
    async with welfare.connected("app") as connection:
        for scope, changed in (("", 0), (f"{unit.path}ffff/", 0), (unit.path, 1)):
            await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            done = await connection.execute("UPDATE rules SET version = version WHERE id = $1", made["id"])
            assert done == f"UPDATE {changed}"
