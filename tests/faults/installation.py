"""The product itself on the ground: HTTP processes and workers of all services, a bank, and people who use them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from shared.contracts.envelope import Topic
from shared.database.provision import DatabaseUrls
from shared.directory import replica
from shared.kernel.clock import china_date
from shared.messaging.topics import declared_topics, ensure_topics
from shared.security.keys import new_ring_json
from shared.testing.clock import StoppedClock
from shared.testing.waiting import eventually
from tests.faults.ground import Ground, Program
from tests.faults.insisting import insist
from tests.support.membership import ROOT_ADMIN, bootstrap
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

#: Registrar of everything; the administrator may not be both.
REGISTRAR = "root-registrar"
OWNERS = ("membership", "welfare", "events")
SERVICES = (*OWNERS, "gateway")
NAMES = tuple(f"{service}{worker}" for service in SERVICES for worker in ("", "-worker"))


@dataclass
class Installation:
    """The processes of all services, their databases, a bank, and an issuer of tokens."""

    ground: Ground
    databases: dict[str, DatabaseUrls]
    keys: Path
    jwks: str
    root_id: UUID
    issuer: Issuer
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in (*NAMES, "bank")})
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def membership(self) -> DatabaseUrls:
        """Membership's database."""
        return self.databases["membership"]

    @property
    def gateway(self) -> DatabaseUrls:
        """The gateway's database."""
        return self.databases["gateway"]

    def environment(self, service: str) -> dict[str, str]:
        """The settings of one service."""
        urls = self.databases[service]
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
            **{f"UNIONHALL_{name.upper()}_URL": self.url(name) for name in (*OWNERS, "bank")},
            "UNIONHALL_IDENTITY_URL": self.jwks,
            "UNIONHALL_RATE_LIMIT_PER_MINUTE": "0",
        }

    def url(self, name: str) -> str:
        """Where a process answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def whole_environment(self, service: str) -> dict[str, str]:
        """The same with what every program needs."""
        return os.environ | self.environment(service)

    async def start(self, name: str, *, crash: str = "", bug: str | None = None) -> Program:
        """Start a process anew, whatever became of the one before."""
        service, _, worker = name.partition("-")
        if name == "bank" and name not in self.programs:
            books = str(self.ground.folder / "bank")
            where = ("--port", str(self.ports[name]), "--folder", books)
            self.programs[name] = self.ground.program("local_stack.bank", *where, environment={})
        elif name not in self.programs:
            module = f"{service}_service.{worker or 'app'}"
            run = ("--run", "relay,consumers,jobs") if worker else ()
            self.programs[name] = self.ground.program(module, *run, environment=self.environment(service))
        program = self.programs[name]
        if program.is_running:
            await program.ends()
        await program.start(crash=crash, bug=bug)
        return program

    @asynccontextmanager
    async def second(self, service: str) -> AsyncIterator[str]:
        """Another HTTP process of a service beside the first, as where it is scaled; the address of its API."""
        name = f"{service} twice"
        self.ports[name] = free_port()
        environment = self.environment(service) | {"UNIONHALL_HTTP_PORT": str(self.ports[name])}
        program = self.ground.program(f"{service}_service.app", environment=environment)
        await program.start()
        try:
            await self.ready(name)
            yield f"{self.url(name)}/api/v1"
        finally:
            await program.ends()

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

    def user(self, subject: str = ROOT_ADMIN) -> httpx.AsyncClient:
        """A client of the gateway, signed in."""
        headers = {"Authorization": f"Bearer {self.issuer.token_for(subject, exp=_in_an_hour())}"}
        limits = httpx.Limits(max_connections=250)
        url = f"{self.url('gateway')}/api/v1"
        return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=15, limits=limits)

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
            "starts_on": china_date(datetime.now(UTC)).isoformat(),
        }
        await insist(user, "POST", "/posts", json=post)

    async def rows(self, urls: DatabaseUrls, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows as a worker sees them."""
        connection = await asyncpg.connect(urls.worker)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def program_says(self, service: str, module: str, bug: str | None = None) -> Any:
        """The JSON that a program of a service prints."""
        run = [module] if bug is None else ["tests.faults.variants", bug, module]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *run,
            env=self.whole_environment(service),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
        return json.loads(said)

    async def broken(self, service: str, bug: str | None = None) -> set[str]:
        """What the service's own program finds to be broken: which invariant, where, whose."""
        return {
            f"{found['id']} {found['what']} {offender}"
            for found in await self.program_says(service, f"{service}_service.invariants", bug)
            for offender in found["offenders"]
        }

    async def is_current(self) -> bool:
        """Whether all that the owners committed has reached every consumer of every service."""
        backlog = """
            SELECT 1 FROM outbox, relay_progress WHERE NOT pg_visible_in_snapshot(xid, previous)
              AND (target IS NULL OR outbox.id > last_id OR NOT pg_visible_in_snapshot(xid, target)) LIMIT 1
        """
        for owner in OWNERS:
            if await self.rows(self.databases[owner], backlog):
                return False
        read = {*views.TOPICS, *replica.TOPICS_WITH_MEMBERS}
        ends = await self._ends(read)
        stands = {service: await self._stands(service) for service in SERVICES}
        wanted = {"gateway": views.TOPICS, "welfare": replica.TOPICS_WITH_MEMBERS}
        for service in SERVICES:
            topics = {topic.name for topic in wanted.get(service, ())} | {at[0] for at in stands[service]}
            for place, end in ends.items():
                if place.topic in topics and stands[service].get((place.topic, place.partition)) != end:
                    return False
        return True

    async def _ends(self, topics: set[Topic]) -> dict[TopicPartition, int]:
        client = AIOKafkaConsumer(bootstrap_servers=self.ground.kafka, enable_auto_commit=False)
        await client.start()
        try:
            places = [TopicPartition(topic.name, n) for topic in topics for n in range(topic.partitions)]
            found: dict[TopicPartition, int] = await client.end_offsets(places)
            return found
        finally:
            await client.stop()

    async def _stands(self, service: str) -> dict[tuple[str, int], int]:
        """Up to where the slowest consumer of each partition has read."""
        query = "SELECT topic, partition, min(next_offset) AS behind FROM consumer_offsets GROUP BY 1, 2"
        rows = await self.rows(self.databases[service], query)
        return {(row["topic"], row["partition"]): row["behind"] for row in rows}

    async def current(self, timeout: float = 90) -> None:
        """Wait for that."""
        await eventually(self.is_current, timeout, every=0.5)


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
    databases = {service: await make(service) for service in SERVICES}
    keys = ground.folder / "keys.json"
    keys.write_bytes(new_ring_json())
    keys.chmod(0o600)
    await ensure_topics(ground.kafka, declared_topics())
    root_id = await bootstrap(databases["membership"], StoppedClock(datetime.now(UTC)))
    issuer = Issuer()
    async with _published(issuer) as jwks:
        here = Installation(ground, databases, keys, jwks, root_id, issuer)
        for name in ("bank", *NAMES):
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
