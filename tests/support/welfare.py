"""The welfare service under test: the real application over real PostgreSQL, its replica of the tree filled by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.testing.clock import StoppedClock
from tests.support.tokens import ISSUER, Issuer
from welfare_service.consumers import DIRECTORY

_numbers = count(2)
_FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of the replica."""

    id: UUID
    path: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the replica; `subject` is the account, if there is one."""

    id: UUID
    unit: Unit
    subject: str | None


async def found(urls: DatabaseUrls) -> Unit:
    """The top of a federation, in a replica that is never stale."""
    top = Unit(new_id(), "1/")
    connection = await asyncpg.connect(urls.worker)
    try:
        await _add_unit(connection, top, None, 1)
        await connection.execute(
            "INSERT INTO consumer_freshness (consumer, source, as_of) VALUES ($1, 'membership', $2)",
            DIRECTORY,
            _FOREVER,
        )
    finally:
        await connection.close()
    return top


async def _add_unit(connection: asyncpg.Connection, unit: Unit, parent: UUID | None, number: int) -> None:
    await connection.execute(
        """
        INSERT INTO directory_organisations (id, number, code, name, kind, parent_id, path, founded_on, sequence)
        VALUES ($1, $2::bigint, 'W' || $2, '示例工会', 'county', $3, $4, '2020-01-01', 1)
        """,
        unit.id,
        number,
        parent,
        unit.path,
    )


@dataclass
class Welfare:
    """One test's way to the service. Every request is checked by its status; replies are JSON."""

    client: httpx.AsyncClient
    issuer: Issuer
    urls: DatabaseUrls
    top: Unit
    clock: StoppedClock

    async def send(
        self,
        method: str,
        path: str,
        *,
        by: str,
        version: int | None = None,
        key: str | None = None,
        language: str = "zh-CN",
        **request: Any,
    ) -> httpx.Response:
        """Send a request as the user `by`, with a fresh Idempotency-Key unless `key` is given."""
        headers = self.issuer.headers(by) | {
            "Idempotency-Key": key or str(uuid4()),
            "Accept-Language": language,
        }
        headers |= request.pop("headers", {})
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **request)

    async def call(self, method: str, path: str, *, expect: int = 200, **request: Any) -> Any:
        """The same, the status checked; the JSON of the reply."""
        reply = await self.send(method, path, **request)
        assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    async def refused(self, code: str, status: int, method: str, path: str, **request: Any) -> Any:
        """The problem with which a request is refused, its code checked."""
        problem = await self.call(method, path, expect=status, **request)
        assert problem["code"] == code, problem
        return problem

    async def unit(self, parent: Unit | None = None) -> Unit:
        """A new unit under `parent` (the top unless given)."""
        parent = parent or self.top
        number = next(_numbers)
        unit = Unit(new_id(), f"{parent.path}{number:x}/")
        async with self.connected() as connection:
            await _add_unit(connection, unit, parent.id, number)
        return unit

    async def user(self, role: str, at: Unit, subject: str | None = None) -> str:
        """The subject of a user with a role at a unit, effective at once."""
        subject = subject or f"{role}-{uuid4().hex[:8]}"
        async with self.connected() as connection:
            await connection.execute(
                """
                INSERT INTO directory_posts (id, issuer, subject, role, organisation_id, starts_on, sequence)
                VALUES ($1, $2, $3, $4, $5, $6, 1)
                """,
                new_id(),
                ISSUER,
                subject,
                role,
                at.id,
                date(2020, 1, 1),
            )
        # Callers are remembered for a few seconds.
        self.clock.advance(timedelta(seconds=6))
        return subject

    async def member(self, at: Unit, *, subject: str | None = None, **columns: Any) -> Member:
        """A new active member of a unit; `columns` are those of the replica that shall differ."""
        member = Member(new_id(), at, subject)
        row = {
            "id": member.id,
            "organisation_id": at.id,
            "status": "active",
            "gender": "female",
            "birth_year": 1990,
            "employment_form": "contract",
            "joined_on": date(2020, 1, 1),
            "user_issuer": ISSUER if subject else None,
            "user_subject": subject,
            "sequence": 1,
        } | columns
        names, places = ", ".join(row), ", ".join(f"${place}" for place in range(1, len(row) + 1))
        async with self.connected() as connection:
            await connection.execute(
                f"INSERT INTO directory_members ({names}) VALUES ({places})", *row.values()
            )
        return member

    @asynccontextmanager
    async def connected(self, role: str = "worker") -> AsyncIterator[asyncpg.Connection]:
        """A connection behind the service's back, as worker (who sees all), app or owner."""
        connection = await asyncpg.connect(getattr(self.urls, role))
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows read as the worker, who sees all."""
        async with self.connected() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def events(self, subject: UUID | str) -> list[tuple[str, int]]:
        """(type, sequence) of all events of an aggregate, in order of the outbox."""
        rows = await self.rows(
            "SELECT type, sequence FROM outbox WHERE key = $1 ORDER BY id", UUID(str(subject))
        )
        return [(row["type"].removeprefix("unionhall.welfare."), row["sequence"]) for row in rows]

    def by(self, subject: str) -> By:
        """That user, now."""
        return By(ISSUER, subject, self.clock.now())


@asynccontextmanager
async def committed(database: Database, scope: Scope) -> AsyncIterator[WriteSession]:
    """A transaction as a request has it: what is to be last is done, then it is committed."""
    async with database.write(scope) as session:
        yield session
        await session.flush_events()
        await session.commit()
