"""Carries the outbox of one service to Kafka: nothing lost, each key in order, now and then something twice.

A pass is the backlog between two snapshots, sent in pages with up to three of them unacknowledged, and noted only when
acknowledged. The leader's lock, the reading and the noting share one connection: when it breaks, the producer is cut off at
once, and whoever leads next first waits until nothing of this one can arrive any more.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.contracts.envelope import Topic
from shared.kernel.crash import crash_point
from shared.kernel.ids import new_id
from shared.messaging.parts import Backoff, Reason, wait_for_stop
from shared.messaging.relay_announcer import Announcer
from shared.messaging.relay_sender import ACK_TIMEOUT, Sender, SendFailed, Sent
from shared.messaging.relay_source import (
    SESSION_SETTINGS,
    OutboxSource,
    Progress,
    at,
    ended,
)
from shared.messaging.topics import TopicsMissing, WrongPartitions, declared_topics, progress_topic
from shared.observability.metrics import (
    OLDEST_TRANSACTION,
    OUTBOX_AGE,
    OUTBOX_BACKLOG,
    RELAY_EVENTS,
    RELAY_FAILURES,
    RELAY_LEADER,
)

logger = logging.getLogger(__name__)

PAGE = 2_000
IN_FLIGHT = 3
#: Seconds from one look to the next: right after work, and when nothing has happened for a while.
BUSY_POLL = 0.005
IDLE_POLL = 0.05
IDLE_AFTER = 40
#: After a pass that took longer than that, so that what others commit meanwhile goes together.
SHORTEST_PAUSE = 0.001
UPKEEP_EVERY = 5.0
#: Seconds that a new leader waits after one that did not sign off: longer than its last request can be under way.
TAKEOVER_WAIT = ACK_TIMEOUT + 2.0
#: Seconds between opening a new producer after a failure and its first send: a stalled broker may still hold requests of the old.
SETTLE = 1.0


class ConnectionLost(ConnectionError):
    """The leader's connection is gone, and the lock with it."""


class Relay:
    """The part of a worker that sends the outbox. Any number may run; one leads."""

    name = "relay"

    def __init__(
        self,
        database_url: str,
        kafka: str,
        service: str,
        *,
        topics: Sequence[Topic] | None = None,
        takeover_wait: float = TAKEOVER_WAIT,
        page: int = PAGE,
    ) -> None:
        """`database_url` is the worker's; `topics`, by default all of the service's contracts, must be there as declared.

        Their progress is announced.
        """
        self._url = database_url
        self._kafka = kafka
        self._takeover_wait = takeover_wait
        self._page = page
        prefix = f"unionhall.{service}."
        own = [topic for topic in declared_topics() if topic.name.startswith(prefix) and topic.compacted]
        announced = own if topics is None else topics
        self._announcer = Announcer(kafka, service, announced)
        self._topics = [*announced, progress_topic(service)] if announced else []
        self._id: UUID = new_id()
        self._progress = Progress("1:1:")
        self._sent_until: datetime | None = None
        self._reason: Reason | None = None
        self._upkeep_due = 0.0
        self.leading = False

    def reasons(self) -> list[Reason]:
        """Not ready without its database, the broker or the right topics. A relay that waits behind a leader is ready."""
        return [self._reason] if self._reason else []

    async def run(self, stop: asyncio.Event) -> None:
        """Lead whenever nobody else does, until `stop`."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                await self._try_lead(stop, backoff)
            except Exception as error:
                self._failed("database", error)
                await backoff.pause(stop)

    def _failed(self, part: str, error: Exception) -> None:
        RELAY_FAILURES.labels(reason=part).inc()
        match error:
            case TopicsMissing(names=names):
                reason = Reason("relay-topics-missing", {"topics": ", ".join(names)})
            case WrongPartitions(names=names):
                reason = Reason("relay-partitions-wrong", {"topics": ", ".join(names)})
            case _:
                reason = Reason(f"relay-{part}-down", {"cause": type(error).__name__})
        # It is tried for as long as it takes; once is enough to read.
        if reason != self._reason:
            logger.warning("relay waits for its %s: %s", part, *reason.params.values())
        self._reason = reason

    async def _try_lead(self, stop: asyncio.Event, backoff: Backoff) -> None:
        connection = await asyncpg.connect(
            self._url, server_settings=SESSION_SETTINGS, timeout=5, command_timeout=30
        )
        try:
            source = OutboxSource(connection, self._id)
            while not await source.try_lead():
                self._reason = None
                if await wait_for_stop(stop, 0.5):
                    return
            backoff.reset()
            await self._lead(connection, source, stop)
        finally:
            self.leading = False
            RELAY_LEADER.set(0)
            with suppress(TimeoutError, OSError, asyncpg.PostgresError):
                await connection.close(timeout=2)

    async def _lead(self, connection: asyncpg.Connection, source: OutboxSource, stop: asyncio.Event) -> None:
        """Work until `stop`, or until the connection with the lock breaks, whichever comes first."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        work = asyncio.create_task(self._work(source, stop))
        watch = asyncio.create_task(lost.wait())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ConnectionLost
            await work
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _work(self, source: OutboxSource, stop: asyncio.Event) -> None:
        self._progress, unclean, restored = await source.take_over()
        self.leading = True
        RELAY_LEADER.set(1)
        if unclean and await wait_for_stop(stop, self._takeover_wait):
            return
        backoff = Backoff()
        failures = 0
        while not stop.is_set():
            sender = self._sender()
            reached = self._progress
            try:
                await sender.open()
                await sender.require(self._topics)
                if failures:
                    await wait_for_stop(stop, SETTLE)
                if restored:
                    await self._restart_outbox(source, sender)
                    restored = False
                announcing = asyncio.create_task(self._announcer.run(sender, lambda: self._sent_until))
                try:
                    await self._relay(source, sender, stop)
                finally:
                    announcing.cancel()
                    await asyncio.gather(announcing, return_exceptions=True)
                await sender.close(flush=True)
                await source.sign_off()
            except (SendFailed, TopicsMissing, WrongPartitions) as failed:
                self._failed("broker" if isinstance(failed, SendFailed) else "topics", failed)
                failures += 1
                if self._progress != reached:
                    backoff.reset()
                await sender.close(flush=False)
                await self._measure(source)
                await backoff.pause(stop)
            finally:
                await sender.close(flush=False)

    def _sender(self) -> Sender:
        return Sender(self._kafka)

    async def _relay(self, source: OutboxSource, sender: Sender, stop: asyncio.Event) -> None:
        empty = 0
        while not stop.is_set():
            began = time.monotonic()
            sent = await self._pass(source, sender)
            self._reason = None
            empty = 0 if sent else empty + 1
            if time.monotonic() >= self._upkeep_due:
                await self._upkeep(source)
            if sent < self._page:
                poll = BUSY_POLL if empty < IDLE_AFTER else IDLE_POLL
                await wait_for_stop(stop, max(SHORTEST_PAUSE, began + poll - time.monotonic()))

    async def _pass(self, source: OutboxSource, sender: Sender) -> int:
        """Send all that became visible since the last pass (or the rest of one that broke off); how many rows that was."""
        looked_at = None
        if self._progress.target is None:
            look = await source.look(self._progress, self._page)
            looked_at = look.at
            if not look.rows:
                # Nothing to note: what lies between the two snapshots holds no row.
                self._progress, self._sent_until = Progress(look.target), look.at
                return 0
            first = look.rows
            self._progress = Progress(self._progress.previous, look.target, first[0]["id"] - 1)
        else:
            first = await source.page(self._progress, self._progress.last_id, self._page)
        count = await self._send_pages(source, sender, first)
        crash_point("relay.before_progress")
        await self._note(source, ended(self._progress), looked_at)
        self._sent_until = looked_at or self._sent_until
        return count

    async def _send_pages(self, source: OutboxSource, sender: Sender, first: list[asyncpg.Record]) -> int:
        in_flight: deque[Sent] = deque()
        try:
            return await self._send_on(source, sender, first, in_flight)
        except SendFailed:
            # A broker that fails now and then must not bring back what it has taken, or a long pass would never end.
            while in_flight and await in_flight[0].settled_soon(1.0):
                await self._note(source, at(self._progress, in_flight.popleft().last_id), None)
            raise

    async def _send_on(
        self, source: OutboxSource, sender: Sender, rows: list[asyncpg.Record], in_flight: deque[Sent]
    ) -> int:
        count = 0
        while rows or in_flight:
            if rows:
                rows = await self._send_and_read_on(source, sender, rows, in_flight)
            while len(in_flight) >= (IN_FLIGHT if rows else 1):
                sent = in_flight[0]
                await sent.settled()
                in_flight.popleft()
                crash_point("relay.after_send")
                count += sent.count
                RELAY_EVENTS.inc(sent.count)
                if rows or in_flight:
                    await self._note(source, at(self._progress, sent.last_id), None)
        return count

    async def _send_and_read_on(
        self, source: OutboxSource, sender: Sender, rows: list[asyncpg.Record], in_flight: deque[Sent]
    ) -> list[asyncpg.Record]:
        """Send a page while the next one is read."""
        if len(rows) < self._page:
            crash_point("relay.before_send")
            in_flight.append(await sender.send(rows))
            return []
        reading = asyncio.create_task(source.page(self._progress, rows[-1]["id"], self._page))
        try:
            crash_point("relay.before_send")
            in_flight.append(await sender.send(rows))
            return await reading
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _note(self, source: OutboxSource, progress: Progress, sent_until: datetime | None) -> None:
        await source.store(progress, sent_until)
        self._progress = progress

    async def _upkeep(self, source: OutboxSource) -> None:
        """Between passes, every few seconds: note idle progress, empty slots, measure."""
        self._upkeep_due = time.monotonic() + UPKEEP_EVERY
        await source.store(self._progress, self._sent_until)
        for slot in await source.rotate(self._progress):
            logger.info("outbox slot %s emptied", slot)
        await self._measure(source)

    async def _measure(self, source: OutboxSource) -> None:
        backlog = await source.backlog(self._progress)
        OUTBOX_BACKLOG.set(backlog.rows)
        OUTBOX_AGE.set(backlog.age_seconds)
        OLDEST_TRANSACTION.set(backlog.oldest_transaction_xids)

    async def _restart_outbox(self, source: OutboxSource, sender: Sender) -> None:
        """After a restore from a dump transaction ids mean nothing: send all, empty the outbox, begin with today's snapshot."""
        logger.warning("the database was restored from a dump: all outbox rows are sent again")
        sent: set[int] = set()
        fresh: Progress | None = None
        while fresh is None:
            after = 0
            while rows := await source.everything(after, self._page):
                after = rows[-1]["id"]
                if unsent := [row for row in rows if row["id"] not in sent]:
                    await (await sender.send(unsent)).settled()
                    sent.update(row["id"] for row in unsent)
            fresh = await source.start_afresh(sent)
        self._progress = fresh
