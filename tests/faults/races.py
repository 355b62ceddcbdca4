"""F10: many at once want the last fen, the same payment, opposite decisions, the last seat."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from tests.faults.cases import Attempt, Case
from tests.faults.installation import Installation
from tests.faults.ledger import Found
from tests.faults.office import AMOUNT, Office, opened_office
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

MANY, PAID_FOR = 64, 10
#: For one seat.
CROWD = 200
PAIRS = 12

#: A seat that is read, and then taken: nobody waits for whoever is between the two.
_READ_THEN_TAKE = """
    CREATE OR REPLACE FUNCTION take_seat(activity uuid, wanted integer, at timestamptz)
    RETURNS TABLE (organisation_id uuid, path text, "position" bigint, status text)
    LANGUAGE plpgsql VOLATILE ROWS 1
    AS $$ #variable_conflict use_column
    DECLARE seen public.activity_seats;
    BEGIN
        SELECT * INTO seen FROM public.activity_seats t
        WHERE t.activity_id = activity AND t.pool = wanted AND t.is_open AND t.closes_at > at;
        IF NOT FOUND THEN RETURN; END IF;
        UPDATE public.activity_seats t SET taken = least(seen.taken + 1, t.seats), last_position = seen.last_position + 1
        WHERE t.activity_id = activity AND t.pool = wanted;
        RETURN QUERY SELECT seen.organisation_id, seen.path, seen.last_position + 1,
            CASE WHEN seen.taken < seen.seats THEN 'confirmed' ELSE 'waiting' END;
    END $$
"""
#: The same mistake with the figures of a budget; on a machine of few cores whoever is between the two must be given time.
_READ_THEN_WRITE = """
    CREATE OR REPLACE FUNCTION move_money(budget uuid, of_year integer, allocated bigint, reserved bigint, paid bigint)
    RETURNS TABLE (version bigint, available_fen bigint, reserved_fen bigint, paid_fen bigint)
    LANGUAGE plpgsql VOLATILE ROWS 1
    AS $$ #variable_conflict use_column
    DECLARE seen public.budgets;
    BEGIN
        SELECT * INTO seen FROM public.budgets AS b
        WHERE b.id = budget AND (of_year IS NULL OR b.year = of_year)
          AND b.reserved_fen + reserved >= 0 AND b.paid_fen + paid >= 0
          AND b.reserved_fen + reserved + b.paid_fen + paid <= b.allocated_fen + allocated;
        IF NOT FOUND THEN RETURN; END IF;
        PERFORM pg_sleep(0.1);
        RETURN QUERY UPDATE public.budgets AS b SET
            allocated_fen = seen.allocated_fen + allocated,
            reserved_fen = seen.reserved_fen + reserved,
            paid_fen = seen.paid_fen + paid,
            version = b.version + 1
        WHERE b.id = budget
        RETURNING b.version, b.allocated_fen - b.reserved_fen - b.paid_fen, b.reserved_fen, b.paid_fen;
    END $$
"""


@asynccontextmanager
async def serving(here: Installation, service: str, bug: str | None) -> AsyncIterator[None]:
    """The HTTP process of a service with a seeded bug, for a while; without one it is left as it is."""
    if bug:
        await here.start(service, bug=bug)
        await here.ready(service)
    try:
        yield
    finally:
        if bug:
            await here.start(service)
            await here.ready(service)


async def at_once(user: httpx.AsyncClient, requests: Sequence[dict[str, Any]]) -> list[httpx.Response]:
    """All of them at the same time; one that is told to come again does."""

    async def send(request: dict[str, Any]) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid4())} | request.pop("headers", {})
        while True:
            reply = await user.request("POST", headers=headers, timeout=60, **request)
            if "retry-after" not in reply.headers and "request-still-running" not in reply.text:
                return reply
            await asyncio.sleep(0.2)

    return list(await asyncio.gather(*(send(request) for request in requests)))


def unclear(replies: Sequence[httpx.Response]) -> int:
    """Answers that are neither yes nor a refusal with a reason."""
    return sum(reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR for reply in replies)


@asynccontextmanager
async def _office(here: Installation) -> AsyncIterator[Office]:
    async with opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office:
        yield office


async def last_fen(here: Installation, attempt: Attempt) -> Found:
    """64 approvals at once on a budget that pays for ten, half of them at a second process.

    One process alone hands approvals of a budget to the database one batch after the other (`shared.web.gathering`).
    """
    before = await here.broken("welfare")
    async with _office(here) as office:
        budget = await office.fund(PAID_FOR * AMOUNT + AMOUNT // 2)
        office.programme = await office.open_programme(budget)
        members = [await office.member(number % 2) for number in range(16)]
        cases = [await office.case(members[number % 16]) for number in range(MANY)]
        bug = _READ_THEN_WRITE if attempt.bug else None
        async with here.second("welfare") as other, _replaced(here, "welfare", bug):
            replies = await at_once(
                office.desks["approver"],
                [
                    {
                        "url": f"{(other, '')[number % 2]}/cases/{case['id']}/approval",
                        "headers": {"If-Match": f'"{case["version"]}"'},
                        "json": {"approved_fen": AMOUNT},
                    }
                    for number, case in enumerate(cases)
                ],
            )
    approved = [UUID(reply.json()["id"]) for reply in replies if reply.is_success]
    refused = Counter(reply.json().get("code") for reply in replies if not reply.is_success)
    rows = await here.rows(
        here.databases["welfare"],
        "SELECT case_id FROM journal_entries WHERE kind = 'reservation' AND case_id = ANY ($1)",
        [UUID(case["id"]) for case in cases],
    )
    reserved = {row["case_id"] for row in rows}
    found = Found(
        lost=max(0, PAID_FOR - len(approved)) + len(set(approved) - reserved) + unclear(replies),
        doubled=max(0, len(approved) - PAID_FOR) + len(reserved - set(approved)),
        disordered=len(await here.broken("welfare") - before),
    )
    found.expect(set(refused) <= {"budget-exhausted"}, f"refused: {refused}")
    return found


async def same_payout(here: Installation, attempt: Attempt) -> Found:
    """The same batch 16 times under one key, the same case in 16 batches, one batch let go 16 times."""
    before = await here.broken("welfare")
    found = Found()
    async with _office(here) as office:
        member = await office.member()
        first, second = [(await office.case(member, upto="approved"))["id"] for _ in range(2)]
        async with serving(here, "welfare", attempt.bug):
            treasurer = office.desks["treasurer"]
            key = {"Idempotency-Key": str(uuid4())}
            body = {"organisation_id": office.unit, "case_ids": [first]}
            replies = await at_once(
                treasurer, [{"url": "/payouts", "json": body, "headers": key} for _ in range(16)]
            )
            payout = next((reply.json() for reply in replies if reply.is_success), None)
            found.lost += sum(not reply.is_success or reply.json() != payout for reply in replies)
            body = {"organisation_id": office.unit, "case_ids": [second]}
            replies = await at_once(treasurer, [{"url": "/payouts", "json": body} for _ in range(16)])
            found += _exactly_one(replies)
            assert payout
            sending = {
                "url": f"/payouts/{payout['id']}/sending",
                "headers": {"If-Match": f'"{payout["version"]}"'},
                "json": {"channel": "file"},
            }
            replies = await at_once(office.desks["second treasurer"], [dict(sending) for _ in range(16)])
            found += _exactly_one(replies)
    lines = await here.rows(
        here.databases["welfare"],
        "SELECT case_id, count(*) FROM payout_lines WHERE case_id = ANY ($1) GROUP BY 1",
        [UUID(first), UUID(second)],
    )
    found.doubled += sum(row["count"] - 1 for row in lines)
    found.disordered += len(await here.broken("welfare") - before)
    return found


async def opposite_decisions(here: Installation, attempt: Attempt) -> Found:
    """Approve against reject, then pay against cancel, for a dozen cases at once: one of the two happens, and it alone."""
    before = await here.broken("welfare")
    found = Found()
    async with _office(here) as office:
        members = [await office.member() for _ in range(4)]
        submitted = [await office.case(members[number % 4]) for number in range(PAIRS)]
        approved = [await office.case(members[number % 4], upto="approved") for number in range(PAIRS)]
        async with serving(here, "welfare", attempt.bug):
            for case in submitted:
                headers = {"If-Match": f'"{case["version"]}"'}
                path = f"/cases/{case['id']}"
                replies = await at_once(
                    office.desks["approver"],
                    [
                        {
                            "url": f"{path}/approval",
                            "headers": dict(headers),
                            "json": {"approved_fen": AMOUNT},
                        },
                        {"url": f"{path}/rejection", "headers": dict(headers), "json": {"reason": "不符合"}},
                        {"url": f"{path}/return", "headers": dict(headers), "json": {"reason": "补材料"}},
                    ],
                )
                found += _exactly_one(replies)
            for case in approved:
                cancel = {
                    "url": f"/cases/{case['id']}/cancellation",
                    "headers": {"If-Match": f'"{case["version"]}"'},
                    "json": {"reason": "重复"},
                }
                pay = {"url": "/payouts", "json": {"organisation_id": office.unit, "case_ids": [case["id"]]}}
                cancelled, paid = await asyncio.gather(
                    at_once(office.desks["approver"], [cancel]), at_once(office.desks["treasurer"], [pay])
                )
                found += _exactly_one([*cancelled, *paid])
    found.disordered += len(await here.broken("welfare") - before)
    return found


def _exactly_one(replies: Sequence[httpx.Response]) -> Found:
    done = sum(reply.is_success for reply in replies)
    return Found(lost=max(0, 1 - done) + unclear(replies), doubled=max(0, done - 1))


async def last_seat(here: Installation, attempt: Attempt) -> Found:
    """200 registrations at once for one seat: one is confirmed, the others wait in one order."""
    before = await here.broken("events")
    async with _office(here) as office:
        gate = asyncio.Semaphore(8)

        async def join(number: int) -> Any:
            async with gate:
                return await office.member(number % 2)

        members = await asyncio.gather(*(join(number) for number in range(CROWD)))
        activity = await office.activity(1)
        probe = await office.activity(1)
        # All members must have arrived.
        await here.current()
        await office.register(probe, members[-1])
        async with _replaced(here, "events", _READ_THEN_TAKE if attempt.bug else None):
            url = f"/activities/{activity['id']}/registrations"
            requests = [{"url": url, "json": {"member_id": member["id"]}} for member in members]
            replies = await at_once(office.desks["organiser"], requests)
    told = Counter(reply.json()["status"] for reply in replies if reply.is_success)
    rows = await here.rows(
        here.databases["events"],
        "SELECT status, position FROM registrations WHERE activity_id = $1",
        UUID(activity["id"]),
    )
    positions = [row["position"] for row in rows]
    confirmed = [row["position"] for row in rows if row["status"] == "confirmed"]
    found = Found(
        lost=CROWD - told.total() + CROWD - len(rows) + max(0, 1 - len(confirmed)),
        doubled=max(0, len(confirmed) - 1) + len(positions) - len(set(positions)),
        disordered=len(await here.broken("events") - before) + (bool(confirmed) and min(confirmed) != 1),
    )
    found.expect(told == {"confirmed": 1, "waiting": CROWD - 1}, f"told {dict(told)}")
    return found


@asynccontextmanager
async def _replaced(here: Installation, service: str, by: str | None) -> AsyncIterator[None]:
    """With a bug a function of the database is another, for a while."""
    if by is None:
        yield
        return
    name = by.split("FUNCTION ")[1].split("(")[0]
    owner = await asyncpg.connect(here.databases[service].owner)
    try:
        was = await owner.fetchval("SELECT pg_get_functiondef($1::text::regproc)", name)
        await owner.execute(by)
        yield
        await owner.execute(was)
    finally:
        await owner.close()


def cases() -> list[Case]:
    """The rows."""
    return [
        Case("F10", "64 approvals on the last fen", last_fen, ("figures-are-read-then-written",), runs=1),
        Case("F10", "the same payout twice", same_payout, ("no-stored-reply",), runs=1),
        Case("F10", "approve against cancel", opposite_decisions, ("decides-without-a-lock",), runs=1),
        Case("F10", "200 registrations for the last seat", last_seat, ("seat-is-read-then-taken",), runs=1),
    ]
