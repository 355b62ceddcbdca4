"""The product itself on the ground: HTTP processes and workers of membership and gateway, and people who use them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway_service.dashboard import handlers as views
from local_stack.processes import free_port
from shared.database.provision import DatabaseUrls
from shared.directory import replica
from shared.messaging.topics import declared_topics, ensure_topics
from shared.security.keys import new_ring_json
from shared.testing.clock import StoppedClock
from shared.testing.waiting import eventually
from tests.faults.ground import Ground, Program
from tests.support.membership import ROOT_ADMIN, bootstrap
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

#: Registrar of everything; the administrator may not be both.
REGISTRAR = "root-registrar"
NAMES = ("membership", "membership-worker", "gateway", "gateway-worker")


@dataclass
class Installation:
    """Four processes, their databases, and an issuer of tokens."""

    ground: Ground
    membership: DatabaseUrls
    gateway: DatabaseUrls
    keys: Path
    jwks: str
    root_id: UUID
    issuer: Issuer
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in NAMES})
    programs: dict[str, Program] = field(default_factory=dict)

    def environment(self, service: str) -> dict[str, str]:
        """The settings of one service."""
        urls = self.membership if service == "membership" else self.gateway
        return {
            "UNIONHALL_DATABASE_URL": urls.app,
            "UNIONHALL_WORKER_DATABASE_URL": urls.worker,
            "UNIONHALL_KAFKA_BOOTSTRAP": self.ground.kafka,
            "UNIONHALL_OIDC_ISSUER": ISSUER,
            "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
            "UNIONHALL_OIDC_JWKS_URL": self.jwks,
            "UNIONHALL_KEYS_FILE": str(self.keys),
            "UNIONHALL_HTTP_PORT": str(self.ports[service]),
            "UNIONHALL_WORKER_PORT": str(self.ports[f"{service}-worker"]),
            "UNIONHALL_MEMBERSHIP_URL": f"http://127.0.0.1:{self.ports['membership']}",
            "UNIONHALL_WELFARE_URL": "http://127.0.0.1:9",
            "UNIONHALL_EVENTS_URL": "http://127.0.0.1:9",
            "UNIONHALL_IDENTITY_URL": self.jwks,
            "UNIONHALL_RATE_LIMIT_PER_MINUTE": "0",
        }

    def whole_environment(self, service: str) -> dict[str, str]:
        """The same with what every program needs."""
        return os.environ | self.environment(service)

    async def start(self, name: str, *, crash: str = "", bug: str | None = None) -> Program:
        """Start a process anew, whatever became of the one before."""
        service, _, worker = name.partition("-")
        if name not in self.programs:
            module = f"{service}_service.{worker or 'app'}"
            run = ("--run", "relay,consumers,jobs") if worker else ()
            self.programs[name] = self.ground.program(module, *run, environment=self.environment(service))
        program = self.programs[name]
        if program.is_running:
            await program.ends()
        await program.start(crash=crash, bug=bug)
        return program

    async def ready(self, *names: str, timeout: float = 120) -> None:
        """Wait until these processes say so."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:

            async def all_ready() -> bool:
                try:
                    replies = [
                        await client.get(f"http://127.0.0.1:{self.ports[name]}/health/ready")
                        for name in names
                    ]
                except httpx.TransportError:
                    return False
                return all(reply.status_code == 200 for reply in replies)

            await eventually(all_ready, timeout, every=0.2)

    @asynccontextmanager
    async def user(self, subject: str = ROOT_ADMIN) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the gateway, signed in."""
        url = f"http://127.0.0.1:{self.ports['gateway']}/api/v1"
        headers = {"Authorization": f"Bearer {self.issuer.token_for(subject, exp=_in_an_hour())}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=15) as client:
            yield client

    async def unit(self, user: httpx.AsyncClient, parent: object, name: str) -> dict[str, Any]:
        """A new unit."""
        reply = await insist(user, "POST", "/organisations", json=founding(parent, name))
        body: dict[str, Any] = reply.json()
        return body

    async def grant(self, user: httpx.AsyncClient, unit: object, subject: str) -> None:
        """Make somebody a registrar, from today on."""
        post = {
            "organisation_id": str(unit),
            "issuer": ISSUER,
            "subject": subject,
            "role": "registrar",
            "starts_on": today().isoformat(),
        }
        await insist(user, "POST", "/posts", json=post)

    async def rows(self, urls: DatabaseUrls, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows as a worker sees them."""
        connection = await asyncpg.connect(urls.worker)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def is_current(self) -> bool:
        """Whether all that membership committed is in the gateway's views and in its directory."""
        backlog = """
            SELECT 1 FROM outbox, relay_progress WHERE NOT pg_visible_in_snapshot(xid, previous)
              AND (target IS NULL OR outbox.id > last_id OR NOT pg_visible_in_snapshot(xid, target)) LIMIT 1
        """
        if await self.rows(self.membership, backlog):
            return False
        client = AIOKafkaConsumer(bootstrap_servers=self.ground.kafka, enable_auto_commit=False)
        await client.start()
        try:
            places = [
                TopicPartition(topic.name, number)
                for topic in {*views.TOPICS, *replica.TOPICS}
                for number in range(topic.partitions)
            ]
            ends = await client.end_offsets(places)
        finally:
            await client.stop()
        known = {
            (row["topic"], row["partition"]): row["behind"]
            for row in await self.rows(
                self.gateway,
                "SELECT topic, partition, min(next_offset) AS behind FROM consumer_offsets GROUP BY 1, 2",
            )
        }
        return all(known.get((place.topic, place.partition)) == end for place, end in ends.items())

    async def current(self, timeout: float = 90) -> None:
        """Wait for that."""
        await eventually(self.is_current, timeout, every=0.5)


def today() -> date:
    """Today in UTC, which in China has come in any case."""
    return datetime.now(UTC).date()


def _in_an_hour() -> int:
    return int(datetime.now(UTC).timestamp()) + 3600


def founding(parent: object, name: str) -> dict[str, str]:
    """The body that founds a county's unit."""
    return {
        "parent_id": str(parent),
        "code": f"F{uuid4().hex[:12].upper()}",
        "name": name,
        "kind": "county",
        "founded_on": "2026-01-05",
    }


async def insist(
    user: httpx.AsyncClient, method: str, path: str, *, patience: float = 60, **request: Any
) -> httpx.Response:
    """Send with one Idempotency-Key until there is an answer that is not about being down or busy.

    Raises AssertionError if that is a refusal or does not come.
    """
    headers = {"Idempotency-Key": str(uuid4()), **request.pop("headers", {})}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            reply = await user.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            answer = repr(error)
        else:
            if reply.is_success:
                return reply
            answer = f"{reply.status_code} {reply.text[:300]}"
            busy = "request-still-running" in reply.text
            assert reply.status_code >= 500 or busy, f"{method} {path}: {answer}"
        assert loop.time() < deadline, f"{method} {path}: after {patience:.0f} s still {answer}"
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _published(issuer: Issuer) -> AsyncIterator[str]:
    """The issuer's keys on a port."""

    async def jwks(_: Request) -> Response:
        return JSONResponse(issuer.jwks())

    app = Starlette(routes=[Route("/jwks", jwks)])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server._serve())
    try:
        yield f"http://127.0.0.1:{port}/jwks"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def installed(ground: Ground) -> AsyncIterator[Installation]:
    """Everything migrated, started and ready; the topics are those of the product."""
    make: Callable[[str], Awaitable[DatabaseUrls]] = lambda name: asyncio.to_thread(ground.databases, name)  # noqa: E731
    membership, gateway = await make("membership"), await make("gateway")
    keys = ground.folder / "keys.json"
    keys.write_bytes(new_ring_json())
    keys.chmod(0o600)
    await ensure_topics(ground.kafka, declared_topics())
    root_id = await bootstrap(membership, StoppedClock(datetime.now(UTC)))
    issuer = Issuer()
    async with _published(issuer) as jwks:
        here = Installation(ground, membership, gateway, keys, jwks, root_id, issuer)
        for name in NAMES:
            await here.start(name)
        await here.ready(*NAMES)
        async with here.user() as user:
            # The gateway learns from Kafka who may do what.
            async def is_known() -> bool:
                return (await user.get(f"/organisations/{root_id}/dashboard")).is_success

            await eventually(is_known, 120, every=0.5)
            await here.grant(user, root_id, REGISTRAR)
        # Callers and their posts are remembered for some seconds.
        await asyncio.sleep(6)
        yield here
        for program in here.programs.values():
            await program.ends()
