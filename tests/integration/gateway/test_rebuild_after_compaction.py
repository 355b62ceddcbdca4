"""A real broker compacts the topics, then the dashboard is rebuilt: history comes from the facts, state from the topics' start.

The topics are copies under names of their own, which compact at once; those of the product wait for 30 days.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import text

from gateway_service.dashboard import handlers
from gateway_service.dashboard.domain import FLOWS
from shared.contracts.envelope import Received, Topic, event_headers
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.directory import replica
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Handler
from shared.messaging.topics import ensure_topics, progress_topic
from shared.testing.waiting import eventually
from tests.integration.gateway.histories import DAYS, FIRST_DAY, random_history
from tests.integration.gateway.test_dashboard_counts import counted, fingerprint, rebuild

pytestmark = pytest.mark.timeout(120)

PARTITIONS = 2
AT_ONCE = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1",
    "min.cleanable.dirty.ratio": "0.001",
    "segment.ms": "100",
}


class Copies:
    """Copies of the topics of organisations and members on the broker."""

    def __init__(self, kafka: str, unique: str) -> None:
        self.kafka = kafka
        self.service = f"copy{unique}"
        self.topics = {
            original.name: Topic(original.name.replace("membership", self.service), PARTITIONS)
            for original in (ORGANISATIONS, MEMBERS)
        }
        self._originals = {copy.name: name for name, copy in self.topics.items()}

    async def create(self) -> None:
        await ensure_topics(self.kafka, [progress_topic(self.service)])
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await admin.create_topics(
                [NewTopic(copy.name, PARTITIONS, 1, topic_configs=AT_ONCE) for copy in self.topics.values()]
            )
        finally:
            await admin.close()

    async def publish(self, events: Sequence[Received]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True)
        await producer.start()
        try:
            for event in events:
                headers = event_headers(event)  # type: ignore[arg-type]
                await producer.send(
                    self.topics[event.topic].name,
                    orjson.dumps(event.data),
                    key=str(event.subject).encode(),
                    headers=headers,
                )
            await producer.flush()
        finally:
            await producer.stop()

    async def held(self) -> int:
        """How many records the topics still hold."""
        reader = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        await reader.start()
        try:
            places = [
                TopicPartition(copy.name, n) for copy in self.topics.values() for n in range(PARTITIONS)
            ]
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            ends = await reader.end_offsets(places)
            count = 0
            while [place for place in places if await reader.position(place) < ends[place]]:
                count += sum(len(batch) for batch in (await reader.getmany(timeout_ms=100)).values())
            return count
        finally:
            await reader.stop()

    @asynccontextmanager
    async def read_by(
        self, name: str, apply: Handler, database: Database, *originals: Topic
    ) -> AsyncIterator[None]:
        """A consumer of copies, whose handler sees the names of the originals."""

        async def as_original(session: WriteSession, events: Sequence[Received]) -> None:
            await apply(session, [replace(one, topic=self._originals[one.topic]) for one in events])

        topics = [self.topics[original.name] for original in originals]
        consumer = Consumer(f"{self.service}.{name}", topics, as_original, "projection", database, self.kafka)
        stop = asyncio.Event()
        running = asyncio.create_task(consumer.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    async with database.read(Scope.everything()) as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def read_to_the_end(copies: Copies, database: Database) -> None:
    """Let a gateway read everything that the topics hold, into its views and its directory."""
    reader = AIOKafkaConsumer(bootstrap_servers=copies.kafka)
    await reader.start()
    try:
        places = [TopicPartition(copy.name, n) for copy in copies.topics.values() for n in range(PARTITIONS)]
        ends = {
            (place.topic, place.partition): end for place, end in (await reader.end_offsets(places)).items()
        }
    finally:
        await reader.stop()
    directory, views = f"{copies.service}.directory", f"{copies.service}.views"
    organisations = copies.topics[ORGANISATIONS.name].name
    due = {(views, *place): end for place, end in ends.items()}
    due |= {(directory, *place): end for place, end in ends.items() if place[0] == organisations}

    async def is_read() -> bool:
        found = await rows(database, "SELECT consumer, topic, partition, next_offset FROM consumer_offsets")
        at = {(consumer, topic, partition): offset for consumer, topic, partition, offset in found}
        return all(at.get(place, 0) >= end for place, end in due.items())

    async with (
        copies.read_by("views", handlers.apply, database, ORGANISATIONS, MEMBERS),
        copies.read_by("directory", replica.apply, database, ORGANISATIONS),
    ):
        await eventually(is_read, timeout=30)


DIRECTORY = "SELECT id, path, name, sequence FROM directory_organisations ORDER BY id"


@pytest.fixture
async def copies(kafka_bootstrap: str, unique: str) -> AsyncIterator[Copies]:
    made = Copies(kafka_bootstrap, unique)
    await made.create()
    yield made
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_topics([copy.name for copy in made.topics.values()])
    await admin.close()


async def test_after_a_compaction_a_rebuilt_dashboard_equals_the_live_one(
    copies: Copies, worker: Database, make_database: Callable[[str], DatabaseUrls]
) -> None:
    events = random_history(31, members=120).interleaved(31)
    newest = {event.subject: event for event in events}
    early, tail = events[:-20], events[-20:]
    await copies.publish(early)
    await read_to_the_end(copies, worker)
    await asyncio.sleep(0.3)
    # Another segment begins in every partition: the first one is not written any more and may be compacted. A relay that died
    # sends events again.
    again = [event for event in newest.values() if event.topic == ORGANISATIONS.name]
    again += [event for event in newest.values() if event.topic == MEMBERS.name][:20]
    await copies.publish([*tail, *again])
    await read_to_the_end(copies, worker)
    live = await fingerprint(worker)
    directory = await rows(worker, DIRECTORY)
    kept = len(newest) + len(tail) + len(again)
    assert kept < 0.7 * len(events)

    async def is_compacted() -> bool:
        return await copies.held() <= kept

    await eventually(is_compacted, timeout=80)
    await rebuild(worker)
    assert await fingerprint(worker) == live

    await _read_again(worker)
    await read_to_the_end(copies, worker)
    assert await fingerprint(worker) == live
    await rebuild(worker)
    assert await fingerprint(worker) == live

    fresh = Database(make_database("gateway").worker, pool_size=2, application_name="test")
    try:
        await read_to_the_end(copies, fresh)
        assert await rows(fresh, DIRECTORY) == directory
        last_day = FIRST_DAY + timedelta(days=10 * DAYS)
        assert stocks(await counted(fresh, last_day)) == stocks(await counted(worker, last_day))
        # What nobody wrote down is gone: without the facts there is no history to rebuild.
        assert await fingerprint(fresh) != live
    finally:
        await fresh.close()


async def _read_again(database: Database) -> None:
    async with database.write(Scope.everything()) as session:
        await session.execute(text("UPDATE consumer_offsets SET next_offset = 0"))
        await session.commit()


def stocks(figures: dict[Any, int]) -> dict[Any, int]:
    """What is counted as of a day, without what happened on it."""
    return {key: count for key, count in figures.items() if key[1] not in FLOWS}
