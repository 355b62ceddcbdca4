"""The membership service under test: the real application over real PostgreSQL, spoken to over HTTP without a socket."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from membership_service.bootstrap import Top, bootstrap_administrator
from membership_service.posts.domain import Holder
from shared.contracts.membership import OrganisationKind
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.security.acting import SYSTEM, By
from shared.testing.clock import StoppedClock
from tests.support.tokens import ISSUER, Issuer

#: The first administrator of every federation under test.
ROOT_ADMIN = "root-administrator"
_serial = count(1)


def credit_code(number: int) -> str:
    """A valid unified social credit code of a made-up employer under an unassigned region code (GB 32100-2015)."""
    digits = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = f"91990000MA{number:07d}"
    total = sum(digits.index(digit) * pow(3, place, 31) for place, digit in enumerate(body))
    return body + digits[-total % 31]


async def bootstrap(urls: DatabaseUrls, clock: StoppedClock) -> UUID:
    """A federation of one unit and its administrator; the id of the unit."""
    database = Database(urls.worker, pool_size=1, application_name="test-bootstrap")
    top = Top("SF", "示例省总工会", OrganisationKind.PROVINCIAL)
    # Founded a year ago, so that units can have a past.
    now = clock.now() - timedelta(days=365)
    try:
        async with database.write(Scope.everything()) as session:
            root_id = await bootstrap_administrator(session, Holder(ISSUER, ROOT_ADMIN), top, now)
            await session.flush_events()
            await session.commit()
    finally:
        await database.close()
    return root_id


@dataclass
class Federation:
    """One test's way to the service. Every request is checked by its status; replies are JSON."""

    client: httpx.AsyncClient
    issuer: Issuer
    urls: DatabaseUrls
    root_id: str
    clock: StoppedClock
    versions: dict[str, int] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: str = ROOT_ADMIN,
        expect: int = 200,
        version: int | None = None,
        language: str = "zh-CN",
        **request: Any,
    ) -> Any:
        """Send a request as the user `by` with a fresh Idempotency-Key; the JSON of the reply."""
        headers = self.issuer.headers(by) | {"Idempotency-Key": str(uuid4()), "Accept-Language": language}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        reply = await self.client.request(method, f"/api/v1{path}", headers=headers, **request)
        assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    async def unit(
        self, parent: str | None = None, *, kind: str = "county", name: str = "示例县总工会", **fields: Any
    ) -> dict[str, Any]:
        """A new unit under `parent` (the top unless given), with a code of its own."""
        body = {
            "parent_id": parent or self.root_id,
            "code": fields.pop("code", f"U{next(_serial)}-{uuid4().hex[:6].upper()}"),
            "name": name,
            "kind": kind,
            "founded_on": fields.pop("founded_on", "2025-06-01"),
        }
        created: dict[str, Any] = await self.call("POST", "/organisations", json=body, expect=201, **fields)
        return created

    async def user(self, role: str, at: str, subject: str | None = None) -> str:
        """The subject of a user with a role at a unit, effective at once."""
        subject = subject or f"{role}-{uuid4().hex[:8]}"
        today = By(SYSTEM, "test", self.clock.now()).today.isoformat()
        body = {"organisation_id": at, "issuer": ISSUER, "subject": subject, "role": role, "starts_on": today}
        await self.call("POST", "/posts", json=body, expect=201)
        # Callers are remembered for a few seconds.
        self.clock.advance(timedelta(seconds=6))
        return subject

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows read behind the service's back, as the worker, who sees all."""
        connection = await asyncpg.connect(self.urls.worker)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def has_run(self, kind: str) -> bool:
        """Whether a periodic job has run: its next time lies ahead."""
        # Not just later than now(): a job that is entered while this is asked is later than its beginning.
        sql = "SELECT FROM jobs WHERE kind = $1 AND state = 'waiting' AND run_after > now() + interval '1 minute'"
        return bool(await self.rows(sql, kind))

    async def events(self, subject: str) -> list[tuple[str, int]]:
        """(type, sequence) of all events of an aggregate, in order of the outbox."""
        rows = await self.rows("SELECT type, sequence FROM outbox WHERE key = $1 ORDER BY id", UUID(subject))
        return [(row["type"].removeprefix("unionhall.membership."), row["sequence"]) for row in rows]
