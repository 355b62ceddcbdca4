"""Handlers, a producer and queries for tests of consumers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Event, Received, event_headers
from shared.database.session import WriteSession, driver
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Handler, Mode
from shared.messaging.projection import newest_wins
from tests.integration.messaging.conftest import Bench


async def remember(session: WriteSession, events: Sequence[Received]) -> None:
    """A state projection."""
    connection = await driver(session)
    newest = newest_wins(events)
    await connection.execute(
        """
        INSERT INTO seen AS known (subject, sequence, note)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])
        ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, note = excluded.note
        WHERE known.sequence < excluded.sequence
        """,
        [event.subject for event in newest],
        [event.sequence for event in newest],
        [None if event.data is None else event.data["note"] for event in newest],
    )


async def act(session: WriteSession, events: Sequence[Received]) -> None:
    """An effect; notes that say "poison" cannot be handled, as long as the table `cured` does not exist."""
    connection = await driver(session)
    cured = await connection.fetchval("SELECT to_regclass('cured') IS NOT NULL")
    if not cured and any(event.data and event.data["note"] == "poison" for event in events):
        raise ValueError("cannot handle 13912345678")
    await connection.executemany(
        "INSERT INTO effects (subject, sequence, note) VALUES ($1, $2, $3)",
        [(event.subject, event.sequence, event.data and event.data["note"]) for event in events],
    )


@asynccontextmanager
async def producing(bench: Bench) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Send events (or raw values) straight to the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bench.kafka)
    await producer.start()

    async def send(*events: Event, value: bytes | None = None, headers: Any = None) -> None:
        for event in events:
            await producer.send_and_wait(
                bench.topic.name,
                key=str(event.subject).encode(),
                value=event.value() if value is None else value,
                headers=event_headers(event) if headers is None else headers,
            )

    try:
        yield send
    finally:
        await producer.stop()


def consumer_of(bench: Bench, handler: Handler, mode: Mode = "projection", **options: Any) -> Consumer:
    name = options.pop("name", f"{bench.service}.view")
    return Consumer(name, [bench.topic], handler, mode, bench.worker, bench.kafka, **options)


async def rows(bench: Bench, query: str, *arguments: Any) -> list[asyncpg.Record]:
    async with bench.worker.driver() as connection:
        found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return found


async def count(bench: Bench, table: str) -> int:
    return len(await rows(bench, f"SELECT 1 FROM {table}"))


async def sequences(bench: Bench, subject: UUID) -> list[int]:
    found = await rows(bench, "SELECT sequence FROM effects WHERE subject = $1 ORDER BY position", subject)
    return [row["sequence"] for row in found]
