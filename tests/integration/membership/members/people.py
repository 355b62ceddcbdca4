"""Made-up people for tests of members, under an unassigned region code, and shorthands of what is done with them."""

import asyncio
from itertools import count
from typing import Any
from uuid import uuid4

from membership_service.members.documents import check_digit
from membership_service.members.jobs import ESCALATE, escalate_unanswered
from shared.database.engine import Database
from shared.jobs import JobRunner, submit
from shared.testing.waiting import eventually
from tests.support.membership import Federation

_serial = count(1)


def number(serial: int | None = None, born: str = "19900307") -> str:
    """A valid resident ID of nobody."""
    first = f"990000{born}{(serial or next(_serial)) % 1000:03d}"
    return first + check_digit(first)


def person(**fields: Any) -> dict[str, Any]:
    """The body of a person; each has a document of its own."""
    serial = next(_serial)
    born = f"19{60 + serial // 28 // 12 % 40:02d}{serial // 28 % 12 + 1:02d}{serial % 28 + 1:02d}"
    return {"name": "王伟", "document_number": number(serial, born), "phone": f"139{serial:08d}"} | fields


async def applied(
    federation: Federation, unit: str, by: str, expect: int = 201, **fields: Any
) -> dict[str, Any]:
    """The reply to an application."""
    body = person(**fields) | {"organisation_id": unit}
    reply: dict[str, Any] = await federation.call(
        "POST", "/members/applications", by=by, expect=expect, json=body
    )
    return reply


async def admitted(federation: Federation, unit: str, registrars: tuple[str, str], **fields: Any) -> str:
    """The id of an active member: one registrar applies, the other approves."""
    application = await applied(federation, unit, registrars[0], **fields)
    await federation.call("POST", f"/members/{application['id']}/approval", by=registrars[1], version=1)
    return str(application["id"])


async def registrars(federation: Federation, unit: str) -> tuple[str, str]:
    """Two registrars of a unit."""
    return await federation.user("registrar", unit), await federation.user("registrar", unit)


async def escalated(federation: Federation) -> None:
    """Let the worker's job mark what waits too long by the federation's clock.

    Under a name of its own: a worker of another test, whose clock is another, might take the periodic one.
    """
    database = Database(federation.urls.worker, pool_size=3, application_name="test-jobs")
    kind = f"{ESCALATE}.{uuid4()}"
    stop = asyncio.Event()
    runner = JobRunner(database, {kind: escalate_unanswered(federation.clock)})
    running = asyncio.create_task(runner.run(stop))
    await submit(database, kind, {})

    async def is_done() -> bool:
        return bool(await federation.rows("SELECT FROM jobs WHERE kind = $1 AND state = 'done'", kind))

    try:
        await eventually(is_done, timeout=20)
    finally:
        stop.set()
        await running
        await database.close()
