"""Organisations that move while a roster is applied, and a dashboard that is rebuilt meanwhile."""

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from membership_service.members.documents import check_digit
from tests.faults.cases import Attempt, Case
from tests.faults.commands import Crowd, of_membership
from tests.faults.insisting import insist
from tests.faults.installation import REGISTRAR, Installation
from tests.faults.ledger import Found
from tests.support.rosters import HEADINGS, comma_separated, row_of

#: More than one chunk of an import.
ROWS = 12_000
LEAVES = 8
_region = itertools.count(1)

# Who belongs where, from the parents of the units alone: neither paths nor views take part.
_TRUTH = """
    WITH RECURSIVE line AS (
        SELECT id, id AS ancestor FROM organisations
        UNION ALL
        SELECT line.id, parent.parent_id FROM line JOIN organisations AS parent ON parent.id = line.ancestor
        WHERE parent.parent_id IS NOT NULL
    )
    SELECT line.ancestor, status, gender, count(*) AS how_many
    FROM line JOIN members ON members.organisation_id = line.id
    WHERE line.ancestor = ANY ($1::uuid[]) GROUP BY 1, 2, 3
"""
_ASTRAY = """
    SELECT count(*) AS how_many FROM members JOIN organisations AS unit ON unit.id = organisation_id
    WHERE members.path <> unit.path
"""


class Grove:
    """Two branches of a unit and the leaves that move between them."""

    def __init__(self, here: Installation, top: dict[str, Any], attempt: Attempt) -> None:
        self.here = here
        self.top = top
        self.dice = random.Random(attempt.seed)
        self.branches: list[dict[str, Any]] = []
        self.leaves: list[dict[str, Any]] = []
        self.moves = 0

    async def plant(self, user: httpx.AsyncClient) -> None:
        """Found all units."""
        for name in ("甲", "乙"):
            self.branches.append(await self.here.unit(user, self.top["id"], f"示例{name}"))
        for number in range(LEAVES):
            self.leaves.append(await self.here.unit(user, self.branches[0]["id"], f"示例{number}"))

    @property
    def units(self) -> list[dict[str, Any]]:
        """All of them."""
        return [self.top, *self.branches, *self.leaves]

    async def move_one(self, user: httpx.AsyncClient) -> None:
        """A leaf goes over to the other branch, or stays."""
        leaf = self.dice.choice(self.leaves)
        to = self.dice.choice([branch for branch in self.branches if branch["id"] != leaf["parent_id"]])
        version = (await insist(user, "GET", f"/organisations/{leaf['id']}")).headers["ETag"]
        await insist(
            user,
            "POST",
            f"/organisations/{leaf['id']}/move",
            headers={"If-Match": version},
            json={"parent_id": to["id"]},
        )
        leaf["parent_id"] = to["id"]
        self.moves += 1

    def roster(self, rows: int) -> bytes:
        """Good rows for all leaves."""
        lines = [
            row_of(证件号码=number, 手机号="", 工会组织编码=leaf["code"])
            for number, leaf in zip(_numbers(rows), itertools.cycle(self.leaves), strict=False)
        ]
        return comma_separated([HEADINGS, *lines])

    async def judged(self, user: httpx.AsyncClient) -> Found:
        """The dashboards of all units against a count of the owner's rows."""
        await self.here.current()
        found = Found()
        ids = [unit["id"] for unit in self.units]
        truth: dict[str, Counter[str]] = {unit: Counter() for unit in ids}
        for row in await self.here.rows(self.here.membership, _TRUTH, ids):
            truth[str(row["ancestor"])][f"status {row['status']}"] += row["how_many"]
            if row["status"] == "active":
                truth[str(row["ancestor"])][f"gender {row['gender']}"] += row["how_many"]
        for unit, wanted in truth.items():
            reply = (await insist(user, "GET", f"/organisations/{unit}/dashboard")).json()
            shown = Counter({f"status {name}": n for name, n in reply["by_status"].items()})
            shown.update({f"gender {name}": n for name, n in reply["by_gender"].items()})
            found.lost += (wanted - shown).total()
            found.doubled += (shown - wanted).total()
        astray = (await self.here.rows(self.here.membership, _ASTRAY))[0]["how_many"]
        found.expect(not astray, f"{astray} members stand under a path that is not their unit's")
        return found


def _numbers(how_many: int) -> Sequence[str]:
    region = next(_region)
    firsts = (
        f"95{region:02d}{serial // 9000:02d}{1960 + serial // 900 % 10}0307{serial % 900:03d}"
        for serial in range(how_many)
    )
    return [first + check_digit(first) for first in firsts]


async def grown(here: Installation, user: httpx.AsyncClient, attempt: Attempt) -> Grove:
    """A new grove below the root."""
    grove = Grove(here, await here.unit(user, here.root_id, "示例林"), attempt)
    await grove.plant(user)
    await here.current()
    return grove


async def imported(user: httpx.AsyncClient, grove: Grove, rows: int) -> dict[str, Any]:
    """Upload, wait for the check, ask for it to be applied; the import as it stands then."""
    upload = await insist(
        user,
        "POST",
        "/rosters",
        files={"file": ("r.csv", grove.roster(rows))},
        data={"organisation_id": grove.top["id"]},
    )
    roster = await _until(user, upload.json()["id"], "checked")
    as_read = {"If-Match": f'"{roster["version"]}"'}
    await insist(user, "POST", f"/rosters/{roster['id']}/apply", headers=as_read, json={})
    return roster


async def _until(user: httpx.AsyncClient, roster: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(150):
        while True:
            found: dict[str, Any] = (await insist(user, "GET", f"/rosters/{roster}")).json()
            if found["state"] == state:
                return found
            assert found["state"] != "failed", found
            await asyncio.sleep(0.2)


async def moved_while_imported(here: Installation, attempt: Attempt) -> Found:
    """Leaves go to and fro while 12,000 people are applied to them."""
    async with here.user() as user, here.user(REGISTRAR) as registrar:
        grove = await grown(here, user, attempt)
        if attempt.bug:
            await here.start("gateway-worker", bug=attempt.bug)
        roster = await imported(registrar, grove, ROWS)
        applying = asyncio.create_task(_until(registrar, roster["id"], "applied"))
        while not applying.done():
            await grove.move_one(user)
        applied = await applying
        await grove.move_one(user)
        found = await grove.judged(user)
        print(f"   {grove.moves} moves while {applied['created']} people were imported", flush=True)
        found.expect(applied["created"] == ROWS, f"{applied['created']} of {ROWS} rows became members")
        found.expect(grove.moves > 2, f"only {grove.moves} moves fell into the import")
        if attempt.bug:
            await here.start("gateway-worker")
            await here.ready("gateway-worker")
            # What the bug has spoilt is made good, for those who come after.
            assert await _rebuild(here) == 0
        return found


async def _rebuild(here: Installation) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway_service.operate",
        "rebuild",
        env=here.whole_environment("gateway"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(300):
        return await process.wait()


async def rebuilt_under_load(here: Installation, attempt: Attempt) -> Found:
    """The dashboard is rebuilt while leaves move and people come; it is never away, and right in the end."""
    async with here.user() as user, here.user(REGISTRAR) as registrar:
        grove = await grown(here, user, attempt)
        if attempt.bug:
            await here.start("gateway-worker", bug=attempt.bug)
            await here.ready("gateway-worker")
        roster = await imported(registrar, grove, 2_000)
        unit = (await here.unit(user, grove.leaves[0]["id"], "示例新"))["id"]
        desks = {"administrator": user, "registrar": registrar}
        crowd = Crowd(here, desks, unit, grove.dice, of_membership(unit), [unit], [unit])
        away: list[str] = []
        async with crowd.at_work():
            rebuilding = asyncio.create_task(_rebuild(here))
            while not rebuilding.done():
                await grove.move_one(user)
                reply = await user.get(f"/organisations/{grove.top['id']}/dashboard")
                if not reply.is_success:
                    away.append(f"{reply.status_code} {reply.text[:200]}")
        await _until(registrar, roster["id"], "applied")
        found = await grove.judged(user) + await crowd.found()
        found.expect(await rebuilding == 0, "the rebuild failed")
        found.expect(not away, f"the dashboard was away {len(away)} times: {away[:1]}")
        if attempt.bug:
            await here.start("gateway-worker")
            await here.ready("gateway-worker")
            assert await _rebuild(here) == 0
        return found


def cases() -> list[Case]:
    """The rows."""
    return [
        Case(
            "moves",
            "organisations moved while imported",
            moved_while_imported,
            ("move-forgets-totals",),
            runs=1,
        ),
        Case(
            "F14",
            "dashboard rebuilt under load",
            rebuilt_under_load,
            ("rebuild-forgets-the-tail",),
            runs=1,
        ),
    ]
