"""Where a consumer stands: rows in its own database, moved in the transaction that applies the events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.database.engine import Database

# `next_offset = position`, not `<`: a zombie that read from an older position must not apply its batch a second time.
_MOVE = """
    UPDATE consumer_offsets AS known SET next_offset = move.next, updated_at = now()
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS move (topic, partition, position, next)
    WHERE known.consumer = $1 AND known.topic = move.topic AND known.partition = move.partition
      AND known.next_offset = move.position
"""
_LOAD = "SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer = $1"
_BEGIN = """
    INSERT INTO consumer_offsets (consumer, topic, partition, next_offset, started_at_offset)
    SELECT $1, topic, partition, start, start FROM unnest($2::text[], $3::int[], $4::bigint[]) AS new (topic, partition, start)
    ON CONFLICT DO NOTHING
"""


class Fenced(RuntimeError):
    """Somebody else has moved this consumer on; what was read from the old position must not be applied."""


@dataclass(frozen=True, slots=True)
class Move:
    """A step over the records of one partition: from the position they were read from to the offset after the last."""

    place: TopicPartition
    position: int
    next: int


async def move(connection: asyncpg.Connection, consumer: str, moves: Sequence[Move]) -> None:
    """Take the steps within the transaction of `connection`. Raises Fenced when one of the positions is no longer true."""
    status = await connection.execute(
        _MOVE,
        consumer,
        [step.place.topic for step in moves],
        [step.place.partition for step in moves],
        [step.position for step in moves],
        [step.next for step in moves],
    )
    if status != f"UPDATE {len(moves)}":
        raise Fenced


async def positions(
    database: Database,
    consumer: str,
    kafka: AIOKafkaConsumer,
    places: Iterable[TopicPartition],
    *,
    latest: bool,
) -> Mapping[TopicPartition, int]:
    """The next offsets of `places`; partitions seen for the first time begin at the log's start, or at its end if `latest`."""
    wanted = set(places)
    async with database.driver() as connection:
        known = await _load(connection, consumer)
        if missing := sorted(wanted - known.keys()):
            bounds = kafka.end_offsets(missing) if latest else kafka.beginning_offsets(missing)
            starts = await bounds
            await connection.execute(
                _BEGIN,
                consumer,
                [place.topic for place in missing],
                [place.partition for place in missing],
                [starts[place] for place in missing],
            )
            known = await _load(connection, consumer)
    return {place: known[place] for place in wanted}


async def _load(connection: asyncpg.Connection, consumer: str) -> dict[TopicPartition, int]:
    rows = await connection.fetch(_LOAD, consumer)
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
