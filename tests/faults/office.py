"""A unit of the running product with two wards and everybody who works there; whatever they do goes through the gateway."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from membership_service.members.documents import check_digit
from shared.kernel.clock import china_date
from tests.faults.insisting import Refused, insist

#: Desk -> role. Four eyes are two persons: some roles sit at two desks.
DESKS: Mapping[str, str] = {
    "registrar": "registrar",
    "second registrar": "registrar",
    "officer": "welfare_officer",
    "approver": "approver",
    "treasurer": "treasurer",
    "second treasurer": "treasurer",
    "organiser": "organiser",
}
#: Seconds that a fresh unit, post or member has to be known to every service.
KNOWN = 90
#: Fen of the office's budget, and of a case.
BUDGET, AMOUNT = 1_000_000_000, 30_000
_people = itertools.count(1)

#: A client of the gateway that is signed in as this subject.
Sign = Callable[[str], httpx.AsyncClient]
#: Told of every command that was acknowledged: method, path, body, key and reply.
Heard = Callable[[str, str, Any, str, httpx.Response], None]


def somebody() -> dict[str, str]:
    """A made-up person under a region that nobody has."""
    serial = next(_people)
    first = f"96{serial // 900:04d}19900307{serial % 900:03d}"
    return {"name": "王伟", "document_number": first + check_digit(first)}


def today() -> str:
    """Today in China, as posts and budgets have it."""
    return china_date(datetime.now(UTC)).isoformat()


def _standing(aggregate: Mapping[str, Any]) -> Any:
    """Where it stands, whatever its kind calls that."""
    return next(aggregate[name] for name in ("stage", "status", "state") if name in aggregate)


@dataclass
class Office:
    """One unit and its people."""

    desks: dict[str, httpx.AsyncClient]
    unit: str
    wards: list[str]
    budget: str = ""
    programme: str = ""
    #: Everything that was made for the office to work, by id: not the work itself.
    known: list[str] = field(default_factory=list)
    heard: Heard | None = None
    #: Seconds for which a command is repeated.
    patience: float = 60

    async def ask(
        self, desk: str, method: str, path: str, *, once_known: bool = False, **request: Any
    ) -> Any:
        """The JSON of the reply. With `once_known` refusals are waited out: what is asked about has yet to arrive there."""
        headers = dict(request.pop("headers", {}))
        if (version := request.pop("version", None)) is not None:
            headers["If-Match"] = f'"{version}"'
        key = str(uuid4())
        headers["Idempotency-Key"] = key
        deadline = asyncio.get_running_loop().time() + KNOWN
        while True:
            try:
                reply = await insist(
                    self.desks[desk], method, path, patience=self.patience, headers=headers, **request
                )
                if self.heard and method != "GET":
                    self.heard(method, path, request.get("json"), key, reply)
                return reply.json() if reply.content else None
            except Refused as refusal:
                if not once_known or asyncio.get_running_loop().time() > deadline:
                    raise
                if refusal.status not in {403, 404, 409}:
                    raise
                await asyncio.sleep(0.5)

    async def step(
        self, desk: str, kind: str, seen: Mapping[str, Any], verb: str, became: str, **body: Any
    ) -> Any:
        """One step of an aggregate at the version that was seen; the aggregate after it.

        Steps carry no key: whoever repeats one whose reply was lost is told that the version is old, and looks.
        """
        path = f"/{kind}/{seen['id']}"
        try:
            return await self.ask(desk, "POST", f"{path}/{verb}", version=seen["version"], json=body or None)
        except Refused as refusal:
            if refusal.status != httpx.codes.PRECONDITION_FAILED:
                raise
            now = await self.ask(desk, "GET", path)
            # Taken, and somebody may have gone on from there: a job opens what is published.
            went_on = now["version"] > seen["version"] + 1
            if not went_on and became != _standing(now):
                raise
            return now

    async def member(self, ward: int = 0) -> Any:
        """Somebody joins: one applies for him, another approves."""
        person = somebody()
        body = {"organisation_id": self.wards[ward], **person}
        applied = await self.ask("registrar", "POST", "/members/applications", json=body)
        return person | await self.step("second registrar", "members", applied, "approval", "active")

    def application(self, member: Mapping[str, Any], amount: int = AMOUNT) -> dict[str, Any]:
        """The body that drafts a case."""
        return {
            "programme_id": self.programme,
            "member_id": member["id"],
            "requested_fen": amount,
            "reason": "家庭主要劳动力住院",
            "payee_name": "王伟",
            "account": "6222020200112233445",
        }

    async def case(
        self, member: Mapping[str, Any], *, upto: str = "submitted", amount: int = AMOUNT
    ) -> dict[str, Any]:
        """A case for a member: drafted, submitted, approved."""
        body = self.application(member, amount)
        case: dict[str, Any] = await self.ask("officer", "POST", "/cases", json=body, once_known=True)
        if upto != "draft":
            case = await self.step("officer", "cases", case, "submission", "submitted")
        if upto == "approved":
            case = await self.step("approver", "cases", case, "approval", "approved", approved_fen=amount)
        return case

    def plan(self, capacity: int, starts_in: timedelta = timedelta(days=10)) -> dict[str, Any]:
        """The body that drafts an activity."""
        now = datetime.now(UTC)
        begins = now + starts_in
        return {
            "organisation_id": self.unit,
            "title": "春季健步走",
            "kind": "sport",
            "place": "滨江公园",
            "sessions": [
                {"starts_at": begins.isoformat(), "ends_at": (begins + timedelta(hours=3)).isoformat()}
            ],
            "capacity": capacity,
            "registration_opens_at": (now - timedelta(minutes=1)).isoformat(),
            "registration_closes_at": begins.isoformat(),
        }

    async def activity(self, capacity: int, starts_in: timedelta = timedelta(days=10)) -> dict[str, Any]:
        """An activity that takes registrations."""
        made: dict[str, Any] = await self.ask(
            "organiser", "POST", "/activities", json=self.plan(capacity, starts_in), once_known=True
        )
        steps = {
            "submission": "submitted",
            "approval": "approved",
            "publication": "published",
            "opening": "open",
        }
        for verb, became in steps.items():
            desk = "approver" if verb == "approval" else "organiser"
            if _standing(made) != became:
                made = await self.step(desk, "activities", made, verb, became)
        return made

    async def register(self, activity: Mapping[str, Any], member: Mapping[str, Any]) -> Any:
        """A place, or one on the waiting list."""
        return await self.ask(
            "organiser",
            "POST",
            f"/activities/{activity['id']}/registrations",
            json={"member_id": member["id"]},
            once_known=True,
        )

    async def fund(self, amount_fen: int) -> str:
        """Another budget of this year."""
        body = {
            "organisation_id": self.unit,
            "year": int(today()[:4]),
            "source": "own",
            "name": f"帮扶{uuid4().hex[:6]}",
            "amount_fen": amount_fen,
        }
        made = await self.ask("treasurer", "POST", "/budgets", json=body, once_known=True)
        return str(made["id"])

    async def open_programme(self, budget: str) -> str:
        """A programme for everybody on this budget."""
        year = today()[:4]
        body = {
            "organisation_id": self.unit,
            "budget_id": budget,
            "name": "生活救助",
            "kind": "living",
            "starts_on": f"{year}-01-01",
            "ends_on": f"{year}-12-31",
            "amount_rule": "requested",
            "cap_per_time_fen": 10_000_000,
            "eligibility": {"everybody": True},
        }
        made = await self.ask("officer", "POST", "/programmes", json=body, once_known=True)
        self.known.append(made["id"])
        return str(made["id"])


@asynccontextmanager
async def opened_office(sign: Sign, administrator: str, issuer: str, root: object) -> AsyncIterator[Office]:
    """A new unit below `root` with wards, people, rules, a budget and a programme, known to every service."""
    async with AsyncExitStack() as stack:
        prefix = f"desk-{uuid4().hex[:8]}"
        subjects = {desk: f"{prefix}-{desk.replace(' ', '-')}" for desk in DESKS}
        desks = {
            desk: await stack.enter_async_context(sign(subject))
            for desk, subject in (subjects | {"administrator": administrator}).items()
        }
        office = Office(desks, "", [])
        units: list[str] = []
        for name in ("示例街道工会", "示例一分会", "示例二分会"):
            body = {
                "parent_id": units[0] if units else str(root),
                "code": f"F{uuid4().hex[:12].upper()}",
                "name": name,
                "kind": "county",
                "founded_on": "2026-01-05",
            }
            units.append((await office.ask("administrator", "POST", "/organisations", json=body))["id"])
        office.unit, *office.wards = units
        for desk, subject in subjects.items():
            post = {
                "organisation_id": office.unit,
                "issuer": issuer,
                "subject": subject,
                "role": DESKS[desk],
                "starts_on": today(),
            }
            await office.ask("administrator", "POST", "/posts", json=post)
        await _furnish(office)
        yield office


async def _furnish(office: Office) -> None:
    rules = {"organisation_id": office.unit}
    await office.ask("administrator", "POST", "/rules/defaults", json=rules, once_known=True)
    office.budget = await office.fund(BUDGET)
    office.programme = await office.open_programme(office.budget)
    for desk, path in (
        ("registrar", "/members"),
        ("second registrar", "/members"),
        ("approver", "/cases"),
        ("approver", "/activities"),
        ("second treasurer", "/payouts"),
        ("organiser", "/activities"),
    ):
        await office.ask(desk, "GET", f"{path}?organisation={office.unit}", once_known=True)
    office.known += [office.unit, *office.wards]
