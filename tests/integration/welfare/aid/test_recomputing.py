"""A stored judgement on a case is judged again by what it kept, and a doctored one is found out."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.support.aid import Aid

RULE = {"all": [{"age": {"min": 18, "max": 60}}, {"not": {"gender": ["male"]}}]}


async def decision(aid: Aid, case: dict[str, Any], *, expect: int = 200) -> Any:
    return await aid.welfare.call("GET", f"/cases/{case['id']}/decision", by=aid.officer, expect=expect)


async def test_a_judgement_comes_out_the_same_whatever_has_changed_since(aid: Aid) -> None:
    eligibility = {"all": [*RULE["all"], {"within": str(aid.unit.id)}]}
    programme = await aid.programme(eligibility=eligibility)
    member = await aid.member()
    drafted = await aid.case(programme, member)
    await decision(aid, drafted, expect=404)
    submitted = await aid.step(drafted, "submission", by=aid.officer)
    assert (await decision(aid, submitted))["happening"] == "submitted"
    approved = await aid.approve(submitted, approved_fen=90_000)
    # The member is another now, more was granted, and the programme is for nobody like that.
    await aid.approved(programme, member)
    terms = {name: programme[name] for name in ("name", "kind", "starts_on", "ends_on", "amount_rule")}
    change = terms | {"cap_per_time_fen": 1, "eligibility": {"gender": ["male"]}, "budget_id": aid.budget_id}
    await aid.welfare.call("PUT", f"/programmes/{programme['id']}", by=aid.officer, version=1, json=change)
    await aid.welfare.rows("UPDATE directory_members SET gender = 'male' WHERE id = $1", member.id)
    found = await decision(aid, approved)
    assert (found["happening"], found["version"], found["decision"]["amount_fen"]) == ("approved", 3, 90_000)
    assert (found["is_same"], found["differs"], found["refused"]) == (True, [], None)
    stranger = await aid.welfare.user("welfare_officer", await aid.welfare.unit())
    await aid.welfare.call("GET", f"/cases/{approved['id']}/decision", by=stranger, expect=404)


@pytest.mark.parametrize(
    ("place", "value", "differs", "refused"),
    [
        (["levels_up"], 1, ["levels_up"], None),
        (["amount_fen"], 99_000, ["approved_fen"], None),
        (["amount_fen"], 300_001, ["refused"], "amount-over-cap"),
        (["facts", "gender"], "male", ["refused"], "case-not-eligible"),
        (["facts", "age"], 61, ["refused"], "case-not-eligible"),
        (["rules"], [], ["refused"], "rule-missing"),
    ],
)
async def test_what_was_doctored_is_named(
    aid: Aid, place: list[str], value: object, differs: list[str], refused: str | None
) -> None:
    approved = await aid.approved(await aid.programme(eligibility=RULE), await aid.member())
    assert (await decision(aid, approved))["is_same"]
    async with aid.welfare.connected("owner") as connection:
        await connection.execute(
            "UPDATE case_history SET decision = jsonb_set(decision, $2, $3::text::jsonb) WHERE case_id = $1 AND version = 3",
            UUID(approved["id"]),
            place,
            orjson.dumps(value).decode(),
        )
    found = await decision(aid, approved)
    assert (found["is_same"], found["differs"], found["refused"]) == (False, differs, refused)
