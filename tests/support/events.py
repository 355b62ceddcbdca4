"""The events service under test: the real application over real PostgreSQL, its replica fed by hand-made events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from events_service import effects
from events_service.worker import MOVED_ALONG
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS, POSTS
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import driver
from shared.directory.replica import apply_with
from shared.kernel.ids import new_id
from shared.messaging import inbox
from shared.testing.clock import StoppedClock
from tests.support.tokens import ISSUER, Issuer

_numbers = count(1)


def received(
    topic: str, kind: str, subject: UUID, sequence: int, data: dict[str, Any] | None, at: datetime
) -> Received:
    """An event as a consumer hands it on."""
    return Received(
        topic=topic,
        partition=0,
        offset=sequence,
        id=new_id(),
        type=f"unionhall.membership.{kind}.v1",
        source="/unionhall/membership",
        subject=subject,
        sequence=sequence,
        time=at,
        data=data,
    )


@dataclass
class Ground:
    """One test's way to the service, in a federation of its own below one root."""

    client: httpx.AsyncClient
    issuer: Issuer
    urls: DatabaseUrls
    worker: Database
    clock: StoppedClock
    sequences: dict[str, int] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: str,
        expect: int = 200,
        version: int | None = None,
        key: str | None = None,
        language: str = "en",
        **request: Any,
    ) -> Any:
        """Send a request as the user `by`; the JSON of the reply."""
        headers = self.issuer.headers(by)
        headers |= {"Idempotency-Key": key or str(uuid4()), "Accept-Language": language}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        url = path if path.startswith("/internal") else f"/api/v1{path}"
        reply = await self.client.request(method, url, headers=headers, **request)
        assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    async def apply(self, *events: Received) -> None:
        """Feed the replica, as the directory's consumer does."""
        async with self.worker.write(Scope.everything()) as session:
            await apply_with(session, events, MOVED_ALONG)
            await session.commit()

    async def feed_posts(self) -> None:
        """Say that the replica of posts is as fresh as can be: an old one allows no approval."""
        statement = """
            INSERT INTO consumer_freshness (consumer, source, as_of) VALUES ('events.directory', 'membership', '2100-01-01Z')
            ON CONFLICT (consumer, source) DO UPDATE SET as_of = excluded.as_of
        """
        await self.rows(statement)

    async def take_effect(self, *events: Received) -> int:
        """Hand events to the effects' consumer, inbox included; how many were new."""
        async with self.worker.write(Scope.everything()) as session:
            fresh = await inbox.enter(await driver(session), "events.effects", events)
            if fresh:
                await effects.handler(MOVED_ALONG, self.clock)(session, fresh)
            await session.flush_events()
            await session.commit()
        return len(fresh)

    def organisation_event(
        self, unit: str, parent: str | None, kind: str = "created", **more: Any
    ) -> Received:
        """The newest state of a unit."""
        number = self.numbers.setdefault(unit, next(_numbers))
        sequence = self.sequences[unit] = self.sequences.get(unit, 0) + 1
        self.parents[unit] = parent
        state = {
            "organisation_id": unit, "number": number, "code": f"U{number}", "name": f"单位{number}", "kind": "county",
            "parent_id": parent, "parent_since": "2025-01-01", "founded_on": "2025-01-01",
            "dissolved_on": more.pop("dissolved_on", None),
        }  # fmt: skip
        data = {"state": state, **more}
        return received(
            ORGANISATIONS.name, f"organisation.{kind}", UUID(unit), sequence, data, self.clock.now()
        )

    async def unit(self, parent: str | None = None) -> str:
        """A new unit."""
        unit = str(new_id())
        await self.apply(self.organisation_event(unit, parent))
        return unit

    async def user(self, role: str, at: str) -> str:
        """The subject of a user with a role at a unit, effective at once."""
        subject = f"{role}-{uuid4().hex[:8]}"
        await self.grant(subject, role, at)
        return subject

    async def grant(self, subject: str, role: str, at: str) -> None:
        """Give a user a role at a unit."""
        post = new_id()
        state = {
            "post_id": str(post), "issuer": ISSUER, "subject": subject, "role": role, "organisation_id": at,
            "starts_on": "2025-01-01", "ends_on": None,
        }  # fmt: skip
        await self.apply(received(POSTS.name, "post.granted", post, 1, {"state": state}, self.clock.now()))

    def member_event(self, member: str, unit: str, kind: str = "admitted", **changes: Any) -> Received:
        """The newest state of a member, whose user is `user-<member>`."""
        sequence = self.sequences[member] = changes.pop("sequence", self.sequences.get(member, 0) + 1)
        state = {
            "member_id": member, "organisation_id": unit, "status": "active", "gender": "female", "birth_year": 1990,
            "employment_form": "contract", "joined_on": "2025-01-01", "left_on": None,
            "user": {"issuer": ISSUER, "subject": f"user-{member}"},
        } | changes  # fmt: skip
        at = self.clock.now()
        return received(
            MEMBERS.name, f"member.{kind}", UUID(member), sequence, {"on": "2025-01-01", "state": state}, at
        )

    async def members(self, unit: str, number: int = 1, **changes: Any) -> list[str]:
        """New members of a unit; each signs in as `user-<id>`."""
        made = [str(new_id()) for _ in range(number)]
        await self.apply(*(self.member_event(member, unit, **changes) for member in made))
        return made

    def plan(self, **changes: Any) -> dict[str, Any]:
        """A good plan: registration from tomorrow for a week, one session after that."""
        day = timedelta(days=1)
        now = self.clock.now()
        return {
            "title": "春季健步走",
            "kind": "sport",
            "place": "滨江公园",
            "sessions": [
                {"starts_at": (now + 10 * day).isoformat(), "ends_at": (now + 11 * day).isoformat()}
            ],
            "capacity": 2,
            "registration_opens_at": (now + day).isoformat(),
            "registration_closes_at": (now + 8 * day).isoformat(),
        } | changes

    async def activity(self, unit: str, stage: str = "open", **changes: Any) -> tuple[str, str]:
        """An activity of a unit brought as far as `stage`, and its organiser."""
        organiser, approver = await self.user("organiser", unit), await self.user("approver", unit)
        body = self.plan(**changes) | {"organisation_id": unit}
        made = await self.call("POST", "/activities", by=organiser, json=body, expect=201)
        steps = ("submission", "approval", "publication", "opening", "closing", "holding")
        stages = ("draft", "submitted", "approved", "published", "open", "closed", "held")
        for version, step in enumerate(steps[: stages.index(stage)], 1):
            by = approver if step == "approval" else organiser
            if step == "holding":
                self.clock.advance(timedelta(days=12))
            await self.call("POST", f"/activities/{made['id']}/{step}", by=by, version=version)
        return made["id"], organiser

    async def register(self, activity: str, member: str, *, expect: int = 201, key: str | None = None) -> Any:
        """Register a member as the member itself does."""
        path = f"/activities/{activity}/registrations"
        return await self.call("POST", path, by=f"user-{member}", json={}, expect=expect, key=key)

    async def statuses(self, activity: str) -> list[tuple[int, str]]:
        """(position, status) of all registrations, by pool and position."""
        rows = await self.rows(
            "SELECT position, status FROM registrations WHERE activity_id = $1 ORDER BY pool, position, id",
            UUID(activity),
        )
        return [(row["position"], row["status"]) for row in rows]

    async def rows(self, sql: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """Rows read behind the service's back, as the worker, who sees all."""
        connection = await asyncpg.connect(self.urls.worker)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def events(self, subject: str) -> list[tuple[str, int]]:
        """(type, sequence) of all events of an aggregate, in order of the outbox."""
        rows = await self.rows("SELECT type, sequence FROM outbox WHERE key = $1 ORDER BY id", UUID(subject))
        return [(row["type"].removeprefix("unionhall.events."), row["sequence"]) for row in rows]
