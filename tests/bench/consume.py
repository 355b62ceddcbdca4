"""Consumers beside the bare client that only reads and decodes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer

from shared.contracts.envelope import Received, Topic
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.session import WriteSession, driver
from shared.kernel.ids import new_id
from shared.messaging.consumer import BATCH, Consumer
from shared.messaging.consumer_apply import Handler, Mode
from shared.messaging.projection import newest_wins
from shared.observability.metrics import CONSUMER_EVENTS
from tests.bench.events import admissions, publish, records
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.rivals import inbox_consumer

_SEEN = "CREATE TABLE seen (subject uuid PRIMARY KEY, sequence bigint NOT NULL, unit uuid NOT NULL, status text NOT NULL)"
_UPSERT = """
    INSERT INTO seen AS known (subject, sequence, unit, status)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[]) AS new (subject, sequence, unit, status)
    ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, unit = excluded.unit, status = excluded.status
    WHERE known.sequence < excluded.sequence
"""
_DEADLINE = 300.0


async def upsert(session: WriteSession, events: Sequence[Received]) -> None:
    """A view of one row a member: what a projection at least does."""
    newest = [event for event in newest_wins(events) if event.data]
    states = [event.data["state"] for event in newest if event.data]
    connection = await driver(session)
    await connection.execute(
        _UPSERT,
        [event.subject for event in newest],
        [event.sequence for event in newest],
        [state["organisation_id"] for state in states],
        [state["status"] for state in states],
    )


async def consume(ground: Ground, size: Size) -> list[Figure]:
    """A topic of 32 partitions from its start to its end; joining the group is not counted."""
    urls = await ground.scratch(_SEEN)
    topic, short = await ground.topic(), await ground.topic()
    count = size.of(200_000, 6_000)
    few = size.of(6_000, 300)
    ready = records(admissions(count, topic))
    await publish(ground.kafka, topic, ready)
    await publish(ground.kafka, short, ready[:few])

    def rate(work: Callable[[], Awaitable[float]], events: int) -> Callable[[], Awaitable[float]]:
        async def measured() -> float:
            owner = await asyncpg.connect(urls.owner)
            await owner.execute("TRUNCATE seen, inbox")
            await owner.close()
            await calm(ground.postgres_url)
            return events / await work()

        return measured

    found = await interleaved(
        size.rounds,
        decode=rate(lambda: _decode(ground.kafka, topic, count), count),
        projection=rate(lambda: apply_all(ground, urls, [topic], upsert, "projection", count), count),
        effects=rate(lambda: apply_all(ground, urls, [topic], upsert, "effects", count), count),
        faststream=rate(lambda: inbox_consumer(urls.worker, ground.kafka, short, few), few),
    )
    return [
        figure(
            "projection_vs_decode", "events/s", found["projection"], found["decode"], target="ratio >= 0.35"
        ),
        figure("effects_vs_decode", "events/s", found["effects"], found["decode"], target="ratio >= 0.2"),
        figure(
            "effects_vs_faststream", "events/s", found["effects"], found["faststream"], target="ratio >= 20"
        ),
    ]


async def _decode(kafka: str, topic: Topic, count: int) -> float:
    """The ceiling: `getmany`, the JSON of each value, and a commit a batch."""
    reader = AIOKafkaConsumer(
        topic.name,
        bootstrap_servers=kafka,
        group_id=f"bench.{new_id()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await reader.start()
    began = 0.0
    try:
        while count > 0:
            polled = await reader.getmany(timeout_ms=200, max_records=BATCH)
            began = began or (time.perf_counter() if polled else 0.0)
            for batch in polled.values():
                for record in batch:
                    orjson.loads(record.value)
                count -= len(batch)
            if polled:
                await reader.commit({place: batch[-1].offset + 1 for place, batch in polled.items()})
        return time.perf_counter() - began
    finally:
        await reader.stop()


async def apply_all(
    ground: Ground, urls: DatabaseUrls, topics: Sequence[Topic], handler: Handler, mode: Mode, count: int
) -> float:
    """Seconds in which the real consumer applies `count` events, from the first batch on until the last is committed."""
    name = f"bench.c{new_id().hex}"
    database = Database(urls.worker, pool_size=4, application_name="bench")
    began = 0.0

    async def handle(session: WriteSession, events: Sequence[Received]) -> None:
        nonlocal began
        began = began or time.perf_counter()
        await handler(session, events)

    stop = asyncio.Event()
    running = asyncio.create_task(Consumer(name, topics, handle, mode, database, ground.kafka).run(stop))
    try:
        async with asyncio.timeout(_DEADLINE):
            while _applied(name) < count:  # noqa: ASYNC110 - a metric wakes nobody
                await asyncio.sleep(0.005)
        return time.perf_counter() - began
    finally:
        stop.set()
        await running
        await database.close()


def _applied(consumer: str) -> float:
    """Its own counter alone: the whole registry takes a millisecond and grows with every consumer measured before."""
    (metric,) = CONSUMER_EVENTS.labels(consumer=consumer).collect()
    return float(metric.samples[0].value)
