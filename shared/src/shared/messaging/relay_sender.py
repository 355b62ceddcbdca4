"""Sends outbox rows to Kafka: record batches built here, one per partition, acknowledged by all replicas."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.contracts.envelope import SCHEMA_BASE, SEQUENCE_DIGITS, Headers, Topic
from shared.messaging.broker import connection
from shared.messaging.partitioning import partition_of
from shared.messaging.topics import require_topics

#: Milliseconds until an unanswered request counts as failed, and seconds until an unacknowledged batch does: an idempotent
#: producer itself never gives up.
REQUEST_TIMEOUT_MS = 5_000
ACK_TIMEOUT = 8.0
BATCH_BYTES = 256 * 1024
_CONTENT_TYPE = ("content-type", b"application/json")
_SPECVERSION = ("ce_specversion", b"1.0")


class SendFailed(RuntimeError):
    """The broker did not acknowledge; nothing is known about what it has."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A page handed to the producer: the id of its last row, how many rows it has, and what tells of their acknowledgement."""

    last_id: int
    count: int
    acknowledgements: list["asyncio.Future[Any]"]

    async def settled_soon(self, seconds: float) -> bool:
        """Whether all is acknowledged within `seconds`, whatever else has failed."""
        _, waiting = await asyncio.wait(self.acknowledgements, timeout=seconds)
        return not waiting and not any(ack.cancelled() or ack.exception() for ack in self.acknowledgements)

    async def settled(self) -> None:
        """Wait until all is acknowledged. Raises SendFailed."""
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                await asyncio.gather(*self.acknowledgements)
        except TimeoutError:
            raise SendFailed(f"no acknowledgement within {ACK_TIMEOUT} s") from None
        except KafkaError as error:
            raise SendFailed(type(error).__name__) from error


class Sender:
    """One idempotent producer. After any failure it is thrown away: what it still has to send must not overtake a second try."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._constant: dict[tuple[str, str], Headers] = {}

    async def open(self) -> None:
        """Connect. Raises SendFailed."""
        try:
            self._producer = AIOKafkaProducer(
                **connection(self._bootstrap),
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                max_request_size=8 * BATCH_BYTES,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                metadata_max_age_ms=60_000,
            )
            async with asyncio.timeout(ACK_TIMEOUT):
                await self._producer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close(flush=False)
            raise SendFailed(f"the broker cannot be reached ({type(error).__name__})") from error

    async def require(self, topics: Collection[Topic]) -> None:
        """Before anything is sent: a key in another partition than agreed stays there for ever.

        Raises SendFailed, TopicsMissing, WrongPartitions.
        """
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                # Asks for all there are: a question by name may make a topic that is missing.
                cluster = await self._open_producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError, OSError) as error:
            raise SendFailed(f"the topics cannot be listed ({type(error).__name__})") from error
        present = {name: len(cluster.partitions_for_topic(name) or ()) for name in cluster.topics()}
        require_topics(present, topics)

    async def send(self, rows: Sequence[Any]) -> Sent:
        """Hand a page to the producer, in order of each partition. Raises SendFailed."""
        builders: dict[tuple[str, int], list[Any]] = defaultdict(list)
        acknowledgements: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                await self._learn_partitions({row["topic"] for row in rows})
                self._encode(rows, builders)
                for (topic, partition), batches in builders.items():
                    for builder in batches:
                        acknowledgement = await self._open_producer.send_batch(
                            builder, topic, partition=partition
                        )
                        acknowledgement.add_done_callback(_hear)
                        acknowledgements.append(acknowledgement)
        except TimeoutError:
            raise SendFailed(f"nothing could be sent within {ACK_TIMEOUT} s") from None
        except KafkaError as error:
            raise SendFailed(type(error).__name__) from error
        return Sent(rows[-1]["id"], len(rows), acknowledgements)

    async def announce(self, topic: str, key: str, message: dict[str, Any]) -> None:
        """Send a single record. Raises SendFailed."""
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                await self._open_producer.send_and_wait(topic, orjson.dumps(message), key=key.encode())
        except (KafkaError, TimeoutError) as error:
            raise SendFailed(type(error).__name__) from error

    async def close(self, *, flush: bool) -> None:
        """End the producer: politely, or at once so that nothing of it reaches the broker any more."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if not flush:
            # The public stop() first tries to deliver all it has, for as long as that takes.
            task = producer._sender.sender_task  # noqa: SLF001
            if task is not None:
                task.cancel()
            await producer.client.close()
            producer._message_accumulator.fail_all(KafkaError("closed"))  # noqa: SLF001
        with suppress(TimeoutError, KafkaError, asyncio.CancelledError):
            async with asyncio.timeout(ACK_TIMEOUT):
                await producer.stop()

    @property
    def _open_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise SendFailed("the producer is closed")
        return self._producer

    async def _learn_partitions(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if topic not in self._partitions:
                self._partitions[topic] = len(await self._open_producer.partitions_for(topic))

    def _encode(self, rows: Sequence[Any], builders: dict[tuple[str, int], list[Any]]) -> None:
        create = self._open_producer.create_batch
        for _, event_id, topic, key, kind, sequence, source, time, payload, traceparent, *_ in rows:
            key_bytes = str(key).encode()
            headers = [
                *self._constant_headers(kind, source),
                ("ce_id", str(event_id).encode()),
                ("ce_subject", key_bytes),
                ("ce_time", time.isoformat().encode()),
                ("ce_sequence", str(sequence).zfill(SEQUENCE_DIGITS).encode()),
            ]
            if traceparent:
                headers.append(("traceparent", traceparent.encode()))
            batches = builders[topic, partition_of(key_bytes, self._partitions[topic])]
            timestamp = int(time.timestamp() * 1000)
            if not batches or not batches[-1].append(
                timestamp=timestamp, key=key_bytes, value=payload, headers=headers
            ):
                batches.append(create())
                batches[-1].append(timestamp=timestamp, key=key_bytes, value=payload, headers=headers)

    def _constant_headers(self, kind: str, source: str) -> Headers:
        headers = self._constant.get((kind, source))
        if headers is None:
            headers = [
                _CONTENT_TYPE,
                _SPECVERSION,
                ("ce_type", kind.encode()),
                ("ce_source", source.encode()),
                ("ce_dataschema", f"{SCHEMA_BASE}{kind}".encode()),
            ]
            self._constant[kind, source] = headers
        return headers


def _hear(acknowledgement: "asyncio.Future[Any]") -> None:
    """A failure that nobody waits for any more is not worth a complaint of the loop's: all of the page is sent again."""
    if not acknowledgement.cancelled():
        acknowledgement.exception()
