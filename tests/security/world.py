"""All four services as real applications over real databases, one federation in all of them, and people of every kind.

Facts go from service to service through `Federation.pump`, which hands the rows of an outbox to the consumers' own handlers:
the same code as behind Kafka, without the wait.
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson
from fastapi import FastAPI

import events_service.app
import events_service.settings
import events_service.worker
import gateway_service.app
import gateway_service.settings
import membership_service.app
import membership_service.settings
import welfare_service.app
import welfare_service.settings
import welfare_service.worker
from gateway_service.dashboard import handlers as views
from shared.contracts.envelope import Received
from shared.contracts.membership import Role
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.directory import replica
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.membership import ROOT_ADMIN, bootstrap
from tests.support.service import new_keys_file, on_a_port, settings_of
from tests.support.tokens import ISSUER, Issuer

OWNERS: Final = ("membership", "welfare", "events")
SERVICES: Final = (*OWNERS, "gateway")
ROLES: Final = tuple(sorted(role.value for role in Role))
#: Where a post is held, seen from the unit to which everything in the tests belongs.
PLACES: Final = ("own", "parent", "child", "sibling", "other")
#: Somebody who is signed in and holds no post.
NOBODY: Final = "nobody"
_TOKEN_SECONDS: Final = 240
_MOVED_ALONG: Final = {
    "welfare": welfare_service.worker.MOVED_ALONG,
    "events": events_service.worker.MOVED_ALONG,
}


def user_at(role: str, place: str) -> str:
    """The subject of the user who holds this role at that place, and nothing else."""
    return f"{role}-at-{place}"


@dataclass
class World:
    """The services, and one test's way to them."""

    apps: dict[str, FastAPI]
    urls: dict[str, DatabaseUrls]
    workers: dict[str, Database]
    issuer: Issuer
    clock: StoppedClock
    root: str
    keys_file: Path
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    pumped: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, tuple[dict[str, str], float]] = field(default_factory=dict)
    #: What was said to those who were refused, with the addresses they asked; and all that was logged meanwhile.
    refusals: list[str] = field(default_factory=list)
    logged: list[logging.LogRecord] = field(default_factory=list)

    async def send(
        self,
        service: str,
        method: str,
        path: str,
        *,
        by: str | None,
        version: int | None = None,
        key: str | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Send a request as the user `by` (None: without a token), with a fresh Idempotency-Key unless `key` is given."""
        headers = {} if by is None else self._signed_in(by)
        headers |= {"Idempotency-Key": key or str(uuid4()), "Accept-Language": "en"}
        headers |= request.pop("headers", {})
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        url = path if path.startswith("/internal") else f"/api/v1{path}"
        reply = await self.clients[service].request(method, url, headers=headers, **request)
        if reply.status_code >= 400:
            self.refusals.append(f"{reply.url} {reply.text}")
        return reply

    def _signed_in(self, by: str) -> dict[str, str]:
        """The header of a user, whose token is good for as long as tokens are: five minutes, of which one is kept back."""
        headers, since = self.tokens.get(by, ({}, 0.0))
        if not headers or time.monotonic() - since > _TOKEN_SECONDS:
            headers = self.issuer.headers(by)
            self.tokens[by] = (headers, time.monotonic())
        return dict(headers)

    async def call(self, service: str, method: str, path: str, *, expect: int = 200, **request: Any) -> Any:
        """The same, the status checked; the JSON of the reply."""
        reply = await self.send(service, method, path, **request)
        assert reply.status_code == expect, f"{service} {method} {path}: {reply.status_code} {reply.text}"
        is_json = "json" in reply.headers.get("content-type", "")
        return reply.json() if is_json else reply.text

    async def unit(self, name: str, parent: str) -> str:
        """A new unit, known by `name` from now on."""
        body = {
            "parent_id": parent,
            "code": f"S-{name.upper()}-{uuid4().hex[:4].upper()}",
            "name": f"示例工会 {name}",
            "kind": "county",
            "founded_on": "2025-06-01",
        }
        made = await self.call("membership", "POST", "/organisations", by=ROOT_ADMIN, json=body, expect=201)
        self.units[name] = made["id"]
        return str(made["id"])

    async def user(self, role: str, unit: str, subject: str | None = None) -> str:
        """The subject of a user with a role at a unit, from today on."""
        subject = subject or f"{role}-{uuid4().hex[:8]}"
        body = {
            "organisation_id": unit,
            "issuer": ISSUER,
            "subject": subject,
            "role": role,
            "starts_on": self.clock.now().date().isoformat(),
        }
        await self.call("membership", "POST", "/posts", by=ROOT_ADMIN, json=body, expect=201)
        return subject

    def later(self, **step: float) -> None:
        """Let time pass; who somebody is, is remembered for a few seconds."""
        self.clock.advance(timedelta(**step) if step else timedelta(seconds=6))

    async def rows(self, service: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows read behind the service's back, as the worker, who sees all."""
        connection = await asyncpg.connect(self.urls[service].worker)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def pump(self) -> None:
        """Give every fact told since the last time to the replicas and views of the other services."""
        news: list[Received] = []
        for owner in OWNERS:
            rows = await self.rows(
                owner, "SELECT * FROM outbox WHERE id > $1 ORDER BY id", self.pumped.get(owner, 0)
            )
            news += [_received(row) for row in rows]
            self.pumped[owner] = rows[-1]["id"] if rows else self.pumped.get(owner, 0)
        if not news:
            return
        known = {topic.name for topic in replica.TOPICS_WITH_MEMBERS}
        directory = [event for event in news if event.topic in known]
        for service, moved_along in _MOVED_ALONG.items():
            async with self.workers[service].write(Scope.everything()) as session:
                await replica.apply_with(session, directory, moved_along)
                await session.commit()
        topics = {topic.name for topic in replica.TOPICS}
        async with self.workers["gateway"].write(Scope.everything()) as session:
            await replica.apply(session, [event for event in directory if event.topic in topics])
            await views.apply(session, news)
            await session.flush_events()
            await session.commit()
        self.later()


def _received(row: asyncpg.Record) -> Received:
    return Received(
        topic=row["topic"],
        partition=0,
        offset=row["id"],
        id=row["event_id"],
        type=row["type"],
        source=row["source"],
        subject=row["key"],
        sequence=row["sequence"],
        time=row["time"],
        data=None if row["payload"] is None else orjson.loads(row["payload"]),
    )


@asynccontextmanager
async def opened(make_database: DatabaseFactory, folder: Path) -> AsyncIterator[World]:
    """A federation in all services: own and sibling below parent, child below own, other beside parent."""
    keys_file = new_keys_file(folder)
    urls = {service: make_database(service) for service in SERVICES}
    clock, issuer = StoppedClock(), Issuer()
    root = str(await bootstrap(urls["membership"], clock))
    workers = {
        service: Database(urls[service].worker, pool_size=2, application_name="test") for service in SERVICES
    }
    apps = _applications(urls, keys_file, clock, issuer)
    world = World(apps, urls, workers, issuer, clock, root, keys_file)
    async with AsyncExitStack() as stack:
        for service, app in apps.items():
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url=f"http://{service}.test")
            world.clients[service] = await stack.enter_async_context(client)
        for owner in OWNERS:
            apps["gateway"].state.owners[owner] = await stack.enter_async_context(on_a_port(apps[owner]))
        kept = _Kept(world.logged)
        logging.getLogger().addHandler(kept)
        await _populate(world)
        yield world
        logging.getLogger().removeHandler(kept)
        for worker in workers.values():
            await worker.close()


class _Kept(logging.Handler):
    """Keeps what is logged, for the search of secrets."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.INFO)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _applications(
    urls: dict[str, DatabaseUrls], keys_file: Path, clock: StoppedClock, issuer: Issuer
) -> dict[str, FastAPI]:
    def common(service: str) -> dict[str, Any]:
        return settings_of(urls[service], keys_file)

    addresses: dict[str, Any] = {f"{owner}_url": f"http://{owner}.test" for owner in OWNERS}
    membership = membership_service.app.build(
        membership_service.settings.Settings(**common("membership")), clock=clock, key_source=issuer
    )
    welfare = welfare_service.app.build(
        welfare_service.settings.Settings(**common("welfare"), membership_url=addresses["membership_url"]),
        clock=clock,
        key_source=issuer,
        membership=httpx.ASGITransport(membership),
    )
    events = events_service.app.build(
        events_service.settings.Settings(**common("events")), clock=clock, key_source=issuer
    )
    settings = gateway_service.settings.Settings(
        **common("gateway"),
        **addresses,
        identity_url="http://127.0.0.1:9/identity",
        owner_deadline=10,
        composed_deadline=10,
    )
    gateway = gateway_service.app.build(settings, clock=clock, key_source=issuer)
    return {"membership": membership, "welfare": welfare, "events": events, "gateway": gateway}


async def _populate(world: World) -> None:
    parent = await world.unit("parent", world.root)
    own = await world.unit("own", parent)
    await world.unit("child", own)
    await world.unit("sibling", parent)
    await world.unit("other", world.root)
    for place in PLACES:
        for role in ROLES:
            await world.user(role, world.units[place], user_at(role, place))
    for service in ("welfare", "events", "gateway"):
        await world.rows(
            service,
            "INSERT INTO consumer_freshness (consumer, source, as_of) VALUES ($1, 'membership', '2100-01-01Z') RETURNING 1",
            f"{service}.directory",
        )
    await world.pump()


def units_but(world: World, name: str) -> list[UUID]:
    """The ids of all named units but one."""
    return [UUID(unit) for known, unit in world.units.items() if known != name]
