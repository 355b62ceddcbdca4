"""How fresh a view is: everything that its source had committed at `as_of` is applied.

A relay announces "all committed before T is published, up to these end offsets"; once a consumer's own offsets have passed those
ends, it is as fresh as T. An idle topic is fresh by that rule, a stalled outbox is not.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy import text

from shared.contracts.envelope import Topic
from shared.database.engine import Database
from shared.database.failures import DATABASE_ERRORS
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.messaging.broker import connection, leave
from shared.messaging.topics import progress_topic
from shared.observability.metrics import REPLICA_AGE

logger = logging.getLogger(__name__)

_AS_OF = text("""
    SELECT min(as_of) FROM consumer_freshness
    WHERE consumer = :consumer AND (CAST(:source AS text) IS NULL OR source = :source)
""")
_OFFSETS = text("SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer = :consumer")
#: Of many announcements only the oldest and the newest matter much; a long outage must not fill memory.
_PENDING = 1_000
AGAIN_SECONDS = 2.0


async def as_of(session: ReadSession, consumer: str, topic: Topic | None = None) -> datetime | None:
    """The moment up to which `consumer` has applied all that its sources committed (or the owner of `topic` alone).

    None while nothing is known yet: before the first announcement, or for a consumer that never ran.
    """
    source = None if topic is None else source_of(topic)
    found: datetime | None = await session.scalar(_AS_OF, {"consumer": consumer, "source": source})
    return found


def source_of(topic: Topic) -> str:
    """The service that owns a topic: the second word of its name."""
    return topic.name.split(".")[1]


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a relay said: all committed before `at` lies before `ends`."""

    at: datetime
    ends: dict[tuple[str, int], int]

    def reached(self, offsets: dict[tuple[str, int], int]) -> bool:
        """Whether a consumer with these next offsets has applied all of it."""
        return all(offsets.get(place, 0) >= end for place, end in self.ends.items())


def read_announcement(value: bytes, topics: Sequence[Topic]) -> Announcement:
    """Decode a progress record, as far as it concerns `topics`."""
    message = orjson.loads(value)
    ends = {
        (topic.name, int(partition)): end
        for topic in topics
        for partition, end in message["ends"].get(topic.name, {}).items()
    }
    return Announcement(datetime.fromisoformat(message["at"]), ends)


class Freshness:
    """Follows the announcements of one source and notes when a consumer has reached them."""

    def __init__(
        self, consumer: str, source: str, topics: Sequence[Topic], database: Database, kafka: str
    ) -> None:
        self._consumer = consumer
        self._source = source
        self._topics = topics
        self._database = database
        self._kafka = kafka
        self._pending: deque[Announcement] = deque(maxlen=_PENDING)

    async def run(self) -> None:
        """Until cancelled. What fails is tried again; meanwhile the view ages, which is the truth."""
        while True:
            try:
                await self._follow()
            except (KafkaError, *DATABASE_ERRORS) as error:
                logger.warning("announcements of %s cannot be read: %s", self._source, type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        reader = AIOKafkaConsumer(**connection(self._kafka), enable_auto_commit=False)
        place = TopicPartition(progress_topic(self._source).name, 0)
        try:
            await reader.start()
            # The client would ask for a missing topic without ever taking breath.
            if place.topic not in await reader.topics():
                return
            reader.assign([place])
            end = (await reader.end_offsets([place]))[place]
            # The last one said is enough to begin with.
            reader.seek(place, max(end - 1, 0))
            while True:
                for records in (await reader.getmany(timeout_ms=1_000)).values():
                    for record in records:
                        self._pending.append(read_announcement(record.value, self._topics))
                await self.note_reached()
        finally:
            await leave(reader)

    async def note_reached(self) -> None:
        """Compare the consumer's offsets with what was announced, and note the newest moment reached."""
        if not self._pending:
            return
        async with self._database.read(Scope.everything()) as session:
            rows = await session.execute(_OFFSETS, {"consumer": self._consumer})
            offsets = {(row.topic, row.partition): row.next_offset for row in rows}
        reached = None
        while self._pending and self._pending[0].reached(offsets):
            reached = self._pending.popleft().at
        if reached is not None:
            await self._note(reached)

    async def _note(self, moment: datetime) -> None:
        async with self._database.driver() as connection:
            await connection.execute(
                """
                INSERT INTO consumer_freshness AS known (consumer, source, as_of) VALUES ($1, $2, $3)
                ON CONFLICT (consumer, source) DO UPDATE SET as_of = excluded.as_of WHERE known.as_of < excluded.as_of
                """,
                self._consumer,
                self._source,
                moment,
            )
        REPLICA_AGE.labels(replica=self._consumer).set((datetime.now(UTC) - moment).total_seconds())
