"""A scratch service on the ground: its database and topic, who writes to it, and what came of that."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.contracts.envelope import Event, Topic, event_headers
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from shared.messaging.consumer_apply import Mode
from shared.messaging.outbox import outbox_status
from shared.messaging.topics import ensure_topics, progress_topic, topic_configuration
from shared.testing.waiting import eventually
from tests.faults import handlers
from tests.faults.ground import Ground, Program
from tests.faults.ledger import Fact, Found, judge, judge_counts
from tests.faults.scratch_worker import VARIABLE, Task
from tests.support.scratch import SERVICE, noted, prepare

PARTITIONS = 4
LARGEST_RECORD = 6 * 1024 * 1024


@dataclass
class Scratch:
    """One scratch service. `ledger` holds what was acknowledged: committed, or taken by the broker."""

    ground: Ground
    urls: DatabaseUrls
    service: str
    topic: Topic
    database: Database
    dice: random.Random
    #: Seconds that a relay waits after one that did not sign off; None for those of the product.
    takeover_wait: float | None = None
    ledger: list[Fact] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)

    def worker(self, run: str, mode: Mode = "effects", *, slow: float = 0.0, name: str = "reader") -> Program:
        """A worker that runs "relay", "consumers" or both."""
        task = Task(
            service=self.service,
            topic=self.topic.name,
            partitions=PARTITIONS,
            worker_url=self.urls.worker,
            kafka=self.ground.kafka,
            mode=mode,
            consumer=f"{self.service}.{name}",
            slow=slow,
        )
        if self.takeover_wait is not None:
            task = task.model_copy(update={"takeover_wait": self.takeover_wait})
        environment = {VARIABLE: task.model_dump_json()}
        return self.ground.program("tests.faults.scratch_worker", "--run", run, environment=environment)

    def events(self, how_many: int, subjects: int = 25) -> list[Event]:
        """New versions of aggregates drawn by the dice."""
        while len(self.versions) < subjects:
            self.versions[new_id()] = 0
        chosen = self.dice.choices(list(self.versions), k=how_many)
        return [self.next_of(subject) for subject in chosen]

    def next_of(self, subject: UUID, note: str = "") -> Event:
        """The next version of an aggregate."""
        self.versions[subject] = self.versions.get(subject, 0) + 1
        return noted(self.topic, subject, self.versions[subject], note)

    def strangers(self, how_many: int) -> list[Event]:
        """First versions of aggregates that nobody touches again."""
        return [noted(self.topic, new_id(), 1) for _ in range(how_many)]

    async def commit(self, events: Sequence[Event]) -> None:
        """One transaction; in the ledger once the commit is acknowledged."""
        async with self.database.write(Scope.nothing()) as session:
            for event in events:
                session.emit(event)
            await session.flush_events()
            await session.commit()
        self.note(events)

    @asynccontextmanager
    async def slow_commit(self, events: Sequence[Event]) -> AsyncIterator[None]:
        """A transaction that has written its outbox rows already, and commits when the block ends."""
        async with self.database.write(Scope.nothing()) as session:
            for event in events:
                session.emit(event)
            await session.flush_events()
            yield
            await session.commit()
        self.note(events)

    async def publish(self, events: Iterable[Event]) -> None:
        """Straight to the topic; in the ledger once the broker has it."""
        await self.publish_raw([(event, event.value(), event_headers(event)) for event in events])

    async def publish_raw(self, records: Sequence[tuple[Event, bytes | None, Any]]) -> None:
        """Events with values and headers of one's own."""
        producer = AIOKafkaProducer(bootstrap_servers=self.ground.kafka, max_request_size=LARGEST_RECORD)
        await producer.start()
        try:
            for event, value, headers in records:
                key = str(event.subject).encode()
                await producer.send_and_wait(self.topic.name, key=key, value=value, headers=headers)
                self.note([event])
        finally:
            await producer.stop()

    def note(self, events: Iterable[Event]) -> None:
        """Into the ledger."""
        self.ledger.extend((event.subject, event.sequence) for event in events)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """As the worker."""
        connection = await asyncpg.connect(self.urls.worker)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    async def is_relayed(self) -> bool:
        """Whether the outbox holds nothing unsent."""
        async with self.database.read(Scope.nothing()) as session:
            return (await outbox_status(session)).backlog == 0

    async def is_read(self, name: str = "reader") -> bool:
        """Whether the consumer stands at the end of the topic."""
        client = AIOKafkaConsumer(bootstrap_servers=self.ground.kafka, enable_auto_commit=False)
        await client.start()
        try:
            places = [TopicPartition(self.topic.name, number) for number in range(PARTITIONS)]
            ends = await client.end_offsets(places)
        finally:
            await client.stop()
        rows = await self.rows(
            "SELECT partition, next_offset FROM consumer_offsets WHERE consumer = $1",
            f"{self.service}.{name}",
        )
        known = {row["partition"]: row["next_offset"] for row in rows}
        return all(known.get(place.partition) == end for place, end in ends.items())

    async def relayed(self, timeout: float) -> None:
        """Wait for the relay."""
        await eventually(self.is_relayed, timeout, every=0.2)

    async def read(self, timeout: float, name: str = "reader") -> None:
        """Wait for the consumer."""
        await eventually(lambda: self.is_read(name), timeout, every=0.5)

    async def found(self, mode: Mode) -> Found:
        """What came of the ledger."""
        if mode == "effects":
            rows = await self.rows("SELECT subject, sequence FROM effects ORDER BY position")
            return judge(self.ledger, [(row["subject"], row["sequence"]) for row in rows])
        rows = await self.rows("SELECT * FROM counts")
        return judge_counts(self.ledger, {row["subject"]: (row["sequence"], row["how_many"]) for row in rows})


@asynccontextmanager
async def scratch_service(
    ground: Ground, seed: int, takeover_wait: float | None = None
) -> AsyncIterator[Scratch]:
    """A fresh database and fresh topics."""
    urls = await asyncio.to_thread(ground.databases, SERVICE, migrated=False)
    await asyncio.to_thread(prepare, urls, *handlers.TABLES)
    service = f"faults{secrets.token_hex(4)}"
    topic = Topic(f"unionhall.{service}.things.v1", partitions=PARTITIONS)
    await _make_topic(ground.kafka, topic)
    await ensure_topics(ground.kafka, [progress_topic(service)])
    database = Database(urls.app, pool_size=4, application_name="faults")
    try:
        yield Scratch(ground, urls, service, topic, database, random.Random(seed), takeover_wait)
    finally:
        await database.close()


async def _make_topic(kafka: str, topic: Topic) -> None:
    """As declared, but open to records that are far too large."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        configuration = topic_configuration(topic) | {"max.message.bytes": str(LARGEST_RECORD)}
        new = NewTopic(topic.name, topic.partitions, 1, topic_configs=configuration)
        reply = await admin.create_topics([new], timeout_ms=10_000)
        assert not [error for error in reply.topic_errors if error[1]], reply.topic_errors
    finally:
        await admin.close()
