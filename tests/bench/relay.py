"""The relay beside the bare client and beside what a user would pick instead."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Event, Topic
from shared.database.provision import DatabaseUrls
from shared.messaging.relay import Relay
from shared.observability.metrics import REGISTRY
from tests.bench.events import Record, admissions, count_published, fill_outbox, records
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.rivals import outbox_relay

_EMPTY = """
    TRUNCATE outbox;
    UPDATE relay_progress SET previous = '1:1:', target = NULL, last_id = 0, leader = NULL, sent_until = NULL
"""
_PAGE = 2_000
#: Seconds after which a drain that does not end is an error.
_DEADLINE = 300.0


async def relay(ground: Ground, size: Size) -> list[Figure]:
    """Drain of a backlog: events that all lie in the outbox when the relay begins, until the broker has acknowledged all."""
    urls = await ground.scratch()
    topic = await ground.topic()
    events = admissions(size.of(200_000, 4_000), topic)
    few = events[: size.of(20_000, 1_000)]
    ready = records(events)
    found = await interleaved(
        size.rounds,
        send=_Measure(ground, topic, len(ready)).of(lambda: _send(ground.kafka, topic, ready)),
        relay=_Measure(ground, topic, len(events)).of(lambda: _drain(ground, urls, topic, events)),
        send_batch=_Measure(ground, topic, len(ready)).of(lambda: _send_batch(ground.kafka, topic, ready)),
        faststream_outbox=_Measure(ground, topic, len(few)).of(
            lambda: outbox_relay(urls.owner, ground.kafka, topic, few)
        ),
    )
    return [
        figure("relay_vs_send", "events/s", found["relay"], found["send"], target="ratio >= 0.7"),
        figure(
            "relay_vs_send_batch", "events/s", found["relay"], found["send_batch"], target="ratio >= 0.25"
        ),
        figure(
            "relay_vs_faststream_outbox",
            "events/s",
            found["relay"],
            found["faststream_outbox"],
            target="ratio >= 10",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Measure:
    """A measure that also looks whether as many records arrived as were sent."""

    ground: Ground
    topic: Topic
    count: int

    def of(self, work: Any) -> Any:
        """`work` gives seconds; the measure gives events a second."""

        async def measured() -> float:
            before = await count_published(self.ground.kafka, self.topic)
            await calm(self.ground.postgres_url)
            seconds: float = await work()
            arrived = await count_published(self.ground.kafka, self.topic) - before
            if arrived != self.count:
                raise RuntimeError(f"{arrived} records arrived instead of {self.count}")
            return self.count / seconds

        return measured


@asynccontextmanager
async def _producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        enable_idempotence=True,
        max_batch_size=256 * 1024,
        max_request_size=2**21,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _send(kafka: str, topic: Topic, ready: Sequence[Record]) -> float:
    """The ceiling: the same keys, values and headers, made beforehand, through the client's `send`."""
    async with _producer(kafka) as producer:
        await producer.partitions_for(topic.name)
        began = time.perf_counter()
        acknowledgements = [
            await producer.send(topic.name, value, key=key, headers=headers)
            for key, value, headers, _ in ready
        ]
        await asyncio.gather(*acknowledgements)
        return time.perf_counter() - began


async def _send_batch(kafka: str, topic: Topic, ready: Sequence[Record]) -> float:
    """The ceiling of ceilings: batches as full as they may be, the partition of each record known beforehand."""
    async with _producer(kafka) as producer:
        await producer.partitions_for(topic.name)
        acknowledgements: list[asyncio.Future[Any]] = []
        builders: defaultdict[int, Any] = defaultdict(producer.create_batch)
        stamp = int(time.time() * 1000)
        began = time.perf_counter()
        for key, value, headers, partition in ready:
            if builders[partition].append(timestamp=stamp, key=key, value=value, headers=headers) is None:
                full = builders.pop(partition)
                acknowledgements.append(await producer.send_batch(full, topic.name, partition=partition))
                builders[partition].append(timestamp=stamp, key=key, value=value, headers=headers)
        for partition, builder in builders.items():
            acknowledgements.append(await producer.send_batch(builder, topic.name, partition=partition))
        await asyncio.gather(*acknowledgements)
        return time.perf_counter() - began


async def _drain(ground: Ground, urls: DatabaseUrls, topic: Topic, events: Sequence[Event]) -> float:
    """The real relay over a full outbox, from the moment it leads."""
    owner = await asyncpg.connect(urls.owner)
    await owner.execute(_EMPTY)
    await owner.close()
    await fill_outbox(urls.worker, events)
    await calm(ground.postgres_url)
    stop = asyncio.Event()
    one = Relay(urls.worker, ground.kafka, topic.name.split(".")[1], topics=[topic], takeover_wait=0)
    before = _relayed()
    running = asyncio.create_task(one.run(stop))
    try:
        while not one.leading:  # noqa: ASYNC110 - the relay tells nobody
            await asyncio.sleep(0.001)
        began = time.perf_counter()
        while _relayed() - before < len(events):
            await asyncio.sleep(0.005)
            if time.perf_counter() - began > _DEADLINE:
                raise TimeoutError("the relay did not drain its outbox")
        return time.perf_counter() - began
    finally:
        stop.set()
        await running


def _relayed() -> float:
    return REGISTRY.get_sample_value("unionhall_relay_events_total") or 0.0
