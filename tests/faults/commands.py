"""F1, F4 and F18 on the product: commands of users through the gateway while processes end or the broker is away."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx

from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.insisting import insist
from tests.faults.installation import OWNERS, Installation, founding
from tests.faults.ledger import Found, judge
from tests.faults.office import Office, opened_office, somebody
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

LAG_GONE = 120
USERS = 6
#: Seconds for which a user repeats a command.
PATIENCE = 25
FOUND = "/organisations"
#: Members who are helped, and activities that they may come to: registrations are members times activities.
MEMBERS, ACTIVITIES = 12, 25


@dataclass
class Sent:
    """A command: who asked for what, under which key, and the id in the first reply that came."""

    desk: str
    path: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: str(uuid4()))
    reply: dict[str, Any] | None = None


Maker = Callable[[], Sent]


@dataclass
class Crowd:
    """Users who ask for new things below one unit, and go on until they are answered."""

    here: Installation
    desks: dict[str, httpx.AsyncClient]
    unit: str
    dice: random.Random
    #: What they ask for, as likely one as the other.
    makers: Sequence[Maker]
    #: Where that is found, and what was there before.
    places: list[str]
    known: list[str]
    sent: list[Sent] = field(default_factory=list)
    slowest: float = 0.0
    answers: int = 0
    refused: list[str] = field(default_factory=list)

    async def work(self, until: asyncio.Event) -> None:
        """One user."""
        while not until.is_set():
            sent = self.dice.choice(self.makers)()
            self.sent.append(sent)
            await self.do(sent)
            await asyncio.sleep(0.02)

    async def do(self, sent: Sent) -> None:
        """Send until answered; a second answer must be the first."""
        began = time.monotonic()
        try:
            headers = {"Idempotency-Key": sent.key}
            user = self.desks[sent.desk]
            reply = (
                await insist(user, "POST", sent.path, patience=PATIENCE, headers=headers, json=sent.body)
            ).json()
        except AssertionError as refusal:
            self.refused.append(str(refusal)[:200])
            return
        self.answers += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        if sent.reply is None:
            sent.reply = reply
        elif sent.reply != reply:
            self.refused.append(f"{sent.path}: the same key was answered differently")

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """All users at once, for as long as the block lasts."""
        until = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(USERS):
                group.create_task(self.work(until))
            try:
                yield
            finally:
                until.set()

    async def in_full_swing(self) -> None:
        """Wait for some more answers: how long they take depends on the machine."""
        before = self.answers
        await eventually(lambda: self.answers >= before + 40, 60)

    async def found(self) -> Found:
        """Repeat every command, let the views come up, and compare with the ledger of replies."""
        for sent in self.sent:
            await self.do(sent)
        await self.here.current(LAG_GONE)
        acknowledged = [(UUID(sent.reply["id"]), 1) for sent in self.sent if sent.reply]
        rows = await self.here.rows(
            self.here.gateway,
            "SELECT subject, sequence FROM facts WHERE (data->'state'->>'parent_id' = ANY ($1)"
            " OR data->'state'->>'organisation_id' = ANY ($1)) AND NOT subject = ANY ($2::uuid[]) ORDER BY id",
            self.places,
            [UUID(one) for one in self.known],
        )
        found = judge(acknowledged, [(row["subject"], row["sequence"]) for row in rows])
        founded = [UUID(sent.reply["id"]) for sent in self.sent if sent.reply and sent.path == FOUND]
        known = await self.here.rows(
            self.here.gateway, "SELECT 1 FROM directory_organisations WHERE id = ANY ($1::uuid[])", founded
        )
        found.lost += len(founded) - len(known)
        # A refusal of one's own command is a reply lost.
        found.lost += len(self.refused)
        if self.refused:
            print(f"   refused: {self.refused[0]}", flush=True)
        return found


def of_membership(unit: str) -> list[Maker]:
    """Units founded (an ordinary transaction) and people who join (a single statement)."""
    return [
        lambda: Sent("administrator", FOUND, founding(unit, f"示例-{uuid4().hex[:8]}")),
        lambda: Sent("registrar", "/members/applications", {"organisation_id": unit, **somebody()}),
    ]


async def _of_welfare(office: Office, _: random.Random) -> list[Maker]:
    members = [await office.member(number % 2) for number in range(MEMBERS)]
    office.known += [member["id"] for member in members]
    turns = iter(members * 10_000)
    # What is asked for must have arrived.
    for member in members:
        office.known.append((await office.case(member, upto="draft"))["id"])
    programme = {
        "organisation_id": office.unit,
        "budget_id": office.budget,
        "name": "生活救助",
        "kind": "living",
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
        "amount_rule": "requested",
        "cap_per_time_fen": 10_000_000,
        "eligibility": {"everybody": True},
    }
    return [
        lambda: Sent("officer", "/cases", office.application(next(turns))),
        lambda: Sent("officer", "/programmes", programme),
    ]


async def _of_events(office: Office, dice: random.Random) -> list[Maker]:
    members = [await office.member(number % 2) for number in range(MEMBERS)]
    activities = [await office.activity(MEMBERS) for _ in range(ACTIVITIES)]
    office.known += [one["id"] for one in (*members, *activities)]
    places = [(activity, member) for activity in activities for member in members]
    dice.shuffle(places)
    # What is asked for must have arrived.
    probe = await office.activity(MEMBERS)
    office.known += [probe["id"], *[(await office.register(probe, member))["id"] for member in members]]

    def draft() -> Sent:
        return Sent("organiser", "/activities", office.plan(3))

    def register() -> Sent:
        if not places:
            return draft()
        activity, member = places.pop()
        return Sent("organiser", f"/activities/{activity['id']}/registrations", {"member_id": member["id"]})

    return [draft, register]


@asynccontextmanager
async def crowd_of(here: Installation, attempt: Attempt, services: Sequence[str]) -> AsyncIterator[Crowd]:
    """Users of these services, at an office of their own."""
    dice = random.Random(attempt.seed)
    async with opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office:
        makers = []
        if "membership" in services:
            makers += of_membership(office.unit)
        if "welfare" in services:
            makers += await _of_welfare(office, dice)
        if "events" in services:
            makers += await _of_events(office, dice)
        await here.current()
        places = [office.unit, *office.wards]
        yield Crowd(here, office.desks, office.unit, dice, makers, places, office.known)


async def killed_http(here: Installation, attempt: Attempt, *, point: str, service: str) -> Found:
    """F1: the process that answers dies in the middle of somebody's command."""
    async with crowd_of(here, attempt, [service]) as crowd:
        process = await here.start(service, crash=f"{point}:{20 + 7 * attempt.number}", bug=attempt.bug)
        async with crowd.at_work():
            await process.dies()
            await here.start(service, bug=attempt.bug)
            await here.ready(service)
            await asyncio.sleep(1)
        found = await crowd.found()
    if attempt.bug:
        await here.start(service)
        await here.ready(service)
    return found


async def stopped_http(here: Installation, attempt: Attempt) -> Found:
    """F18: SIGTERM to the HTTP process of each service under load."""
    seconds = 0.0
    async with crowd_of(here, attempt, OWNERS) as crowd:
        if attempt.bug:
            # Not before: an office cannot be opened with it.
            for owner in OWNERS:
                await here.start(owner, bug=attempt.bug)
            await here.ready(*OWNERS)
        async with crowd.at_work():
            for name in (*OWNERS, "gateway"):
                await crowd.in_full_swing()
                seconds = max(seconds, await here.programs[name].ends())
                await here.start(name)
                await here.ready(name)
            await asyncio.sleep(1)
        found = await crowd.found()
    found.expect(seconds < 20, f"ended only after {seconds:.0f} s")
    return found


async def stopped_workers(here: Installation, attempt: Attempt) -> Found:
    """F18: SIGTERM to the workers under load."""
    seconds = 0.0
    async with crowd_of(here, attempt, OWNERS) as crowd:
        if attempt.bug:
            await here.start("gateway-worker", bug=attempt.bug)
            await here.ready("gateway-worker")
        async with crowd.at_work():
            for name in ("membership-worker", "welfare-worker", "events-worker", "gateway-worker"):
                await crowd.in_full_swing()
                seconds = max(seconds, await here.programs[name].ends())
                await here.start(name)
                # Or nothing would be under way when the next one stops.
                await here.ready(name)
        found = await crowd.found()
    if attempt.bug:
        # What the bug has lost to the gateway is read again, for those who come after.
        await here.programs["gateway-worker"].ends()
        await here.rows(here.gateway, "UPDATE consumer_offsets SET next_offset = 0")
        await here.start("gateway-worker")
        await here.current()
    found.expect(seconds < 25, f"ended only after {seconds:.0f} s")
    return found


async def killed_broker(here: Installation, attempt: Attempt) -> Found:
    """F4: the broker is killed under load and comes back; meanwhile commands and reads are answered."""
    workers = [f"{owner}-worker" for owner in OWNERS]
    async with crowd_of(here, attempt, OWNERS) as crowd:
        if attempt.bug:
            for worker in workers:
                await here.start(worker, bug=attempt.bug)
            await here.ready(*workers)
        problems = await _without_broker(crowd)
        back = time.monotonic()
        await here.current(LAG_GONE)
        seconds = time.monotonic() - back
        print(f"   F4: lag gone {seconds:.0f} s after the broker came back", flush=True)
        found = await crowd.found()
    found.problems += problems
    found.expect(seconds <= LAG_GONE, f"lag gone after {seconds:.0f} s")
    if attempt.bug:
        for worker in workers:
            await here.start(worker)
        await here.ready(*workers)
    return found


async def _without_broker(crowd: Crowd) -> list[str]:
    """What went wrong while the broker was away for some seconds."""
    broker = crowd.here.ground.broker
    assert broker
    problems: list[str] = []
    async with crowd.at_work(), crowd.here.user() as user:
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.kill)
        answered = len(crowd.sent)
        for _ in range(8):
            await asyncio.sleep(0.5)
            reply = await user.get(f"/organisations/{crowd.unit}/dashboard")
            if not reply.is_success:
                problems.append(f"the dashboard answered {reply.status_code} while the broker was away")
        if len(crowd.sent) - answered < 50:
            problems.append(f"only {len(crowd.sent) - answered} commands were answered without a broker")
        await asyncio.to_thread(broker.restart)
        await asyncio.sleep(2)
    if crowd.slowest > 5:
        problems.append(f"a command took {crowd.slowest:.1f} s")
    return problems


def cases() -> list[Case]:
    """The rows that leave the broker alone."""
    killed = [
        Case(
            "F1",
            f"web.{when}_commit ({service})",
            partial(killed_http, point=f"web.{when}_commit", service=service),
            (bug,),
        )
        for service in OWNERS
        for when, bug in (("before", "commit-after-reply"), ("after", "no-stored-reply"))
    ]
    return [
        *killed,
        Case("F18", "SIGTERM http processes", stopped_http, ("ends-at-once",), runs=1),
        Case("F18", "SIGTERM workers", stopped_workers, ("dies-at-sigterm",), runs=1),
    ]


def last_cases() -> list[Case]:
    """The row during which nothing else may run."""
    return [Case("F4", "broker killed and restarted", killed_broker, ("no-acknowledgement",), runs=1)]
