"""Registrations for one activity, at use-case level, beside updates of one row."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID, uuid4

import asyncpg
from fastapi import Request

from events_service.registrations import joining
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Caller
from shared.web.hot import HotCall
from shared.web.idempotency import Claim
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.hot_row import application, owner, rate, updates
from tests.support.tokens import ISSUER

_SEATS: Final = 500


async def registrations(ground: Ground, size: Size) -> list[Figure]:
    """50,000 registrations for 500 seats over 64 connections. Raises RuntimeError for a seat too many, or out of order."""
    await _keep_commit_times(ground)
    urls = ground.databases("events")
    number = size.of(50_000, 1_000)
    async with application(ground, urls) as database:
        hall = _Hall(ground, urls, database, KeyRing.load(ground.keys_file))
        await hall.furnish(number)
        # The first statements of a connection prepare it.
        await hall.fill(min(number, 2_000))
        found = await interleaved(
            size.rounds,
            updates=lambda: updates(ground, database, size.of(20_000, 1_000)),
            registrations=lambda: hall.fill(number),
        )
    return [
        figure(
            "registrations_vs_update", "1/s", found["registrations"], found["updates"], target="ratio >= 0.5"
        )
    ]


@dataclass
class _Hall:
    """Activities with 500 seats, and members who all want one."""

    ground: Ground
    urls: DatabaseUrls
    database: Database
    ring: KeyRing
    unit: UUID = field(default_factory=new_id)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def furnish(self, members: int) -> None:
        """A unit and its members, each with a user."""
        async with owner(self.ground, self.urls) as connection:
            await connection.execute(
                """
                INSERT INTO directory_organisations (id, number, code, name, kind, path, founded_on, sequence)
                VALUES ($1, 1, 'BENCH', '示例工会', 'county', '1/', '2025-01-01', 1)
                """,
                self.unit,
            )
            await connection.execute(
                """
                INSERT INTO directory_members
                    (id, organisation_id, status, gender, birth_year, employment_form, joined_on, user_issuer, user_subject,
                        sequence)
                SELECT gen_random_uuid(), $1, 'active', 'female', 1990, 'contract', '2025-01-01', $2, 'user-' || n, 1
                FROM generate_series(0, $3::int - 1) n
                """,
                self.unit,
                ISSUER,
                members,
            )
            await connection.execute("ANALYZE")

    async def fill(self, number: int) -> float:
        """Everybody registers for a new activity; registrations a second."""
        activity_id = await self._open()
        app = SimpleNamespace(state=SimpleNamespace(database=self.database))
        request = cast("Request", SimpleNamespace(app=app))
        route = f"POST /api/v1/activities/{activity_id}/registrations"

        async def register(member: int) -> None:
            subject = f"user-{member}"
            claim = Claim(self.ring, subject.encode(), route, uuid4().hex, b"body", self.now)
            hot = HotCall(request, Caller(ISSUER, subject, (), self.now), claim)
            await joining.register_oneself(hot, By(ISSUER, subject, self.now), activity_id)

        await calm(self.ground.postgres_url)
        speed = await rate(range(number), register)
        await self._check(activity_id, number)
        return speed

    async def _open(self) -> UUID:
        """An activity that takes registrations."""
        activity_id, day = new_id(), timedelta(days=1)
        async with owner(self.ground, self.urls) as connection:
            await connection.execute(
                """
                INSERT INTO activities (id, organisation_id, path, title, kind, description, place, sessions, starts_at, ends_at,
                    audience_organisation_id, audience_genders, audience_forms, audience_roles, mode, capacity, quotas,
                    registration_opens_at, registration_closes_at, stage, stage_since, version)
                VALUES ($1, $2, '1/', '健步走', 'sport', '', '公园', '[]', $4, $4, $2, '{}', '{}', '{}', 'first_come', $5, '[]',
                    $3, $4, 'open', $3, 1)
                """,
                activity_id,
                self.unit,
                self.now,
                self.now + day,
                _SEATS,
            )
            await connection.execute(
                """
                INSERT INTO activity_seats (activity_id, pool, organisation_id, path, seats, taken, last_position, is_open,
                    closes_at, by_lottery)
                VALUES ($1, 0, $2, '1/', $3, 0, 0, true, $4, false)
                """,
                activity_id,
                self.unit,
                _SEATS,
                self.now + day,
            )
        return activity_id

    async def _check(self, activity_id: UUID, number: int) -> None:
        """Exact: each position once, the first have the seats, and positions are in the order of the commits."""
        async with owner(self.ground, self.urls) as connection:
            row: Any = await connection.fetchrow(
                """
                SELECT count(*) AS number, count(DISTINCT position) AS positions, max(position) AS last,
                    count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                    count(*) FILTER (WHERE (status = 'confirmed') <> (position <= $2)) AS misplaced,
                    count(*) FILTER (WHERE committed < earlier) AS disordered,
                    (SELECT taken FROM activity_seats WHERE activity_id = $1) AS taken
                FROM (
                    SELECT position, status, committed, lag(committed) OVER (ORDER BY position) AS earlier
                    FROM (
                        SELECT position, status, pg_xact_commit_timestamp(xmin) AS committed
                        FROM registrations WHERE activity_id = $1
                    ) AS dated
                ) AS ordered
                """,
                activity_id,
                _SEATS,
            )
        seated = min(number, _SEATS)
        if tuple(row) != (number, number, number, seated, 0, 0, seated):
            raise RuntimeError(f"the seats are not what they should be: {dict(row)}")


async def _keep_commit_times(ground: Ground) -> None:
    """Have the server remember when each transaction was committed: for the ceiling as for what is measured."""
    connection = await asyncpg.connect(ground.postgres_url)
    await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    await connection.close()
    await asyncio.to_thread(ground.postgres.restart)
