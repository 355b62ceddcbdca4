"""F1, F4 and F18 on the product: commands of users through the gateway while processes end or the broker is away."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx

from membership_service.members.documents import check_digit
from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.installation import REGISTRAR, Installation, founding, insist
from tests.faults.ledger import Found, judge

LAG_GONE = 120
USERS = 6
#: Seconds for which a user repeats a command.
PATIENCE = 25
FOUND = "/organisations"
_people = itertools.count(1)


@dataclass
class Sent:
    """A command: what was asked, under which key, and the id in the first reply that came."""

    path: str
    body: dict[str, str]
    key: str = field(default_factory=lambda: str(uuid4()))
    reply: dict[str, Any] | None = None


@dataclass
class Crowd:
    """Users who found units and enter applications below one unit, and go on until they are answered."""

    here: Installation
    unit: str
    prefix: str
    dice: random.Random
    sent: list[Sent] = field(default_factory=list)
    slowest: float = 0.0
    answers: int = 0
    refused: list[str] = field(default_factory=list)

    def next(self) -> Sent:
        """One of the two kinds: an ordinary transaction, or a single statement."""
        if self.dice.random() < 0.5:
            name = f"{self.prefix}-{len(self.sent)}"
            return Sent(FOUND, founding(self.unit, name))
        return Sent("/members/applications", {"organisation_id": self.unit, **somebody()})

    async def work(self, until: asyncio.Event) -> None:
        """One user."""
        async with self.here.user() as administrator, self.here.user(REGISTRAR) as registrar:
            while not until.is_set():
                sent = self.next()
                self.sent.append(sent)
                await self.do(administrator if sent.path == FOUND else registrar, sent)
                await asyncio.sleep(0.02)

    async def do(self, user: httpx.AsyncClient, sent: Sent) -> None:
        """Send until answered; a second answer must be the first."""
        began = time.monotonic()
        try:
            headers = {"Idempotency-Key": sent.key}
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
        async with self.here.user() as administrator, self.here.user(REGISTRAR) as registrar:
            for sent in self.sent:
                await self.do(administrator if sent.path == FOUND else registrar, sent)
        await self.here.current(LAG_GONE)
        acknowledged = [(UUID(sent.reply["id"]), 1) for sent in self.sent if sent.reply]
        rows = await self.here.rows(
            self.here.gateway,
            "SELECT subject, sequence FROM facts WHERE data->'state'->>'parent_id' = $1"
            " OR data->'state'->>'organisation_id' = $1 AND subject <> $2 ORDER BY id",
            self.unit,
            UUID(self.unit),
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


def somebody() -> dict[str, str]:
    """A made-up person under a region that nobody has."""
    serial = next(_people)
    first = f"96{serial // 900:04d}19900307{serial % 900:03d}"
    return {"name": "王伟", "document_number": first + check_digit(first)}


async def _crowd(here: Installation, attempt: Attempt) -> Crowd:
    prefix = f"示例-{uuid4().hex[:8]}"
    async with here.user() as user:
        unit = (await here.unit(user, here.root_id, prefix))["id"]
    await here.current()
    return Crowd(here, unit, prefix, random.Random(attempt.seed))


async def killed_http(here: Installation, attempt: Attempt, *, point: str) -> Found:
    """F1: the process that answers dies in the middle of somebody's command."""
    crowd = await _crowd(here, attempt)
    process = await here.start("membership", crash=f"{point}:{20 + 7 * attempt.number}", bug=attempt.bug)
    async with crowd.at_work():
        await process.dies()
        await here.start("membership", bug=attempt.bug)
        await here.ready("membership")
        await asyncio.sleep(1)
    found = await crowd.found()
    if attempt.bug:
        await here.start("membership")
        await here.ready("membership")
    return found


async def stopped_http(here: Installation, attempt: Attempt) -> Found:
    """F18: SIGTERM to membership's and then to the gateway's HTTP process under load."""
    crowd = await _crowd(here, attempt)
    if attempt.bug:
        await here.start("membership", bug=attempt.bug)
        await here.ready("membership")
    seconds = 0.0
    async with crowd.at_work():
        for name in ("membership", "gateway"):
            await crowd.in_full_swing()
            seconds = max(seconds, await here.programs[name].ends())
            await here.start(name)
            await here.ready(name)
        await asyncio.sleep(1)
    found = await crowd.found()
    found.expect(seconds < 20, f"ended only after {seconds:.0f} s")
    return found


async def stopped_workers(here: Installation, attempt: Attempt) -> Found:
    """F18: SIGTERM to both workers under load."""
    crowd = await _crowd(here, attempt)
    seconds = 0.0
    if attempt.bug:
        await here.start("gateway-worker", bug=attempt.bug)
        await here.ready("gateway-worker")
    async with crowd.at_work():
        for name in ("membership-worker", "gateway-worker"):
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
    crowd = await _crowd(here, attempt)
    if attempt.bug:
        await here.start("membership-worker", bug=attempt.bug)
        await here.ready("membership-worker")
    broker = here.ground.broker
    assert broker
    problems: list[str] = []
    async with crowd.at_work(), here.user() as user:
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
        back = time.monotonic()
        await asyncio.sleep(2)
    if crowd.slowest > 5:
        problems.append(f"a command took {crowd.slowest:.1f} s")
    await here.current(LAG_GONE)
    seconds = time.monotonic() - back
    print(f"   F4: lag gone {seconds:.0f} s after the broker came back", flush=True)
    found = await crowd.found()
    found.problems += problems
    found.expect(seconds <= LAG_GONE, f"lag gone after {seconds:.0f} s")
    if attempt.bug:
        await here.start("membership-worker")
        await here.ready("membership-worker")
    return found


def cases() -> list[Case]:
    """The rows that leave the broker alone."""
    before, after = (partial(killed_http, point=point) for point in ("web.before_commit", "web.after_commit"))
    return [
        Case("F1", "web.before_commit", before, ("commit-after-reply",)),
        Case("F1", "web.after_commit", after, ("no-stored-reply",)),
        Case("F18", "SIGTERM http processes", stopped_http, ("ends-at-once",), runs=1),
        Case("F18", "SIGTERM workers", stopped_workers, ("dies-at-sigterm",), runs=1),
    ]


def last_cases() -> list[Case]:
    """The row during which nothing else may run."""
    return [Case("F4", "broker killed and restarted", killed_broker, ("no-acknowledgement",), runs=1)]
