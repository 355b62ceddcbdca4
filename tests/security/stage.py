"""What stands on the stage: one of everything at the unit "own", and a person whose secrets are canaries.

A canary is a value that stands nowhere else, so wherever it turns up in plain text, it has leaked.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from shared.database.scope import Scope
from tests.security.world import World, user_at
from tests.support.events import Ground
from tests.support.membership import ROOT_ADMIN, credit_code
from tests.support.rosters import HEADINGS, comma_separated, resident_id, row_of
from tests.support.tokens import ISSUER
from welfare_service.dossiers.use_cases import add_review_task

#: The subject of the member's own user, who holds no post.
MEMBER: Final = "user-of-the-member"
#: What must never be found in plain text, by what it is.
CANARIES: Final = {
    "document": resident_id(431, born="19830519"),
    "phone": "13987601234",
    "illness": "金丝雀肾病",
    "account": "6222029988776655443",
    "income": "7654321",
    "reason": "金丝雀说的难处",
    "name": "欧阳金丝雀",
    "comment": "金丝雀的留言",
    "roster document": resident_id(433, born="19840620"),
    "roster phone": "13987605678",
}
#: The document of a member of another branch.
ELSEWHERE: Final = resident_id(399, born="19900909")
_STEPS: Final = ("submission", "approval", "publication", "opening", "closing", "holding")


@dataclass
class Stage:
    """The ids of what stands at the unit "own", by kind; `actors` are users of that unit who made it all."""

    world: World
    ids: dict[str, str] = field(default_factory=dict)
    actors: dict[str, str] = field(default_factory=dict)

    async def do(
        self, service: str, actor: str, method: str, path: str, body: Any = None, **more: Any
    ) -> Any:
        """What one of the actors does; it must succeed."""
        expect = more.pop("expect", 201 if method == "POST" else 200)
        if body is not None:
            more["json"] = body
        by = self.actors.get(actor, actor)
        return await self.world.call(service, method, path, by=by, expect=expect, **more)

    async def step(self, service: str, actor: str, thing: Any, path: str, body: Any = None) -> Any:
        """A step of an aggregate at the version in `thing`; the aggregate after it."""
        return await self.do(service, actor, "POST", path, body, version=thing["version"], expect=200)

    @property
    def own(self) -> str:
        """The unit to which everything belongs."""
        return self.world.units["own"]


async def set_up(world: World) -> Stage:
    """One of everything, with the replicas up to date."""
    stage = Stage(world)
    for name, role in (
        ("registrar", "registrar"),
        ("second registrar", "registrar"),
        ("officer", "welfare_officer"),
        ("approver", "approver"),
        ("treasurer", "treasurer"),
        ("second treasurer", "treasurer"),
        ("organiser", "organiser"),
        ("administrator", "administrator"),
    ):
        stage.actors[name] = await world.user(role, stage.own)
    world.later()
    await _membership(stage)
    await fresh_plan(stage)
    await world.pump()
    await _held_activity(stage)
    await _activities(stage)
    await _dossier(stage)
    await _money(stage)
    await world.pump()
    return stage


def applicant(stage: Stage, serial: int, **fields: Any) -> dict[str, Any]:
    """The body of an application for membership at the unit "own"; the serial makes the person."""
    person = {
        "name": "王伟",
        "document_number": resident_id(serial % 400, born=f"19{70 + serial // 400 % 30}0101"),
        "phone": f"138{serial:08d}",
        "organisation_id": stage.own,
    }
    return person | fields


async def admitted(stage: Stage, serial: int, **fields: Any) -> str:
    """The id of a new member of the unit "own"; one registrar applied, the other approved."""
    body = applicant(stage, serial, **fields)
    made = await stage.do("membership", "registrar", "POST", "/members/applications", body)
    path = f"/members/{made['id']}/approval"
    await stage.do("membership", "second registrar", "POST", path, version=1, expect=200)
    return str(made["id"])


async def _membership(stage: Stage) -> None:
    ids, units = stage.ids, stage.world.units
    names = {"name": "name", "document_number": "document", "phone": "phone"}
    canary = {name: CANARIES[kind] for name, kind in names.items()}
    ids["member_id"] = await admitted(stage, 0, **canary)
    path = f"/members/{ids['member_id']}/user"
    user = {"issuer": ISSUER, "subject": MEMBER}
    await stage.do("membership", "registrar", "PUT", path, user, version=2)
    ids["leaving member"] = await admitted(stage, 1)
    ids["second member"] = await admitted(stage, 2)
    body = applicant(stage, 3)
    made = await stage.do("membership", "registrar", "POST", "/members/applications", body)
    ids["applicant"] = made["id"]
    to = {"to_organisation_id": units["sibling"], "reason": "调动"}
    path = f"/members/{ids['leaving member']}/transfers"
    ids["transfer_id"] = (await stage.do("membership", "registrar", "POST", path, to))["id"]
    made = await stage.do("membership", "registrar", "POST", "/enterprises", enterprise(stage, 1))
    ids["enterprise_id"] = made["id"]
    posts = await stage.world.call("membership", "GET", f"/posts?organisation={stage.own}", by=ROOT_ADMIN)
    ids["post_id"] = posts["items"][0]["id"]
    ids["plan unit"] = await stage.world.unit("planned", stage.own)
    ids["organisation_id"] = stage.own
    stage.world.later()
    other = units["other"]
    body = applicant(stage, 4, document_number=ELSEWHERE, organisation_id=other)
    first, second = user_at("registrar", "other"), await stage.world.user("registrar", other)
    made = await stage.do("membership", first, "POST", "/members/applications", body)
    path = f"/members/{made['id']}/approval"
    await stage.do("membership", second, "POST", path, version=1, expect=200)
    row = row_of(证件号码=CANARIES["roster document"], 手机号=CANARIES["roster phone"])
    upload: dict[str, Any] = {
        "files": {"file": ("名册.csv", comma_separated([HEADINGS, row]))},
        "data": {"organisation_id": stage.own, "mode": "add"},
    }
    made = await stage.do("membership", "registrar", "POST", "/rosters", expect=202, **upload)
    ids["import_id"] = made["id"]


async def fresh_plan(stage: Stage) -> None:
    """A move of the unit "planned" that is still to come: whoever may withdraws it."""
    unit = stage.ids["plan unit"]
    found = await stage.do("membership", "administrator", "GET", f"/organisations/{unit}/plans", expect=200)
    if not found:
        version = (await stage.do("membership", "administrator", "GET", f"/organisations/{unit}"))["version"]
        body = {"parent_id": stage.world.units["child"], "on": "2027-01-01"}
        path = f"/organisations/{unit}/move"
        await stage.do("membership", "administrator", "POST", path, body, version=version, expect=200)
        found = await stage.do(
            "membership", "administrator", "GET", f"/organisations/{unit}/plans", expect=200
        )
    stage.ids["plan_id"] = found[0]["id"]


def enterprise(stage: Stage, serial: int) -> dict[str, Any]:
    """The body of an employer in the area of the unit "own"."""
    return {
        "credit_code": credit_code(8_000_000 + serial),
        "name": "示例机械厂",
        "industry": "制造业",
        "ownership": "private",
        "headcount": 100,
        "women": 40,
        "migrant_workers": 60,
        "dispatched_workers": 10,
        "unionised": False,
        "verified_on": "2026-03-10",
        "area_id": stage.own,
    }


def plan(stage: Stage, **changes: Any) -> dict[str, Any]:
    """The body of a draft of an activity of the unit "own"."""
    return Ground.plan(stage.world, **changes) | {"organisation_id": stage.own}  # type: ignore[arg-type]


async def activity(stage: Stage, steps: int, **changes: Any) -> dict[str, Any]:
    """An activity that went so many of its steps."""
    made = await stage.do("events", "organiser", "POST", "/activities", plan(stage, **changes))
    for step in _STEPS[:steps]:
        actor = "approver" if step == "approval" else "organiser"
        made = await stage.step("events", actor, made, f"/activities/{made['id']}/{step}")
    return dict(made)


async def _held_activity(stage: Stage) -> None:
    made = await activity(stage, 4)
    stage.ids["held activity"] = made["id"]
    path = f"/activities/{made['id']}/registrations"
    place = await stage.do("events", MEMBER, "POST", path, {})
    made = await stage.step("events", "organiser", made, f"/activities/{made['id']}/closing")
    stage.world.later(days=10)
    path = f"/activities/{made['id']}/check-ins"
    body = {"registration_id": place["id"]}
    await stage.do("events", "organiser", "POST", path, body, expect=200)
    stage.world.later(days=2)
    await stage.step("events", "organiser", made, f"/activities/{made['id']}/holding")
    words = {"score": 4, "comment": CANARIES["comment"]}
    path = f"/registrations/{place['id']}/feedback"
    await stage.do("events", MEMBER, "POST", path, words, expect=200)
    stage.ids["attended"] = place["id"]


async def _activities(stage: Stage) -> None:
    made = await activity(stage, 4, capacity=100)
    stage.ids["activity_id"] = made["id"]
    path = f"/activities/{made['id']}/registrations"
    stage.ids["registration_id"] = (await stage.do("events", MEMBER, "POST", path, {}))["id"]
    made = await activity(stage, 4, mode="lottery")
    stage.ids["lottery"] = made["id"]
    path = f"/activities/{made['id']}/registrations"
    await stage.do("events", MEMBER, "POST", path, {})
    await stage.step("events", "organiser", made, f"/activities/{made['id']}/closing")
    await stage.do("events", "organiser", "POST", f"/activities/{made['id']}/lottery/draw", expect=200)
    stage.ids["draft activity"] = (await activity(stage, 0))["id"]


def household(stage: Stage, document: str, **fields: Any) -> dict[str, Any]:
    """The body of a dossier of the unit "own"."""
    head = {
        "name": CANARIES["name"],
        "document_number": document,
        "relation": "head",
        "occupation": "employed",
    } | fields
    return {"organisation_id": stage.own, "primary_cause": "illness", "head": head}


async def _dossier(stage: Stage) -> None:
    defaults = {"organisation_id": stage.own}
    made = await stage.do("welfare", "administrator", "POST", "/rules/defaults", defaults, expect=200)
    stage.ids["rule_id"] = made["items"][0]["id"]
    secrets = {"phone": CANARIES["phone"], "illness": CANARIES["illness"]}
    body = household(stage, CANARIES["document"], **secrets)
    made = await stage.do("welfare", "officer", "POST", "/dossiers", body)
    base = f"/dossiers/{made['id']}"
    stage.ids |= {"dossier_id": made["id"], "person_id": made["persons"][0]["id"]}
    today = stage.world.clock.now().date().isoformat()
    lines = [{"kind": "income-wage", "amount_fen": int(CANARIES["income"]), "on": today}]
    made = await stage.do(
        "welfare",
        "officer",
        "PUT",
        f"{base}/persons/{stage.ids['person_id']}/lines",
        {"lines": lines},
        version=made["version"],
    )
    made = await stage.step("welfare", "officer", made, f"{base}/submission")
    seen = await stage.do("welfare", "approver", "GET", f"{base}/assessment")
    decision = {"hardship_class": seen["hardship_class"]}
    await stage.step("welfare", "approver", made, f"{base}/decision", decision)
    found = await stage.do("welfare", "officer", "GET", f"{base}/decisions")
    stage.ids["decision_id"] = found["items"][0]["id"]
    async with stage.world.workers["welfare"].write(Scope.everything()) as session:
        await add_review_task(
            session, UUID(stage.ids["member_id"]), "member-withdrawn", stage.world.clock.now()
        )
        await session.flush_events()
        await session.commit()
    found = await stage.do("welfare", "officer", "GET", f"{base}/reviews")
    stage.ids["review_id"] = found["items"][0]["id"]


def budget(stage: Stage, name: str) -> dict[str, Any]:
    """The body of a budget of the unit "own"."""
    return {
        "organisation_id": stage.own,
        "year": 2026,
        "source": "own",
        "name": name,
        "amount_fen": 10_000_000,
    }


def programme(stage: Stage, **changes: Any) -> dict[str, Any]:
    """The body of a programme of the unit "own"."""
    return {
        "organisation_id": stage.own,
        "budget_id": stage.ids["budget_id"],
        "name": "生活救助",
        "kind": "living",
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
        "amount_rule": "requested",
        "cap_per_time_fen": 300_000,
        "eligibility": {"everybody": True},
    } | changes


def application(stage: Stage, **changes: Any) -> dict[str, Any]:
    """The body of an application for aid."""
    return {
        "programme_id": stage.ids["programme_id"],
        "requested_fen": 100_000,
        "reason": CANARIES["reason"],
        "payee_name": CANARIES["name"],
        "account": CANARIES["account"],
    } | changes


async def case(stage: Stage, *steps: str) -> dict[str, Any]:
    """An aid case of the member after these steps; it is submitted by the officer and decided by the approver."""
    body = application(stage, member_id=stage.ids["member_id"])
    made = await stage.do("welfare", "officer", "POST", "/cases", body)
    for step in steps:
        path = f"/cases/{made['id']}/{step}"
        if step == "approval":
            made = await stage.step("welfare", "approver", made, path, {})
        else:
            made = await stage.step("welfare", "officer", made, path)
    return dict(made)


async def _money(stage: Stage) -> None:
    ids = stage.ids
    ids["budget_id"] = (await stage.do("welfare", "treasurer", "POST", "/budgets", budget(stage, "帮扶")))[
        "id"
    ]
    statement = await stage.do("welfare", "treasurer", "GET", f"/budgets/{ids['budget_id']}/statement")
    ids["entry_id"] = statement["entries"][0]["entry_id"]
    made = await stage.do("welfare", "officer", "POST", "/programmes", programme(stage))
    ids["programme_id"] = made["id"]
    paid = await case(stage, "submission", "approval")
    body = {"organisation_id": stage.own, "case_ids": [paid["id"]]}
    batch = await stage.do("welfare", "treasurer", "POST", "/payouts", body)
    path = f"/payouts/{batch['id']}"
    await stage.step("welfare", "second treasurer", batch, f"{path}/sending", {"channel": "file"})
    await stage.do("welfare", "treasurer", "GET", f"{path}/file")
    lines = (await stage.do("welfare", "treasurer", "GET", f"{path}/lines"))["items"]
    rows = f"instruction_id,state,amount,reason\n{lines[0]['id']},paid,,\n{paid['id']},paid,1,\n"
    files = {"file": ("result.csv", rows.encode(), "text/csv")}
    await stage.do("welfare", "treasurer", "POST", f"{path}/result", expect=200, files=files)
    found = await stage.do("welfare", "treasurer", "GET", f"{path}/findings")
    ids |= {"payout_id": batch["id"], "finding_id": found["items"][0]["id"], "paid case": paid["id"]}
    ids["submitted case"] = (await case(stage, "submission"))["id"]
    ids["case_id"] = (await case(stage))["id"]
