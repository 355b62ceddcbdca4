"""Tells readers how fresh they are: every few seconds, "all committed before T is published, up to these end offsets".

Without it a reader cannot tell an idle topic from a stalled outbox.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.envelope import Topic
from shared.messaging.broker import connection, leave
from shared.messaging.relay_sender import Sender, SendFailed
from shared.messaging.topics import progress_topic

logger = logging.getLogger(__name__)

ANNOUNCE_EVERY = 5.0


class Announcer:
    """Publishes progress to `unionhall.<service>.progress.v1`."""

    def __init__(self, bootstrap: str, service: str, topics: Sequence[Topic]) -> None:
        self._bootstrap = bootstrap
        self._service = service
        self._topic = progress_topic(service).name
        self._partitions = [
            TopicPartition(topic.name, partition) for topic in topics for partition in range(topic.partitions)
        ]

    async def run(self, sender: Sender, sent_until: Callable[[], datetime | None]) -> None:
        """Announce for as long as the relay leads. Failing to announce never stops the relay: readers then count as stale."""
        if not self._partitions:
            return
        while True:
            try:
                await self._announce_regularly(sender, sent_until)
            except (KafkaError, SendFailed, OSError) as error:
                logger.warning("progress not announced: %s", type(error).__name__)
                await asyncio.sleep(ANNOUNCE_EVERY)

    async def _announce_regularly(self, sender: Sender, sent_until: Callable[[], datetime | None]) -> None:
        reader = AIOKafkaConsumer(**connection(self._bootstrap), enable_auto_commit=False)
        try:
            await reader.start()
            while True:
                # First the time, then the ends: what was published by then lies before them.
                if (moment := sent_until()) is not None:
                    ends = await reader.end_offsets(self._partitions)
                    await sender.announce(self._topic, self._service, self._message(moment, ends))
                await asyncio.sleep(ANNOUNCE_EVERY)
        finally:
            await leave(reader)

    def _message(self, moment: datetime, ends: dict[TopicPartition, int]) -> dict[str, object]:
        by_topic: dict[str, dict[str, int]] = {}
        for place in self._partitions:
            by_topic.setdefault(place.topic, {})[str(place.partition)] = ends[place]
        return {"service": self._service, "at": moment.isoformat(), "ends": by_topic}
