"""All services of one installation in this process: real applications, relays and consumers over real PostgreSQL and Kafka.

Time is the machine's. A worker may be stopped, started again, or run as a process of its own that dies at a crash point.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from events_service import effects as events_effects
from shared.contracts.envelope import Topic
from shared.database.provision import DatabaseUrls
from shared.kernel.clock import china_date
from shared.messaging.worker import WorkerSetup
from shared.settings import ServiceSettings
from shared.testing.clock import StoppedClock
from shared.testing.waiting import eventually
from shared.web.caller import POSTS_STALE
from tests.integration.membership.members.people import admitted, number
from tests.support.membership import ROOT_ADMIN, Federation
from tests.support.tokens import ISSUER, Issuer
from tests.support.welfare import Unit, Welfare
from welfare_service import effects as welfare_effects

Probe = Callable[[], Awaitable[Any]]
#: Every service that keeps a replica of units and posts.
FOLLOWERS = ("welfare", "events", "gateway")
_DEADLINE = 30.0


def now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def today() -> str:
    """The day in China."""
    return china_date(now()).isoformat()


@dataclass
class Worker:
    """Relay and consumers of one service."""

    service: str
    build: Callable[[], WorkerSetup]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    setup: WorkerSetup | None = None

    def start(self) -> None:
        self.stop, self.setup = asyncio.Event(), self.build()
        parts = self.setup.chosen(["relay", "consumers"])
        self.tasks = [asyncio.create_task(part.run(self.stop)) for part in parts]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.tasks)
        for work in self.setup.on_stop if self.setup else ():
            await work()
        self.tasks, self.setup = [], None


@dataclass
class Office:
    """A unit with a user for every role that a test needs; `posts` are theirs."""

    unit: Unit
    people: dict[str, str]
    posts: list[str]

    def __getitem__(self, role: str) -> str:
        return self.people[role]


@dataclass
class House:
    """The installation."""

    clients: dict[str, httpx.AsyncClient]
    issuer: Issuer
    urls: dict[str, DatabaseUrls]
    settings: dict[str, ServiceSettings]
    workers: dict[str, Worker]
    root: Unit

    @property
    def federation(self) -> Federation:
        """Membership."""
        clock = StoppedClock(now())
        return Federation(
            self.clients["membership"], self.issuer, self.urls["membership"], str(self.root.id), clock
        )

    @property
    def welfare(self) -> Welfare:
        """Welfare."""
        return Welfare(
            self.clients["welfare"], self.issuer, self.urls["welfare"], self.root, StoppedClock(now())
        )

    async def send(
        self,
        service: str,
        method: str,
        path: str,
        *,
        by: str,
        version: int | None = None,
        **request: Any,
    ) -> httpx.Response:
        """A request to one of the services."""
        headers = self.issuer.headers(by) | {"Idempotency-Key": str(uuid4()), "Accept-Language": "en"}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self.clients[service].request(method, f"/api/v1{path}", headers=headers, **request)

    async def call(self, service: str, method: str, path: str, *, expect: int = 200, **request: Any) -> Any:
        """The same, the status checked; the JSON of the reply."""
        reply = await self.send(service, method, path, **request)
        assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    async def rows(self, service: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows read as the worker, who sees all."""
        connection = await asyncpg.connect(self.urls[service].worker)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def seen(self, what: str, probe: Probe) -> Any:
        """Wait until `probe` is true; says how long that took."""
        began = time.monotonic()
        found = await eventually(probe, timeout=_DEADLINE, every=0.02)
        sys.stdout.write(f"{what}: {1000 * (time.monotonic() - began):.0f} ms\n")
        return found

    async def replicated(self, table: str, **wanted: Any) -> None:
        """Wait until every replica has such a row."""
        services = FOLLOWERS if table != "directory_members" else FOLLOWERS[:2]
        condition = " AND ".join(f"{name} = ${place}" for place, name in enumerate(wanted, 1))
        for service in services:

            async def is_there(service: str = service) -> bool:
                return bool(
                    await self.rows(service, f"SELECT FROM {table} WHERE {condition}", *wanted.values())
                )

            await eventually(is_there, timeout=_DEADLINE)

    async def fresh(self) -> None:
        """Wait until every replica of posts says how fresh it is: before that nothing is approved."""
        known = "SELECT FROM consumer_freshness WHERE consumer = $1 AND as_of > now() - $2::interval"
        for service in FOLLOWERS:

            async def is_fresh(service: str = service) -> bool:
                return bool(await self.rows(service, known, f"{service}.directory", POSTS_STALE / 2))

            await eventually(is_fresh, timeout=4 * _DEADLINE)

    async def listening(self) -> None:
        """Wait until the consumers of effects know where they stand: a new one hears nothing of what was said before."""
        known = "SELECT 1 FROM consumer_offsets WHERE consumer = $1 HAVING count(*) = $2"
        for service, topics in (("welfare", welfare_effects.TOPICS), ("events", events_effects.TOPICS)):
            partitions = sum(topic.partitions for topic in topics)

            async def is_listening(service: str = service, partitions: int = partitions) -> bool:
                return bool(await self.rows(service, known, f"{service}.effects", partitions))

            await eventually(is_listening, timeout=2 * _DEADLINE)

    async def unit(self, parent: Unit | None = None) -> Unit:
        """A new unit, known everywhere."""
        made = await self.federation.unit(str((parent or self.root).id), founded_on=today())
        await self.replicated("directory_organisations", id=UUID(made["id"]))
        [row] = await self.rows(
            "welfare", "SELECT path FROM directory_organisations WHERE id = $1", UUID(made["id"])
        )
        return Unit(UUID(made["id"]), row["path"])

    async def grant(self, role: str, at: Unit) -> tuple[str, str]:
        """A new user with a role at a unit, known everywhere: post and subject."""
        subject = f"{role}-{uuid4().hex[:8]}"
        body = {
            "organisation_id": str(at.id),
            "issuer": ISSUER,
            "subject": subject,
            "role": role,
            "starts_on": today(),
        }
        post = await self.call("membership", "POST", "/posts", by=ROOT_ADMIN, json=body, expect=201)
        await self.replicated("directory_posts", subject=subject)
        return post["id"], subject

    async def office(self, parent: Unit | None = None) -> Office:
        """A new unit with everybody who works in it."""
        unit = await self.unit(parent)
        roles = dict.fromkeys(("registrar", "welfare_officer", "approver", "treasurer", "organiser"), "")
        roles |= {"second": "registrar", "payer": "treasurer"}
        granted = {name: await self.grant(role or name, unit) for name, role in roles.items()}
        people = {name: subject for name, (_, subject) in granted.items()}
        return Office(unit, people, [post for post, _ in granted.values()])

    async def member(self, office: Office) -> tuple[UUID, str, str]:
        """An active member who can sign in, known everywhere: id, subject, document."""
        document, subject = number(), f"member-{uuid4().hex[:8]}"
        pair = (office["registrar"], office["second"])
        member = await admitted(self.federation, str(office.unit.id), pair, document_number=document)
        body = {"issuer": ISSUER, "subject": subject}
        await self.call("membership", "PUT", f"/members/{member}/user", by=pair[0], version=2, json=body)
        await self.replicated("directory_members", id=UUID(member), sequence=3)
        return UUID(member), subject, document

    async def step(
        self, member: UUID, step: str, by: str, expect: int = 200, version: int | None = None, **body: Any
    ) -> Any:
        """A step of a member's membership, at the version that holds."""
        if version is None:
            [row] = await self.rows("membership", "SELECT version FROM members WHERE id = $1", member)
            version = row["version"]
        path = f"/members/{member}/{step}"
        return await self.call(
            "membership", "POST", path, by=by, version=version, expect=expect, json={"reason": "x"} | body
        )

    async def transfer(self, member: UUID, old: Office, new: Office) -> None:
        """The old unit lets a member go, the new one takes him."""
        body = {"to_organisation_id": str(new.unit.id), "reason": "调动"}
        path = f"/members/{member}/transfers"
        asked = await self.call("membership", "POST", path, by=old["registrar"], json=body, expect=201)
        path = f"/transfers/{asked['id']}/acceptance"
        await self.call("membership", "POST", path, by=new["registrar"], version=asked["version"])

    async def end(self, post: str) -> None:
        """A post ends at once."""
        await self.call("membership", "POST", f"/posts/{post}/end", by=ROOT_ADMIN, version=1, json={})

    async def send_again(self, topic: Topic, subject: UUID) -> int:
        """Send everything that a topic says of a subject once more, as a relay does that died too early; how much that was."""
        kafka = self.settings["membership"].kafka_bootstrap
        places = [TopicPartition(topic.name, one) for one in range(topic.partitions)]
        async with (
            AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False) as reader,
            AIOKafkaProducer(bootstrap_servers=kafka) as producer,
        ):
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            ends = await reader.end_offsets(places)
            records = []
            while [place for place in places if await reader.position(place) < ends[place]]:
                for batch in (await reader.getmany(timeout_ms=100)).values():
                    records += [record for record in batch if record.key == str(subject).encode()]
            for record in records:
                await producer.send_and_wait(
                    topic.name, key=record.key, value=record.value, headers=list(record.headers)
                )
        return len(records)

    async def dying(self, service: str, environment: dict[str, str]) -> "asyncio.subprocess.Process":
        """The consumers of a service as a process of its own, in the place of those of this process."""
        await self.workers[service].end()
        settings = self.settings[service]
        environment |= {
            "UNIONHALL_WORKER_DATABASE_URL": settings.worker_database_url,
            "UNIONHALL_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "UNIONHALL_KEYS_FILE": str(settings.keys_file),
            "UNIONHALL_WORKER_PORT": "0",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"{service}_service.worker",
            "--run",
            "relay,consumers",
            env=environment,
            stderr=asyncio.subprocess.DEVNULL,
        )
