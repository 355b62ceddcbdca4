"""F11: a bank on its bad days, and a worker that dies between the bank and its own books."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import httpx

from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.installation import Installation
from tests.faults.ledger import Found
from tests.faults.office import Office, opened_office
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

LINES = 4
#: Seconds: of a few cycles of questions, the first of which come ten seconds after a batch was sent.
CYCLES = 75
#: More than the worker waits for an answer.
TOO_LATE = 11.0


async def bad_day(here: Installation, attempt: Attempt, *, faults: dict[str, Any], crash: str = "") -> Found:
    """A batch is sent on a bad day; the next day all is well, and everybody knows what became of it."""
    before = await here.broken("welfare")
    async with opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office:
        member = await office.member()
        cases = [(await office.case(member, upto="approved"))["id"] for _ in range(LINES)]
        payout = await office.ask(
            "treasurer", "POST", "/payouts", json={"organisation_id": office.unit, "case_ids": cases}
        )
        if attempt.bug or crash:
            await here.start("welfare-worker", bug=attempt.bug, crash=crash)
            await here.ready("welfare-worker")
        await _set(here, faults)
        sending = {"version": payout["version"], "json": {"channel": "bank"}}
        await office.ask("second treasurer", "POST", f"/payouts/{payout['id']}/sending", **sending)
        if crash:
            await here.programs["welfare-worker"].dies()
            await here.start("welfare-worker", bug=attempt.bug)
            await here.ready("welfare-worker")
        else:
            await asyncio.sleep(faults.get("delay", 0) + 2)
        await _set(here, {})
        never_sent = crash.startswith("payout.before_send")
        found = await _judged(here, office, payout, cases, never_sent=never_sent, hasty=bool(attempt.bug))
    found.disordered += len(await here.broken("welfare") - before)
    if attempt.bug:
        await here.start("welfare-worker")
        await here.ready("welfare-worker")
    return found


async def _set(here: Installation, faults: dict[str, Any]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.put(f"{here.url('bank')}/faults", json=faults)).raise_for_status()


async def _judged(
    here: Installation,
    office: Office,
    payout: dict[str, Any],
    cases: list[str],
    *,
    never_sent: bool,
    hasty: bool,
) -> Found:
    """What the bank has done against what the journal says of it. A seeded bug is given less time."""
    path = f"/payouts/{payout['id']}"

    async def is_answered() -> bool:
        return bool((await office.ask("treasurer", "GET", path))["state"] == "answered")

    found = Found()
    if never_sent:
        # Nobody knows that it was not sent, so it is asked about, and not sent again.
        await asyncio.sleep(20)
    else:
        try:
            await eventually(is_answered, CYCLES / 2 if hasty else CYCLES, every=1)
        except AssertionError:
            found.problems.append(f"not answered for after {CYCLES} s")
    lines = await here.rows(
        here.databases["welfare"],
        "SELECT id, case_id, state FROM payout_lines WHERE case_id = ANY ($1)",
        [UUID(one) for one in cases],
    )
    payments = await here.rows(
        here.databases["welfare"],
        "SELECT case_id FROM journal_entries WHERE kind = 'payment' AND case_id = ANY ($1)",
        [UUID(one) for one in cases],
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        books = (await client.get(f"{here.url('bank')}/ledger")).json()
    sent = {one["id"]: one["sent"] for one in books if one["batch"] == payout["id"]}
    of_line = {str(line["id"]): line["case_id"] for line in lines}
    paid = {of_line[one] for one in sent if one in of_line}
    settled = [row["case_id"] for row in payments]
    found.lost += len(paid - set(settled)) + (0 if never_sent else len(cases) - len(paid))
    found.doubled += sum(times - 1 for times in sent.values())
    found.doubled += len(settled) - len(set(settled)) + len(set(settled) - paid)
    if never_sent:
        unknown = [line for line in lines if line["state"] == "unknown"]
        # Any other was sent, or will be once the dead worker's lease has ended, as if the bank had never been asked.
        found.doubled += len(sent) + len(cases) - len(unknown)
    return found


def cases() -> list[Case]:
    """The rows."""
    slow: dict[str, Any] = {"delay": TOO_LATE}
    rows: list[tuple[str, dict[str, Any], str, str]] = [
        ("bank times out after accepting", slow, "", "silence-is-a-failure"),
        ("duplicate result", {"twice": True}, "", "the-second-word-fails"),
        ("late result", {"pay_after": 12.0}, "", "accepted-is-a-failure"),
        ("contradicting result", {"contradict": True}, "", "the-last-word-holds"),
        ("worker killed before the bank is called", {}, "payout.before_send:1", "marks-after-sending"),
        ("worker killed between bank and commit", {}, "payout.after_send:1", "marks-after-sending"),
    ]
    return [
        Case("F11", point, partial(bad_day, faults=faults, crash=crash), (bug,), runs=1)
        for point, faults, crash, bug in rows
    ]
