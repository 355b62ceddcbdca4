"""Reads topics as a member of a group and has every batch applied to this service's database.

The offsets in the database are the truth. A partition is sought to them before anything is polled from it; what was read
before that, or from a partition that was taken away, is dropped. Kafka's own offsets are told for displays of lag only.
While a batch is applied the next one is read and decoded.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from shared.contracts.envelope import Topic
from shared.database.engine import Database
from shared.database.failures import is_database_lost
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.broker import connection, leave
from shared.messaging.consumer_apply import Applier, Handler, Mode, Stopped
from shared.messaging.consumer_asking import Asking
from shared.messaging.consumer_intake import Intake, Read
from shared.messaging.consumer_offsets import Fenced, positions
from shared.messaging.consumer_redrive import Redriver
from shared.messaging.freshness import Freshness, source_of
from shared.messaging.parts import Backoff, Reason
from shared.messaging.topics import TopicsMissing, WrongPartitions, dead_letter_topic, ensure_topics
from shared.observability.metrics import CONSUMER_BATCH, CONSUMER_LAG, CONSUMER_PAUSED

logger = logging.getLogger(__name__)

BATCH = 2_000
#: From so many records on, the next batch is read while one is applied; fewer are no backlog.
READ_ON_FROM = 500
#: Records taken from the client at once meanwhile: decoding them holds the batch up.
READ_AT_ONCE = 250
POLL_MS = 200
READ_ON_MS = 10
UPKEEP_EVERY = 1.0
#: A member without partitions cannot rejoin after the poll interval (an open defect of the client): it starts anew before that.
IDLE_RESTART = 200.0


class Consumer:
    """One consumer of a service, under a name that is unique in the installation ("gateway.directory")."""

    def __init__(  # noqa: PLR0913 - the composition root names them all
        self,
        name: str,
        topics: Sequence[Topic],
        handler: Handler,
        mode: Mode,
        database: Database,
        kafka: str,
        start: Literal["earliest", "latest"] = "earliest",
        *,
        batch: int = BATCH,
        lanes: int = 1,
        clock: Clock | None = None,
    ) -> None:
        """`database` is the worker's. `start` holds for partitions never seen before.

        "projection": the handler may get an event again, or late, and takes the newest sequence. "effects": each event once.
        `lanes` > 1 applies partitions side by side, for handlers whose rows of different keys do not meet.
        """
        self.name = name
        self._topics = topics
        self._database = database
        self._kafka = kafka
        self._latest = start == "latest"
        self._batch = batch
        self._lanes = lanes
        self._clock = clock or SystemClock()
        self._applier = self._make_applier(handler, mode)
        self._intake = Intake()
        self._asking = Asking()
        self._redriver = Redriver(name, handler, database, self._clock, effects=mode == "effects")
        self._reason: Reason | None = None
        self._upkeep_due = 0.0
        self._told: dict[TopicPartition, int] = {}

    def _make_applier(self, handler: Handler, mode: Mode) -> Applier:
        return Applier(
            self.name,
            handler,
            mode,
            self._database,
            self._clock,
            lambda error: self._waits("database", error),
        )

    def reasons(self) -> list[Reason]:
        """Not ready while it waits for its database or for the broker."""
        return [self._reason] if self._reason else []

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; what is under way then is finished."""
        sources = {source_of(topic) for topic in self._topics}
        followers = [asyncio.create_task(self._freshness(source).run()) for source in sources]
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    await self._consume(stop, backoff)
                except Stopped:
                    break
                except TopicsMissing as missing:
                    self._reason = Reason(
                        "consumer-topics-missing", {"consumer": self.name, "topics": ", ".join(missing.names)}
                    )
                    await backoff.pause(stop)
                except WrongPartitions as wrong:
                    self._reason = Reason(
                        "consumer-partitions-wrong", {"consumer": self.name, "topics": ", ".join(wrong.names)}
                    )
                    await backoff.pause(stop)
                except Exception as error:
                    self._waits("database" if is_database_lost(error) else "broker", error)
                    await backoff.pause(stop)
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    def _freshness(self, source: str) -> Freshness:
        own = [topic for topic in self._topics if source_of(topic) == source]
        return Freshness(self.name, source, own, self._database, self._kafka)

    def _waits(self, part: str, error: BaseException) -> None:
        self._reason = Reason(f"consumer-{part}-down", {"consumer": self.name, "cause": type(error).__name__})
        CONSUMER_PAUSED.labels(consumer=self.name).set(1)
        logger.warning("consumer %s waits for its %s: %s", self.name, part, type(error).__name__)

    def _works(self) -> None:
        self._reason = None
        CONSUMER_PAUSED.labels(consumer=self.name).set(0)

    async def _consume(self, stop: asyncio.Event, backoff: Backoff) -> None:
        """Join the group and work until `stop`, or for as long as it makes sense."""
        self._forget_all()
        # Its mirror goes through the outbox, which a missing topic would block.
        await ensure_topics(self._kafka, [dead_letter_topic(self.name)], checked=self._topics)
        kafka = AIOKafkaConsumer(
            **connection(self._kafka),
            group_id=f"unionhall.{self.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            fetch_max_wait_ms=250,
        )
        names = [topic.name for topic in self._topics]
        try:
            await kafka.start()
            # The client would ask for a missing topic without ever taking breath.
            if missing := set(names) - await kafka.topics():
                raise TopicsMissing(sorted(missing))
            kafka.subscribe(names, listener=Forgetful(self._forget))
            with_partitions = time.monotonic()
            while not stop.is_set() and time.monotonic() - with_partitions < IDLE_RESTART:
                await self._round(kafka, stop)
                backoff.reset()
                if kafka.assignment():
                    with_partitions = time.monotonic()
        finally:
            await leave(kafka)

    async def _round(self, kafka: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        await self._seek(kafka)
        self._asking.go_on(kafka)
        if not self._intake.count:
            self._intake.add(await kafka.getmany(timeout_ms=POLL_MS, max_records=self._batch))
        if batch := self._intake.take():
            began = time.monotonic()
            self._asking.heard({place.topic for place in batch})
            try:
                if sum(map(len, batch.values())) < READ_ON_FROM:
                    self._asking.hold(kafka)
                    await self._apply(batch, stop)
                else:
                    async with self._reading_on(kafka):
                        await self._apply(batch, stop)
            except Fenced:
                logger.info("consumer %s was overtaken and reads again", self.name)
                self._forget_all()
                return
            self._measure(kafka, batch, time.monotonic() - began)
        self._works()
        if time.monotonic() >= self._upkeep_due:
            self._upkeep_due = time.monotonic() + UPKEEP_EVERY
            await self._tell(kafka)
            await self._redriver.run_requested(stop)

    @asynccontextmanager
    async def _reading_on(self, kafka: AIOKafkaConsumer) -> AsyncIterator[None]:
        """Fill the intake meanwhile."""
        enough = asyncio.Event()
        reading = asyncio.create_task(self._read_on(kafka, enough))
        try:
            yield
        finally:
            # Not cancelled: the client would count a poll that never ended, and never again notice that nobody polls.
            enough.set()
            (outcome,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(outcome, BaseException):
            raise outcome

    async def _read_on(self, kafka: AIOKafkaConsumer, enough: asyncio.Event) -> None:
        while not enough.is_set() and (room := self._batch - self._intake.count) > 0:
            polled = await kafka.getmany(timeout_ms=READ_ON_MS, max_records=min(room, READ_AT_ONCE))
            self._intake.add(polled)
            # The client does not take breath as long as it has something.
            await asyncio.sleep(0)

    def _forget(self, places: Iterable[TopicPartition]) -> None:
        self._intake.forget(places)
        for place in places:
            self._applier.positions.pop(place, None)

    def _forget_all(self) -> None:
        self._intake.clear()
        self._applier.positions.clear()

    async def _seek(self, kafka: AIOKafkaConsumer) -> None:
        """Go to where the database says, before anything is polled."""
        if unsought := kafka.assignment() - self._applier.positions.keys():
            found = await positions(self._database, self.name, kafka, unsought, latest=self._latest)
            for place, offset in found.items():
                if place in kafka.assignment():
                    kafka.seek(place, offset)
                    self._applier.positions[place] = offset
                    self._intake.know(place)

    async def _apply(self, batch: dict[TopicPartition, list[Read]], stop: asyncio.Event) -> None:
        lanes: list[list[Read]] = [[] for _ in range(self._lanes)]
        for place, reads in sorted(batch.items()):
            lanes[place.partition % self._lanes].extend(reads)
        work = [self._applier.apply(reads, stop) for reads in lanes if reads]
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _tell(self, kafka: AIOKafkaConsumer) -> None:
        moved = {
            place: offset
            for place, offset in self._applier.positions.items()
            if self._told.get(place) != offset and place in kafka.assignment()
        }
        if moved:
            try:
                await kafka.commit(moved)
                self._told.update(moved)
            except (CommitFailedError, KafkaError) as error:
                logger.info("offsets of %s not told to Kafka: %s", self.name, type(error).__name__)

    def _measure(
        self, kafka: AIOKafkaConsumer, batch: dict[TopicPartition, list[Read]], seconds: float
    ) -> None:
        CONSUMER_BATCH.labels(consumer=self.name).observe(seconds)
        last = {place: reads[-1][0] for place, reads in batch.items()}
        behind = any((kafka.highwater(place) or 0) > record.offset + 1 for place, record in last.items())
        newest: float = max(record.timestamp for record in last.values()) / 1000
        age = max(0.0, self._clock.now().timestamp() - newest)
        CONSUMER_LAG.labels(consumer=self.name).set(age if behind else 0.0)


class Forgetful(ConsumerRebalanceListener):  # type: ignore[misc]  # the client brings no types
    """Has partitions forgotten that come and go; the loop seeks whatever it has no position of."""

    def __init__(self, forget: Callable[[Iterable[TopicPartition]], None]) -> None:
        self._forget = forget

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before the group is divided anew."""
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After it."""
        self._forget(assigned)
