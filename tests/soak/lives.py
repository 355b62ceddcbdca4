"""What people do in a soak: whole lives of members, dossiers, cases and activities, again and again until told to stop."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.testing.waiting import eventually
from tests.faults.office import AMOUNT, Office, today
from tests.soak.ledger import Ledger

#: Seconds from sending a batch to the bank until all of it is answered.
ANSWERED = 240
#: Members kept for aid and activities.
_POOL = 40


@dataclass
class Lives:
    """The people at one office, and what must have come of what they did."""

    office: Office
    ledger: Ledger
    dice: random.Random
    members: list[dict[str, Any]] = field(default_factory=list)
    #: Ids of cases that must carry a flag, and of registrations that must have ended.
    flagged: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def run(self, until: asyncio.Event) -> None:
        """All of them at once."""
        while len(self.members) < 8:
            self.members.append(await self.office.member(len(self.members) % 2))
        lives = (
            self.joining, self.joining, self.moving, self.leaving, self.gathering, self.helping, self.helping,
            self.meeting, self.meeting,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for life in lives:
                group.create_task(self._again(life, until))

    async def _again(self, life: Callable[[], Awaitable[None]], until: asyncio.Event) -> None:
        while not until.is_set():
            try:
                await life()
            except AssertionError as trouble:
                # A refusal of what is allowed, or no answer at all: the life ends here, another begins.
                told = f"{life.__name__}: {trouble}"[:300]
                (self.ledger.unanswered if "still" in told else self.ledger.refused).append(told)
                await asyncio.sleep(1)
            await asyncio.sleep(0.1)

    def _somebody(self) -> dict[str, Any]:
        return self.dice.choice(self.members)

    async def joining(self) -> None:
        """Somebody joins."""
        member = await self.office.member(self.dice.randrange(2))
        if len(self.members) < _POOL:
            self.members.append(member)
        await asyncio.sleep(0.5)

    async def moving(self) -> None:
        """Somebody joins and goes over to the other ward."""
        member = await self.office.member(0)
        body = {"to_organisation_id": self.office.wards[1], "reason": "调动"}
        transfer = await self.office.ask("registrar", "POST", f"/members/{member['id']}/transfers", json=body)
        await self.office.step("second registrar", "transfers", transfer, "acceptance", "accepted")

    async def leaving(self) -> None:
        """Somebody with a case and a place leaves: the case is flagged, the place goes to who waits."""
        leaver, waiter = await self.office.member(0), await self.office.member(1)
        case = await self.office.case(leaver)
        activity = await self.office.activity(1)
        place = await self.office.register(activity, leaver)
        await self.office.register(activity, waiter)
        await self.office.step("registrar", "members", leaver, "withdrawal", "withdrawn", reason="离职")
        self.flagged.append(case["id"])
        self.ended.append(place["id"])

    async def gathering(self) -> None:
        """A dossier from the first page to the decision."""
        person = await self.office.member(0)
        head = {
            "name": person["name"],
            "document_number": person["document_number"],
            "relation": "head",
            "occupation": "employed",
        }
        body = {"organisation_id": self.office.unit, "primary_cause": "illness", "head": head}
        dossier = await self.office.ask("officer", "POST", "/dossiers", json=body)
        path = f"/dossiers/{dossier['id']}"
        lines = {"lines": [{"kind": "income-wage", "amount_fen": 120_000, "on": today()}]}
        # Entered twice it is the same: so a lost reply is asked for again at the version that is there.
        there = await self.office.ask("officer", "GET", path)
        entering = f"{path}/persons/{dossier['persons'][0]['id']}/lines"
        try:
            await self.office.ask("officer", "PUT", entering, json=lines, version=there["version"])
        except AssertionError:
            there = await self.office.ask("officer", "GET", path)
            await self.office.ask("officer", "PUT", entering, json=lines, version=there["version"])
        there = await self.office.ask("officer", "GET", path)
        # A draft until it is decided on; the decision is refused to one that was not submitted.
        await self.office.step("officer", "dossiers", there, "submission", "draft")
        assessed = await self.office.ask("officer", "GET", f"{path}/assessment")
        there = await self.office.ask("approver", "GET", path)
        decision = {"hardship_class": assessed["hardship_class"]}
        await self.office.step("approver", "dossiers", there, "decision", "open", **decision)

    async def helping(self) -> None:
        """Three cases: most are paid by the bank, some end before."""
        ends = ["paid", "paid", self.dice.choice(["paid", "cancelled", "rejected", "withdrawn"])]
        cases = []
        for end in ends:
            case = await self.office.case(self._somebody())
            if end == "rejected":
                await self.office.step("approver", "cases", case, "rejection", end, reason="不符合")
            elif end == "withdrawn":
                await self.office.step("officer", "cases", case, "withdrawal", end, reason="撤回")
            else:
                case = await self.office.step(
                    "approver", "cases", case, "approval", "approved", approved_fen=AMOUNT
                )
                if end == "cancelled":
                    await self.office.step("approver", "cases", case, "cancellation", end, reason="重复")
                else:
                    cases.append(case["id"])
        await self._pay(cases)

    async def _pay(self, cases: list[str]) -> None:
        body = {"organisation_id": self.office.unit, "case_ids": cases}
        payout = await self.office.ask("treasurer", "POST", "/payouts", json=body)
        sent = {"Idempotency-Key": payout["id"]}
        path = f"/payouts/{payout['id']}"
        await self.office.ask(
            "second treasurer",
            "POST",
            f"{path}/sending",
            version=payout["version"],
            headers=sent,
            json={"channel": "bank"},
        )

        async def is_answered() -> bool:
            return bool((await self.office.ask("treasurer", "GET", path))["state"] == "answered")

        await eventually(is_answered, ANSWERED, every=1)
        payout = await self.office.ask("treasurer", "GET", path)
        await self.office.step("treasurer", "payouts", payout, "closing", "closed")
        for one in cases:
            case = await self.office.ask("officer", "GET", f"/cases/{one}")
            await self.office.step("officer", "cases", case, "acknowledgement", "acknowledged")

    async def meeting(self) -> None:
        """An activity with more who want to come than seats; some give up, others move up, those who come are ticked off."""
        activity = await self.office.activity(3, timedelta(minutes=60))
        chosen = self.dice.sample(self.members, 6)
        places = [await self.office.register(activity, member) for member in chosen]
        await self._give_up(places[0])
        await self._give_up(places[4])
        for place in places:
            now = await self.office.ask("organiser", "GET", f"/registrations/{place['id']}")
            if now["status"] == "confirmed":
                body = {"registration_id": place["id"]}
                path = f"/activities/{activity['id']}/check-ins"
                await self.office.ask("organiser", "POST", path, json=body)
        if self.dice.random() < 0.3:
            there = await self.office.ask("organiser", "GET", f"/activities/{activity['id']}")
            await self.office.step(
                "organiser", "activities", there, "cancellation", "cancelled", reason="暴雨"
            )

    async def _give_up(self, place: dict[str, Any]) -> None:
        now = await self.office.ask("organiser", "GET", f"/registrations/{place['id']}")
        await self.office.step("organiser", "registrations", now, "cancellation", "cancelled", reason="有事")
