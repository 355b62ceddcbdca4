"""A service with nothing but the shared tables, topics of its own, and writers that commit as services do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.envelope import Event, Received, Topic, read_record
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.messaging.parts import Part
from shared.messaging.topics import ensure_topics, progress_topic
from shared.testing.databases import DatabaseFactory
from tests.support.scratch import SERVICE, prepare


@dataclass
class Bench:
    """One scratch service: database, topic, and what a test does with them."""

    urls: DatabaseUrls
    kafka: str
    service: str
    topic: Topic
    worker: Database
    app: Database
    started: list[tuple[asyncio.Event, "asyncio.Task[None]"]] = field(default_factory=list)

    async def commit(self, *events: Event) -> None:
        """One transaction that emits `events`, as the application role."""
        async with self.app.write(Scope.nothing()) as session:
            for event in events:
                session.emit(event)
            await session.flush_events()
            await session.commit()

    def start(self, part: Part) -> Callable[[], "asyncio.Future[None]"]:
        """Run a part beside the test; the returned function stops it in an orderly way."""
        stop = asyncio.Event()
        task = asyncio.create_task(part.run(stop))
        self.started.append((stop, task))

        async def end() -> None:
            stop.set()
            await task

        return lambda: asyncio.ensure_future(end())

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection as the owner."""
        connection = await asyncpg.connect(self.urls.owner)
        try:
            yield connection
        finally:
            await connection.close()

    async def published(self) -> list[Received]:
        """All that the topic holds now, partition by partition."""
        reader = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        await reader.start()
        try:
            places = [TopicPartition(self.topic.name, number) for number in range(self.topic.partitions)]
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            ends = await reader.end_offsets(places)
            records = []
            while [place for place in places if await reader.position(place) < ends[place]]:
                for batch in (await reader.getmany(timeout_ms=100)).values():
                    records.extend(batch)
        finally:
            await reader.stop()
        return [read_record(r.topic, r.partition, r.offset, r.headers, r.value) for r in records]


@pytest.fixture(scope="session")
def scratch_urls(make_database: DatabaseFactory) -> DatabaseUrls:
    """One database for all tests here; its views are `seen` (newest state) and `effects` (one row an effect)."""
    urls = make_database(SERVICE, migrated=False)
    tables = (
        "CREATE TABLE seen (subject uuid PRIMARY KEY, sequence bigint NOT NULL, note text)",
        "CREATE TABLE effects (position bigint GENERATED ALWAYS AS IDENTITY, subject uuid, sequence bigint, note text)",
        "GRANT ALL ON seen, effects TO unionhall_scratch_worker",
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(prepare, urls, *tables).result()
    return urls


@pytest.fixture
async def bench(scratch_urls: DatabaseUrls, kafka_bootstrap: str, unique: str) -> AsyncIterator[Bench]:
    """A scratch service with an empty database and a topic of its own."""
    urls = scratch_urls
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("""
        TRUNCATE outbox, inbox, consumer_offsets, consumer_freshness, dead_letters, seen, effects;
        UPDATE relay_progress SET previous = '1:1:', target = NULL, last_id = 0, leader = NULL, system_identifier = NULL;
        DROP TABLE IF EXISTS cured;
    """)
    await owner.close()
    service = f"scratch{unique}"
    topic = Topic(f"unionhall.{service}.things.v1", partitions=4)
    await ensure_topics(kafka_bootstrap, [topic, progress_topic(service)])
    worker = Database(urls.worker, pool_size=4, application_name="worker")
    app = Database(urls.app, pool_size=20, application_name="app")
    made = Bench(urls, kafka_bootstrap, service, topic, worker, app)
    yield made
    for stop, task in made.started:
        stop.set()
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)
    await worker.close()
    await app.close()


def inversions(events: list[Received]) -> int:
    """First arrivals of an aggregate's versions that came after a later one."""
    newest: dict[UUID, int] = {}
    seen: set[UUID] = set()
    count = 0
    for event in sorted(events, key=lambda event: (event.partition, event.offset)):
        if event.id in seen:
            continue
        seen.add(event.id)
        count += event.sequence < newest.get(event.subject, 0)
        newest[event.subject] = max(event.sequence, newest.get(event.subject, 0))
    return count
