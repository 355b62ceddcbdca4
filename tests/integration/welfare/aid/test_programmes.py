"""Programmes over HTTP: terms, whom they help, what that costs."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.kernel.ids import new_id
from tests.support.aid import YEAR, Aid, aid_of


async def test_a_programme_is_opened_changed_and_told_of(aid: Aid) -> None:
    made = await aid.programme()
    terms = {name: value for name, value in made.items() if name not in {"id", "organisation_id", "version"}}
    path = f"/programmes/{made['id']}"
    changed = await aid.welfare.call(
        "PUT", path, by=aid.officer, version=1, json=terms | {"cap_per_time_fen": 200_000}
    )
    assert (changed["cap_per_time_fen"], changed["version"]) == (200_000, 2)
    await aid.welfare.call("PUT", path, by=aid.officer, version=1, json=terms, expect=412)
    assert await aid.welfare.events(made["id"]) == [("programme.opened.v1", 1), ("programme.changed.v1", 2)]
    versions = await aid.welfare.rows(
        "SELECT terms FROM programme_history WHERE programme_id = $1 ORDER BY version", UUID(made["id"])
    )
    assert len(versions) == 2


async def test_who_may_open_and_who_sees_a_programme(aid: Aid) -> None:
    lower, sibling = await aid.welfare.unit(aid.unit), await aid.welfare.unit()
    for user in (aid.approver, aid.treasurer):
        await aid.programme(by=user, expect=403)
    stranger = await aid.welfare.user("welfare_officer", sibling)
    await aid.programme(by=stranger, expect=404)
    made = await aid.programme()
    below = await aid.welfare.user("registrar", lower)
    for user, status in ((below, 200), (stranger, 404), (aid.approver, 200)):
        await aid.welfare.call("GET", f"/programmes/{made['id']}", by=user, expect=status)
        listed = await aid.welfare.call("GET", "/programmes", by=user)
        assert (made["id"] in {item["id"] for item in listed["items"]}) == (status == 200)
    await aid.welfare.call("PUT", f"/programmes/{made['id']}", by=below, version=1, json={}, expect=422)
    lower_officer = await aid.welfare.user("welfare_officer", lower)
    terms = {name: value for name, value in made.items() if name not in {"id", "organisation_id", "version"}}
    # Seen from below, but not theirs to change.
    await aid.welfare.call(
        "PUT", f"/programmes/{made['id']}", by=lower_officer, version=1, json=terms, expect=404
    )


async def test_a_member_finds_what_to_apply_for_and_nothing_of_the_budget(aid: Aid) -> None:
    lower, sibling = await aid_of(aid.welfare, aid.membership, aid.unit), await aid.welfare.unit()
    above = [await aid.programme(name=f"救助 {number}") for number in range(3)]
    own = await lower.programme()
    await aid.programme(starts_on=f"{YEAR - 1}-01-01", ends_on=f"{YEAR - 1}-12-31")
    below, here, beside, nobody = (f"member-{new_id()}" for _ in range(4))
    for subject, unit in ((below, lower.unit), (here, aid.unit), (beside, sibling)):
        await aid.member(subject=subject, at=unit)
    found = await aid.welfare.call("GET", "/me/programmes", by=below)
    assert [item["id"] for item in found["items"]] == [item["id"] for item in (*above, own)]
    hidden = {"organisation_id", "budget_id", "eligibility", "version"}
    assert found["items"][0] == {name: value for name, value in above[0].items() if name not in hidden}
    # Of the unit below, and elsewhere, nothing.
    found = await aid.welfare.call("GET", "/me/programmes", by=here)
    assert [item["id"] for item in found["items"]] == [item["id"] for item in above]
    assert (await aid.welfare.call("GET", "/me/programmes", by=beside))["items"] == []
    refused = await aid.welfare.call("GET", "/me/programmes", by=nobody, expect=404)
    assert refused["code"] == "no-own-member"
    read, page = [], await aid.welfare.call("GET", "/me/programmes?limit=2", by=below)
    while True:
        read += [item["id"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        next_page = f"/me/programmes?limit=2&cursor={page['next_cursor']}"
        await aid.welfare.call("GET", next_page, by=here, expect=400)
        page = await aid.welfare.call("GET", next_page, by=below)
    assert read == [item["id"] for item in (*above, own)]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"ends_on": "2025-01-01"}, "programme-ends-before-start"),
        ({"amount_rule": "fixed"}, "programme-fixed-amount"),
        ({"fixed_fen": 100}, "programme-fixed-amount"),
        ({"cap_per_time_fen": None}, "programme-cap-missing"),
        ({"cap_per_year_fen": 100}, "programme-caps-contradict"),
        ({"budget_id": str(new_id())}, "programme-budget-elsewhere"),
        ({"eligibility": {}}, "eligibility-one-criterion"),
        ({"eligibility": {"all": []}}, "eligibility-empty"),
        ({"eligibility": {"income": 3}}, "eligibility-unknown"),
        ({"eligibility": {"age": {"min": 60, "max": 20}}}, "eligibility-contradictory"),
        (
            {"eligibility": {"all": [{"gender": ["male"]}, {"gender": ["female"]}]}},
            "eligibility-contradictory",
        ),
        (
            {"eligibility": {"any": [{"gender": ["male"]}, {"not": {"gender": ["male"]}}]}},
            "eligibility-selects-everybody",
        ),
        ({"eligibility": {"within": str(new_id())}}, "eligibility-unit-unknown"),
    ],
)
async def test_terms_that_cannot_be_meant_are_refused(aid: Aid, terms: dict[str, Any], code: str) -> None:
    assert (await aid.programme(expect=422, **terms))["code"] == code


@pytest.mark.parametrize("amount", [0, -1, 0.001, 1e30, "100", 10_000_000_000_001])
@pytest.mark.parametrize("field", ["fixed_fen", "cap_per_time_fen", "cap_per_year_fen"])
async def test_no_amount_but_a_whole_number_of_fen_is_taken(aid: Aid, field: str, amount: Any) -> None:
    await aid.programme(expect=422, **{field: amount})


async def test_a_preview_counts_people_and_cost_by_unit(aid: Aid) -> None:
    one, other = [await aid.welfare.unit(aid.unit) for _ in range(2)]
    deeper = await aid.welfare.unit(one)
    for at, count in ((one, 2), (deeper, 3), (other, 1), (aid.unit, 1)):
        for _ in range(count):
            await aid.member(at=at)
    await aid.member(at=one, status="withdrawn")
    await aid.member(at=one, gender="male")
    programme = await aid.programme(eligibility={"gender": ["female"]}, cap_per_time_fen=2_000_000)
    shown = await aid.welfare.call("POST", f"/programmes/{programme['id']}/preview", by=aid.officer, json={})
    assert (shown["people"], shown["cost_fen"], shown["affordable"]) == (7, 14_000_000, False)
    known = "SELECT as_of FROM consumer_freshness WHERE consumer = 'welfare.directory'"
    assert datetime.fromisoformat(shown["as_of"]) == (await aid.welfare.rows(known))[0]["as_of"]
    counts = {unit["organisation_id"]: unit["people"] for unit in shown["units"]}
    assert counts == {str(one.id): 5, str(other.id): 1, str(aid.unit.id): 1}
    part = {"organisation_id": str(one.id), "amount_fen": 100}
    shown = await aid.welfare.call(
        "POST", f"/programmes/{programme['id']}/preview", by=aid.officer, json=part
    )
    assert (shown["people"], shown["cost_fen"], shown["affordable"]) == (5, 500, True)
    assert {unit["organisation_id"]: unit["people"] for unit in shown["units"]} == {
        str(one.id): 2,
        str(deeper.id): 3,
    }


async def test_a_preview_is_for_those_who_may_know(aid: Aid) -> None:
    programme = await aid.programme()
    registrar = await aid.welfare.user("registrar", aid.unit)
    path = f"/programmes/{programme['id']}/preview"
    await aid.welfare.call("POST", path, by=registrar, json={}, expect=403)
    elsewhere = await aid.welfare.unit()
    officer = await aid.welfare.user("welfare_officer", aid.welfare.top)
    body = {"organisation_id": str(elsewhere.id)}
    await aid.welfare.refused("programme-not-for-unit", 422, "POST", path, by=officer, json=body)
    await aid.welfare.call("POST", path, by=aid.officer, json=body, expect=404)


async def test_every_reason_against_a_member_is_named_in_both_languages(aid: Aid) -> None:
    programme = await aid.programme(
        eligibility={
            "all": [
                {"age": {"min": 36}},
                {"not": {"gender": ["female"]}},
                {"hardship_class": ["deep"]},
                {"member_months": 3},
            ]
        }
    )
    member = await aid.member(joined_on=date(2020, 1, 1))
    path, body = f"/programmes/{programme['id']}/eligibility", {"member_id": str(member.id)}
    shown = await aid.welfare.call("POST", path, by=aid.officer, json=body)
    assert not shown["eligible"]
    codes = {(reason["code"], reason["negated"]) for reason in shown["reasons"]}
    assert codes == {
        ("eligibility-age", False),
        ("eligibility-gender", True),
        ("eligibility-hardship-class", False),
    }
    english = await aid.welfare.call("POST", path, by=aid.officer, json=body, language="en")
    assert all(reason["text"].isascii() for reason in english["reasons"])
    # 36 in June, which the year of birth alone would say already.
    aid.membership.changed[member.id] = {"birth_date": "1990-03-16"}
    shown = await aid.welfare.call("POST", path, by=aid.officer, json=body)
    assert "eligibility-age" not in {reason["code"] for reason in shown["reasons"]}
    case = await aid.case(programme, member)
    refused = await aid.step(case, "submission", by=aid.officer, expect=409)
    assert refused["code"] == "case-not-eligible"
    assert {problem["code"] for problem in refused["problems"]} == {
        "eligibility-gender-excluded",
        "eligibility-hardship-class",
    }


async def test_caps_of_a_year_count_what_was_granted_anywhere(aid: Aid) -> None:
    programme = await aid.programme(cap_per_time_fen=200_000, cap_per_year_fen=300_000)
    member = await aid.member()
    await aid.approved(programme, member, requested_fen=200_000)
    second = await aid.case(programme, member, requested_fen=100_001)
    refused = await aid.step(second, "submission", by=aid.officer, expect=409)
    assert (refused["code"], refused["detail"].count("3000.00")) == ("year-cap-reached", 1)
    # The member has moved; what was granted there still counts.
    elsewhere = await aid.welfare.unit(aid.unit)
    async with aid.welfare.connected() as connection:
        await connection.execute(
            "UPDATE directory_members SET organisation_id = $1, sequence = 2 WHERE id = $2",
            elsewhere.id,
            member.id,
        )
    refused = await aid.step(
        await aid.case(programme, member, requested_fen=100_001), "submission", by=aid.officer, expect=409
    )
    assert refused["code"] == "year-cap-reached"
    assert (await aid.approved(programme, member, requested_fen=100_000))["approved_fen"] == 100_000


async def test_warmth_keeps_the_caps_of_the_rules(aid: Aid) -> None:
    programme = await aid.programme(kind="warmth", cap_per_time_fen=1_000_000)
    member = await aid.member()
    over = await aid.case(programme, member, requested_fen=300_001)
    assert (await aid.step(over, "submission", by=aid.officer, expect=422))["code"] == "amount-over-cap"
    for _ in range(2):
        await aid.approved(programme, member, requested_fen=300_000)
    other = await aid.programme(kind="warmth")
    third = await aid.case(other, member, requested_fen=1)
    assert (await aid.step(third, "submission", by=aid.officer, expect=409))["code"] == "year-cap-reached"


async def test_who_was_helped_lately_waits(aid: Aid) -> None:
    rule = {"not_helped": {"months": 12, "by": "any"}}
    programme, first = await aid.programme(eligibility=rule), await aid.programme()
    member = await aid.member()
    path = f"/programmes/{programme['id']}/preview"
    assert (await aid.welfare.call("POST", path, by=aid.officer, json={}))["people"] == 1
    approved = await aid.approved(first, member)
    assert (await aid.welfare.call("POST", path, by=aid.officer, json={}))["people"] == 0
    case = await aid.case(programme, member)
    assert (await aid.step(case, "submission", by=aid.officer, expect=409))["code"] == "case-not-eligible"
    # A cancelled case is no help.
    await aid.step(approved, "cancellation", by=aid.approver, reason="重复")
    assert (await aid.step(case, "submission", by=aid.officer))["stage"] == "submitted"
