"""What a user would pick instead, set up as well as its options allow: faststream-outbox, and FastStream with an inbox."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import orjson
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from sqlalchemy import MetaData, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.contracts.envelope import Event, Topic, event_headers
from shared.database.session import as_columns
from shared.kernel.ids import new_id

_QUEUE = "things"
_TABLE = "rival_outbox"
_FILL = f"INSERT INTO {_TABLE} (queue, payload, headers) SELECT '{_QUEUE}', * FROM unnest($1::bytea[], $2::jsonb[])"
_DEADLINE = 300.0
_HANDLERS = 64


async def outbox_relay(owner_url: str, kafka: str, topic: Topic, events: Sequence[Event]) -> float:
    """Seconds in which faststream-outbox, tuned (many handlers, large fetches, batched ends), drains a table of `events`."""
    # It keeps one connection for each handler and one to fetch.
    engine = create_async_engine(
        make_url(owner_url).set(drivername="postgresql+asyncpg"), pool_size=_HANDLERS + 4
    )
    metadata = MetaData()
    table = make_outbox_table(metadata, _TABLE)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    await _fill(owner_url, events)
    target = KafkaBroker(kafka, acks="all", enable_idempotence=True, linger_ms=2, logger=None)
    outbox = OutboxBroker(engine, outbox_table=table, logger=None)
    left = len(events)
    done = asyncio.Event()

    @outbox.subscriber(
        _QUEUE,
        max_workers=_HANDLERS,
        fetch_batch_size=1_000,
        min_fetch_interval=0.005,
        max_fetch_interval=0.05,
        terminal_flush_batch_size=500,
    )
    async def relay(message: OutboxMessage) -> None:
        nonlocal left
        headers = {name: str(value) for name, value in message.headers.items()}
        await target.publish(message.body, topic.name, key=headers["ce_subject"].encode(), headers=headers)
        left -= 1
        if not left:
            done.set()

    await target.start()
    began = time.perf_counter()
    await outbox.start()
    try:
        async with asyncio.timeout(_DEADLINE):
            await done.wait()
        return time.perf_counter() - began
    finally:
        await outbox.stop()
        await target.stop()
        await engine.dispose()


async def _fill(url: str, events: Sequence[Event]) -> None:
    connection = await asyncpg.connect(url)
    rows = []
    for event in events:
        headers = {name: value.decode() for name, value in event_headers(event)}
        rows.append((event.value(), orjson.dumps(headers | {"correlation_id": str(event.id)}).decode()))
    await connection.execute(_FILL, *as_columns(rows))
    await connection.execute(f"ANALYZE {_TABLE}")
    await connection.close()


_ONE = """
    WITH entered AS (
        INSERT INTO inbox (event_id, consumer) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING event_id
    )
    INSERT INTO seen AS known (subject, sequence, unit, status)
    SELECT $3::uuid, $4::bigint, $5::uuid, $6::text FROM entered
    ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, unit = excluded.unit, status = excluded.status
    WHERE known.sequence < excluded.sequence
"""


async def inbox_consumer(worker_url: str, kafka: str, topic: Topic, count: int) -> float:
    """Seconds in which FastStream applies `count` events through an inbox, one statement and one acknowledgement each.

    From the first event on: joining the group is not counted.
    """
    pool = await asyncpg.create_pool(worker_url, min_size=1, max_size=4)
    broker = KafkaBroker(kafka, logger=None)
    name = f"bench.{new_id()}"
    began = 0.0
    left = count
    done = asyncio.Event()

    @broker.subscriber(topic.name, group_id=name, auto_offset_reset="earliest", ack_policy=AckPolicy.MANUAL)
    async def apply(message: KafkaMessage) -> None:
        nonlocal began, left
        began = began or time.perf_counter()
        state = orjson.loads(message.body)["state"]
        subject = UUID(message.headers["ce_subject"])
        sequence = int(message.headers["ce_sequence"])
        unit = UUID(state["organisation_id"])
        await pool.execute(
            _ONE, UUID(message.headers["ce_id"]), name, subject, sequence, unit, state["status"]
        )
        await message.ack()
        left -= 1
        if not left:
            done.set()

    await broker.start()
    try:
        async with asyncio.timeout(_DEADLINE):
            await done.wait()
        return time.perf_counter() - began
    finally:
        await broker.stop()
        await pool.close()
