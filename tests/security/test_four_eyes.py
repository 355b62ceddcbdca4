"""S7: nobody decides on what he had a hand in, nothing is changed after it was approved; and the audit tells of each try."""

from typing import Any
from uuid import uuid4

from tests.security import stage as stages
from tests.security.stage import MEMBER, Stage
from tests.support.rosters import resident_id


async def tries(stage: Stage, service: str, subject_id: str) -> list[tuple[str, str, str]]:
    """(who, what, code) of the refused tries on one thing, oldest first."""
    sql = """
        SELECT actor_subject, action, details->>'code' AS code FROM audit_entries
        WHERE subject_id = $1::text::uuid AND action LIKE '%.refused' ORDER BY id
    """
    return [
        (row["actor_subject"], row["action"], row["code"])
        for row in await stage.world.rows(service, sql, subject_id)
    ]


async def both(stage: Stage, *roles: str) -> str:
    """A user who holds several roles at the unit."""
    subject = f"both-{uuid4().hex[:8]}"
    for role in roles:
        await stage.world.user(role, stage.own, subject)
    await stage.world.pump()
    return subject


async def refused(stage: Stage, service: str, by: str, path: str, body: Any, version: int, code: str) -> None:
    more = {} if body is None else {"json": body}
    problem = await stage.world.call(service, "POST", path, by=by, version=version, expect=403, **more)
    assert problem["code"] == code


async def test_whoever_entered_an_application_does_not_admit(stage: Stage) -> None:
    registrar = stage.actors["registrar"]
    body = stages.applicant(stage, 350)
    made = await stage.do("membership", registrar, "POST", "/members/applications", body)
    path = f"/members/{made['id']}/approval"
    await refused(stage, "membership", registrar, path, None, 1, "four-eyes")
    assert await tries(stage, "membership", made["id"]) == [(registrar, "member.refused", "four-eyes")]
    await stage.do("membership", "second registrar", "POST", path, version=1, expect=200)
    assert len(await tries(stage, "membership", made["id"])) == 1


async def test_whoever_drafted_a_case_does_not_decide_it(stage: Stage) -> None:
    person = await both(stage, "welfare_officer", "approver")
    body = stages.application(stage, member_id=stage.ids["member_id"])
    made = await stage.do("welfare", person, "POST", "/cases", body)
    made = await stage.step("welfare", person, made, f"/cases/{made['id']}/submission")
    base, version = f"/cases/{made['id']}", made["version"]
    await refused(stage, "welfare", person, f"{base}/approval", {}, version, "four-eyes")
    await refused(stage, "welfare", person, f"{base}/rejection", {"reason": "x"}, version, "four-eyes")
    expected = [(person, "case.refused", "four-eyes")] * 2
    assert await tries(stage, "welfare", made["id"]) == expected
    await stage.step("welfare", "approver", made, f"{base}/approval", {})
    assert await tries(stage, "welfare", made["id"]) == expected


async def test_whom_a_case_helps_does_not_decide_it(stage: Stage) -> None:
    await stage.world.user("approver", stage.own, MEMBER)
    await stage.world.pump()
    body = stages.application(stage)
    made = await stage.do("welfare", MEMBER, "POST", "/me/cases", body)
    await refused(stage, "welfare", MEMBER, f"/cases/{made['id']}/approval", {}, made["version"], "four-eyes")
    assert await tries(stage, "welfare", made["id"]) == [(MEMBER, "case.refused", "four-eyes")]


async def test_an_approved_case_is_not_changed(stage: Stage) -> None:
    made = await stages.case(stage, "submission", "approval")
    officer = stage.actors["officer"]
    change = {"requested_fen": 200_000}
    path = f"/cases/{made['id']}"
    problem = await stage.world.call(
        "welfare", "PATCH", path, by=officer, version=made["version"], json=change, expect=409
    )
    assert problem["code"] == "case-not-changeable"
    assert await tries(stage, "welfare", made["id"]) == [(officer, "case.refused", "case-not-changeable")]
    draft = await stages.case(stage)
    await stage.do("welfare", officer, "PATCH", f"/cases/{draft['id']}", change, version=draft["version"])
    assert await tries(stage, "welfare", draft["id"]) == []


async def test_whoever_gathered_a_dossier_does_not_classify_it(stage: Stage) -> None:
    person = await both(stage, "welfare_officer", "approver")
    body = stages.household(stage, resident_id(351))
    made = await stage.do("welfare", person, "POST", "/dossiers", body)
    base = f"/dossiers/{made['id']}"
    made = await stage.step("welfare", person, made, f"{base}/submission")
    seen = await stage.do("welfare", "approver", "GET", f"{base}/assessment")
    decision = {"hardship_class": seen["hardship_class"]}
    await refused(
        stage, "welfare", person, f"{base}/decision", decision, made["version"], "dossier-four-eyes"
    )
    assert await tries(stage, "welfare", made["id"]) == [(person, "dossier.refused", "dossier-four-eyes")]
    await stage.step("welfare", "approver", made, f"{base}/decision", decision)


async def test_whoever_prepared_a_batch_does_not_send_it(stage: Stage) -> None:
    approved = await stages.case(stage, "submission", "approval")
    body = {"organisation_id": stage.own, "case_ids": [approved["id"]]}
    batch = await stage.do("welfare", "treasurer", "POST", "/payouts", body)
    path, channel = f"/payouts/{batch['id']}/sending", {"channel": "file"}
    treasurer = stage.actors["treasurer"]
    await refused(stage, "welfare", treasurer, path, channel, batch["version"], "four-eyes")
    assert await tries(stage, "welfare", batch["id"]) == [(treasurer, "payout.refused", "four-eyes")]
    await stage.step("welfare", "second treasurer", batch, path, channel)


async def test_whoever_planned_an_activity_does_not_approve_it_and_then_it_is_fixed(stage: Stage) -> None:
    person = await both(stage, "organiser", "approver")
    made = await stage.do("events", person, "POST", "/activities", stages.plan(stage))
    base = f"/activities/{made['id']}"
    made = await stage.step("events", person, made, f"{base}/submission")
    await refused(stage, "events", person, f"{base}/approval", None, made["version"], "activity-own-approval")
    made = await stage.step("events", "approver", made, f"{base}/approval")
    plan = {key: value for key, value in stages.plan(stage).items() if key != "organisation_id"}
    problem = await stage.world.call(
        "events", "PUT", base, by=person, version=made["version"], json=plan, expect=409
    )
    assert problem["code"] == "activity-not-draft"
    assert await tries(stage, "events", made["id"]) == [
        (person, "activity.refused", "activity-own-approval"),
        (person, "activity.refused", "activity-not-draft"),
    ]


async def test_what_is_over_is_not_changed_any_more(stage: Stage) -> None:
    officer, body = stage.actors["officer"], stages.household(stage, resident_id(353))
    made = await stage.do("welfare", "officer", "POST", "/dossiers", body)
    path = f"/dossiers/{made['id']}"
    change = {"primary_cause": "disaster"}
    made = await stage.do("welfare", "officer", "PATCH", path, change, version=made["version"])
    assert await tries(stage, "welfare", made["id"]) == []
    made = await stage.step("welfare", "officer", made, f"{path}/close", {"reason": "opened_in_error"})
    problem = await stage.world.call(
        "welfare", "PATCH", path, by=officer, version=made["version"], json=change, expect=409
    )
    assert problem["code"] == "dossier-closed"
    assert await tries(stage, "welfare", made["id"]) == [(officer, "dossier.refused", "dossier-closed")]


async def test_an_activity_that_was_called_off_is_not_changed(stage: Stage) -> None:
    organiser = stage.actors["organiser"]
    made = await stage.do("events", "organiser", "POST", "/activities", stages.plan(stage))
    path = f"/activities/{made['id']}"
    made = await stage.step("events", "organiser", made, f"{path}/cancellation", {"reason": "台风"})
    for method, address, body in (
        ("PATCH", path, {"place": "体育馆"}),
        ("PUT", f"{path}/seats", {"capacity": 99}),
    ):
        problem = await stage.world.call(
            "events", method, address, by=organiser, version=made["version"], json=body, expect=409
        )
        assert problem["code"] == "activity-not-amendable"
    expected = [(organiser, "activity.refused", "activity-not-amendable")] * 2
    assert await tries(stage, "events", made["id"]) == expected
