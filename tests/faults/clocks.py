"""F15: the last minute of a year, clocks that are ten minutes wrong, a leap day. In one process, whose clock the test holds."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.clock import china_date
from shared.security.keys import KeyRing, new_ring_json
from shared.testing.clock import StoppedClock
from shared.web.invariants import examine
from tests.faults.cases import Attempt, Case
from tests.faults.ground import Ground
from tests.faults.ledger import Found
from tests.faults.planting import planted
from tests.support.aid import Aid, FakeMembership, aid_of
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tests.support.welfare import Welfare, found
from welfare_service.app import build
from welfare_service.invariants import INVARIANTS
from welfare_service.settings import Settings

AMOUNT = 30_000
WAVE = 20
#: 23:59:30 in China on the last day of the year of `tests.support.aid`.
LATE = datetime(2026, 12, 31, 15, 59, 30, tzinfo=UTC)
LEAP_DAY = datetime(2028, 2, 29, 15, 59, 30, tzinfo=UTC)
_FREE = asyncio.Lock()


@asynccontextmanager
async def _welfare(ground: Ground, moment: datetime) -> AsyncIterator[tuple[Aid, StoppedClock, KeyRing]]:
    """Welfare over a database of its own, at that moment."""
    urls = await asyncio.to_thread(ground.databases, "welfare")
    keys = ground.folder / f"clocks-{UUID(int=random.getrandbits(128))}.json"
    keys.write_bytes(new_ring_json())
    keys.chmod(0o600)
    settings = Settings(
        database_url=urls.app,
        worker_database_url=urls.worker,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url="http://127.0.0.1:9/jwks",
        keys_file=keys,
        membership_url="http://127.0.0.1:9",
        rate_limit_per_minute=0,
    )
    clock, issuer, membership = StoppedClock(moment), Issuer(), FakeMembership(urls.worker)
    app = build(settings, clock=clock, key_source=issuer, membership=membership)
    top = await found(urls)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://welfare.test") as client,
    ):
        aid = await aid_of(Welfare(client, issuer, urls, top, clock), membership)
        yield aid, clock, KeyRing.load(keys)


@asynccontextmanager
async def _alone(bug: str | None) -> AsyncIterator[None]:
    """One run at a time: a seeded bug is in the whole process."""
    async with _FREE:
        with planted(bug):
            yield


async def _breaches(aid: Aid, ring: KeyRing) -> int:
    database = Database(aid.welfare.urls.worker, pool_size=1, application_name="faults-clocks")
    try:
        async with database.read(Scope.everything()) as session:
            # Nobody sends these cases to a bank; what payouts promise is looked at elsewhere.
            wanted = [one for one in INVARIANTS if one.id in {"I3", "I4", "I6"}]
            return sum(len(one.offenders) for one in await examine(session, ring, wanted))
    finally:
        await database.close()


async def _send(aid: Aid, case: dict[str, Any]) -> httpx.Response:
    path = f"/cases/{case['id']}/approval"
    while True:
        reply = await aid.welfare.send(
            "POST", path, by=aid.approver, version=case["version"], json={"approved_fen": AMOUNT}
        )
        if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return reply
        await asyncio.sleep(0.1)


async def year_end(ground: Ground, attempt: Attempt) -> Found:
    """Approvals before, during and after midnight: none is entered into the budget of the year that is over."""
    async with _alone(attempt.bug), _welfare(ground, LATE - timedelta(hours=2)) as (aid, clock, ring):
        programme = await aid.programme()
        member = await aid.member()
        cases = [await aid.submitted(programme, member, requested_fen=AMOUNT) for _ in range(3 * WAVE)]
        clock.set(LATE)
        before = await asyncio.gather(*(_send(aid, case) for case in cases[:WAVE]))
        during = [asyncio.create_task(_send(aid, case)) for case in cases[WAVE : 2 * WAVE]]
        await asyncio.sleep(0.05)
        clock.advance(timedelta(minutes=1))
        between = await asyncio.gather(*during)
        after = await asyncio.gather(*(_send(aid, case) for case in cases[2 * WAVE :]))
        entered = await aid.welfare.rows("SELECT at, on_date FROM journal_entries WHERE kind = 'reservation'")
        breaches = await _breaches(aid, ring)
        _, reserved, _ = await aid.budget()
    late = sum(china_date(row["at"]).year != 2026 for row in entered)
    said = [reply for reply in (*before, *between, *after) if reply.is_success]
    result = Found(
        lost=sum(not reply.is_success for reply in before) + max(0, len(said) - len(entered)),
        doubled=sum(reply.is_success for reply in after) + late + max(0, len(entered) - len(said)),
        disordered=breaches,
    )
    codes = {reply.json().get("code") for reply in (*between, *after) if not reply.is_success}
    result.expect(codes <= {"budget-of-another-year"}, f"refused by {codes}")
    result.expect(reserved == len(said) * AMOUNT, f"{reserved} fen are reserved for {len(said)} cases")
    return result


async def wrong_clock(ground: Ground, attempt: Attempt) -> Found:
    """The clock jumps by up to ten minutes to and fro between the steps of cases: books and order do not rest on it."""
    dice = random.Random(attempt.seed)
    noon = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
    async with _alone(attempt.bug), _welfare(ground, noon) as (aid, clock, ring):
        programme = await aid.programme()
        cases, jumps = [], 0
        for _ in range(WAVE):
            clock.set(noon + timedelta(seconds=dice.uniform(-600, 600)))
            cases.append(await aid.submitted(programme, await aid.member(), requested_fen=AMOUNT))

        async def jump() -> None:
            nonlocal jumps
            while True:
                clock.set(noon + timedelta(seconds=dice.uniform(-600, 600)))
                jumps += 1
                await asyncio.sleep(0.005)

        jumping = asyncio.create_task(jump())
        replies = await asyncio.gather(*(_send(aid, case) for case in cases))
        cancelled = []
        for reply in [one for one in replies if one.is_success][::2]:
            path = f"/cases/{reply.json()['id']}/cancellation"
            version = reply.json()["version"]
            cancelled.append(
                await aid.welfare.send(
                    "POST", path, by=aid.approver, version=version, json={"reason": "重复"}
                )
            )
        jumping.cancel()
        breaches = await _breaches(aid, ring)
        _, reserved, _ = await aid.budget()
        statement = await aid.welfare.call(
            "GET", f"/budgets/{aid.budget_id}/statement?limit=200", by=aid.treasurer
        )
    kept = sum(reply.is_success for reply in replies) - sum(reply.is_success for reply in cancelled)
    positions = [item["version"] for item in statement["entries"]]
    result = Found(
        lost=sum(not reply.is_success for reply in (*replies, *cancelled)),
        doubled=abs(reserved - kept * AMOUNT) // AMOUNT,
        disordered=breaches + (positions != sorted(positions)) + (len(positions) != len(set(positions))),
    )
    result.expect(jumps > 10, f"the clock jumped only {jumps} times")
    return result


async def leap_day(ground: Ground, attempt: Attempt) -> Found:
    """A programme for that one day, whose age limit somebody born on a leap day reaches on it and not the day before."""
    async with _alone(attempt.bug), _welfare(ground, LATE - timedelta(hours=2)) as (aid, clock, ring):
        clock.set(LEAP_DAY)
        budget = {
            "organisation_id": str(aid.unit.id),
            "year": 2028,
            "source": "own",
            "name": "闰日",
            "amount_fen": 1_000_000,
        }
        made = await aid.welfare.call("POST", "/budgets", by=aid.treasurer, json=budget, expect=201)
        aid.budget_id = made["id"]
        programme = await aid.programme(
            starts_on="2028-02-28", ends_on="2028-02-29", eligibility={"age": {"min": 60}}
        )
        old = await aid.member(birth_year=1968)
        aid.membership.changed[old.id] = {"birth_date": "1968-02-29"}
        drafted = await aid.case(programme, old)
        path = f"/cases/{drafted['id']}/submission"
        clock.advance(timedelta(days=-1))
        early = await aid.welfare.send("POST", path, by=aid.officer, version=drafted["version"])
        clock.advance(timedelta(days=1))
        then = await aid.welfare.send("POST", path, by=aid.officer, version=drafted["version"])
        approved = await _send(aid, {"id": drafted["id"], "version": drafted["version"] + 1})
        clock.advance(timedelta(minutes=1))
        late = await aid.welfare.send("POST", "/cases", by=aid.officer, json=_again(programme, old.id))
        breaches = await _breaches(aid, ring)
        days = await aid.welfare.rows("SELECT on_date FROM journal_entries WHERE kind = 'reservation'")
    return Found(
        lost=int(not then.is_success) + int(not approved.is_success),
        doubled=int(early.is_success) + int(late.is_success),
        disordered=breaches + sum(row["on_date"].isoformat() != "2028-02-29" for row in days),
    )


def _again(programme: dict[str, Any], member_id: UUID) -> dict[str, Any]:
    return {
        "programme_id": programme["id"],
        "member_id": str(member_id),
        "requested_fen": AMOUNT,
        "reason": "x",
        "payee_name": "王小明",
        "account": "6222020200112233445",
    }


def cases() -> list[Case]:
    """The rows."""
    return [
        Case("F15", "year end at 23:59", year_end, ("day-in-utc",)),
        Case("F15", "clock ±10 min", wrong_clock, ("newest-by-the-clock",)),
        Case("F15", "leap day", leap_day, ("age-by-year",), runs=1),
    ]
