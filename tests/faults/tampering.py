"""F21: a lost event, an edited journal row, an edited audit row, made by SQL as superuser: the checkers say so, and only then."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.installation import Installation
from tests.faults.ledger import Found
from tests.faults.office import opened_office
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

#: What a checker finds, run with a seeded bug or without.
Look = Callable[[Installation, str | None], Awaitable[set[str]]]


@dataclass(frozen=True)
class Plant:
    """What is done to the database of a service, and undone: `{unit}` is the office's; the planting returns an id."""

    service: str
    sql: str
    heal: str


LOST = Plant(
    "welfare",
    """
    UPDATE directory_members SET sequence = sequence - 1
    WHERE id = (SELECT id FROM directory_members ORDER BY id DESC LIMIT 1) RETURNING id
    """,
    "UPDATE directory_members SET sequence = sequence + 1 WHERE id = '{id}' RETURNING id",
)
JOURNAL_ROW = Plant(
    "welfare",
    """
    UPDATE journal_lines SET amount_fen = amount_fen + 1 WHERE (budget_id, version, account) = (
        SELECT line.budget_id, line.version, line.account FROM journal_lines line
        JOIN budgets ON budgets.id = line.budget_id WHERE budgets.organisation_id = '{unit}' AND line.account = 'reserved'
        LIMIT 1
    ) RETURNING budget_id
    """,
    """
    UPDATE journal_lines SET amount_fen = amount_fen - 1 WHERE budget_id = '{id}' AND account = 'reserved' RETURNING 1
    """,
)
AUDIT_ROW = Plant(
    "welfare",
    """
    UPDATE audit_entries SET action = action || '?' WHERE id = (
        SELECT entry.id FROM audit_entries entry JOIN audit_chain ON audit_chain.entry_id = entry.id
        WHERE entry.path = (SELECT path FROM directory_organisations WHERE id = '{unit}') LIMIT 1
    ) RETURNING id
    """,
    "UPDATE audit_entries SET action = rtrim(action, '?') WHERE id = '{id}' RETURNING id",
)


async def journal(here: Installation, bug: str | None) -> set[str]:
    """I3, by welfare's own program."""
    return {one for one in await here.broken("welfare", bug) if one.startswith("I3 ")}


async def audit(here: Installation, bug: str | None) -> set[str]:
    """I8, by the program that checks the chain."""
    said = await here.program_says("welfare", "shared.security.verify_audit", bug)
    return set() if said["valid"] else {f"I8 {said['first_broken']} {said['reason']}"}


async def replicas(here: Installation, bug: str | None) -> set[str]:
    """I1: what membership and welfare hold of members, hash by hash at equal offsets."""
    if bug:
        for name in ("membership", "welfare"):
            await here.start(name, bug=bug)
        await here.ready("membership", "welfare")
    await here.current()
    headers = {"Authorization": f"Bearer {here.issuer.token_for(ROOT_ADMIN)}"}
    found: list[dict[str, str]] = []
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        for name in ("membership", "welfare"):
            reply = await client.get(f"{here.url(name)}/internal/v1/digest/members")
            found.append(reply.raise_for_status().json()["buckets"])
    if bug:
        for name in ("membership", "welfare"):
            await here.start(name)
        await here.ready("membership", "welfare")
    owner, replica = found
    return {
        f"I1 {bucket}" for bucket in owner.keys() | replica.keys() if owner.get(bucket) != replica.get(bucket)
    }


async def tampered(here: Installation, attempt: Attempt, *, look: Look, plant: Plant) -> Found:
    """Look, plant, look, heal, look."""
    async with opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office:
        await office.case(await office.member(), upto="approved")
        before = await look(here, attempt.bug)
        planted: list[Any] = []

        async def is_planted() -> bool:
            # The chain is a few seconds behind.
            planted[:] = [await _sql(here, plant.service, plant.sql.format(unit=office.unit))]
            return planted[0] is not None

        await eventually(is_planted, 30, every=0.5)
        during = await look(here, attempt.bug)
        await _sql(here, plant.service, plant.heal.format(id=planted[0]))
        after = await look(here, attempt.bug)
    found = Found(lost=int(not during - before), doubled=len(after - before))
    print(f"   F21: {', '.join(sorted(during - before)[:3]) or 'nothing noticed'}", flush=True)
    return found


async def _sql(here: Installation, service: str, statement: str) -> Any:
    """As the superuser, whom no guard of the tables stops."""
    database = urlsplit(here.databases[service].owner).path
    url = urlsplit(here.ground.superuser)._replace(path=database).geturl()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def cases() -> list[Case]:
    """The rows."""
    return [
        Case(
            "F21", "lost event", partial(tampered, look=replicas, plant=LOST), ("hashes-ids-alone",), runs=1
        ),
        Case(
            "F21",
            "edited journal row",
            partial(tampered, look=journal, plant=JOURNAL_ROW),
            ("names-none",),
            runs=1,
        ),
        Case(
            "F21",
            "edited audit row",
            partial(tampered, look=audit, plant=AUDIT_ROW),
            ("counts-links-alone",),
            runs=1,
        ),
    ]
