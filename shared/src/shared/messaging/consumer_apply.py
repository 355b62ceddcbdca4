"""Applies a batch of records: its effects and its offsets stand or fall in one transaction.

Optimistic: a batch is applied as a whole. If that fails for a reason of its own it is halved until the one event that fails
stands alone; that one is tried a few times and becomes a dead letter, everything else goes on. A lost database is nobody's
fault: it is waited for and nothing is given up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal

import asyncpg
from aiokafka import TopicPartition
from sqlalchemy import text

from shared.contracts.envelope import Received, UnreadableEvent
from shared.database.engine import Database
from shared.database.failures import is_collision, is_database_lost
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.clock import Clock
from shared.kernel.crash import crash_point
from shared.kernel.errors import Unavailable
from shared.messaging import dead_letters, inbox
from shared.messaging.consumer_intake import Read
from shared.messaging.consumer_offsets import Fenced, Move, move
from shared.messaging.dead_letters import BEHIND, DEAD, PARKED, Record, bury, cause_of
from shared.messaging.parts import Backoff
from shared.observability.metrics import CONSUMER_EVENTS, CONSUMER_RETRIES
from shared.observability.tracing import batch_span

logger = logging.getLogger(__name__)

Handler = Callable[[WriteSession, Sequence[Received]], Awaitable[None]]
Mode = Literal["projection", "effects"]

#: Tries of a single event before it is given up; tries of a batch that collides with others before it is halved.
TRIES = 3
COLLISIONS = 8
#: A database that crashes may lose the last moment of a view, and with it the offsets: the events are read again. What others
#: commit after having seen the view is safe only together with it. Effects wait: their own events may be on Kafka by then.
_NO_WAIT_FOR_DISK = text("SET LOCAL synchronous_commit TO off")


class Stopped(Exception):
    """The worker is to stop while a batch waits for the database."""


class Applier:
    """The database side of a consumer; `positions` is where it stands in each partition, shared with the side that reads."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        mode: Mode,
        database: Database,
        clock: Clock,
        on_pause: Callable[[BaseException], None],
    ) -> None:
        """`on_pause` is told why whenever the database has to be waited for."""
        self.positions: dict[TopicPartition, int] = {}
        self._name = name
        self._handler = handler
        self._mode = mode
        self._database = database
        self._clock = clock
        self._on_pause = on_pause

    async def apply(self, reads: Sequence[Read], stop: asyncio.Event) -> None:
        """Apply `reads` (of any partitions, each in order), giving up single events that cannot be applied.

        Raises Fenced when another member has moved on, Stopped when told to stop while waiting for the database.
        """
        backoff = Backoff(first=0.05, longest=5.0)
        collisions = tries = 0
        while True:
            try:
                await self._apply(reads)
            except Fenced:
                raise
            except Exception as error:
                if is_database_lost(error):
                    await self._pause(error, backoff, stop)
                elif collisions < COLLISIONS and (is_collision(error) or isinstance(error, Unavailable)):
                    collisions += 1
                    await self._again(error, backoff, stop)
                elif len(reads) > 1:
                    middle = len(reads) // 2
                    await self.apply(reads[:middle], stop)
                    await self.apply(reads[middle:], stop)
                    return
                elif (tries := tries + 1) < TRIES:
                    await self._again(error, backoff, stop)
                else:
                    await self._give_up(reads[0], error, tries, stop)
                    return
            else:
                return

    async def _again(self, error: Exception, backoff: Backoff, stop: asyncio.Event) -> None:
        CONSUMER_RETRIES.labels(consumer=self._name, reason=type(error).__name__).inc()
        await backoff.pause(stop)

    async def _pause(self, error: Exception, backoff: Backoff, stop: asyncio.Event) -> None:
        self._on_pause(error)
        await backoff.pause(stop)
        if stop.is_set():
            raise Stopped

    async def _apply(self, reads: Sequence[Read]) -> None:
        """One transaction: move the offsets, bury what is unreadable, hand the rest to the handler."""
        moves = self._moves(reads)
        events = [event for _, event in reads if isinstance(event, Received)]
        unreadable = [(record, event) for record, event in reads if isinstance(event, UnreadableEvent)]
        crash_point("consumer.before_database")
        async with self._database.write(Scope.everything()) as session:
            if self._mode == "projection":
                await session.execute(_NO_WAIT_FOR_DISK)
            connection = await driver(session)
            await self._move(connection, moves)
            fresh = await self._admit(connection, events, reads, [record for record, _ in unreadable])
            for record, error in unreadable:
                await self._bury(connection, record, error, tries=1)
            if fresh:
                with batch_span(self._name, fresh):
                    await self._handler(session, fresh)
            crash_point("consumer.mid_batch")
            await session.flush_events()
            await session.commit()
        crash_point("consumer.after_database")
        self._moved(moves)
        CONSUMER_EVENTS.labels(consumer=self._name).inc(len(reads))

    def _moves(self, reads: Sequence[Read]) -> list[Move]:
        last = {(record.topic, record.partition): record.offset for record, _ in reads}
        places = ((TopicPartition(*place), offset) for place, offset in sorted(last.items()))
        try:
            return [Move(place, self.positions[place], offset + 1) for place, offset in places]
        except KeyError:
            # The partition was taken away meanwhile.
            raise Fenced from None

    async def _move(self, connection: asyncpg.Connection, moves: Sequence[Move]) -> None:
        await move(connection, self._name, moves)

    def _moved(self, moves: Iterable[Move]) -> None:
        for step in moves:
            if step.place in self.positions:
                self.positions[step.place] = step.next

    async def _admit(
        self,
        connection: asyncpg.Connection,
        events: list[Received],
        reads: Sequence[Read],
        unreadable: Sequence[Any],
    ) -> list[Received]:
        """What the handler is to see. Effects: nothing twice, nothing too old to tell, nothing behind a dead letter."""
        if self._mode == "projection" or not events:
            return events
        recent = inbox.recent(events, self._clock.now())
        if len(recent) < len(events):
            skipped = len(events) - len(recent)
            CONSUMER_RETRIES.labels(consumer=self._name, reason="too-old").inc(skipped)
            logger.warning("consumer %s skipped %s events older than its inbox", self._name, skipped)
        free = await self._park(connection, recent, reads, unreadable)
        return await self._enter(connection, free)

    async def _enter(self, connection: asyncpg.Connection, events: list[Received]) -> list[Received]:
        return await inbox.enter(connection, self._name, events)

    async def _park(
        self,
        connection: asyncpg.Connection,
        events: list[Received],
        reads: Sequence[Read],
        unreadable: Sequence[Any],
    ) -> list[Received]:
        """Put aside events whose key has a dead letter before them, from earlier or in this batch; the others."""
        keys = sorted({record.key for record, _ in reads if record.key is not None})
        blocked = await dead_letters.open_keys(connection, self._name, keys)
        first = {(dead.topic, dead.key): dead.offset for dead in reversed(unreadable) if dead.key is not None}
        if not blocked and not first:
            return events
        waiting = {
            _place(record): record
            for record, _ in reads
            if record.key in blocked or record.offset > first.get((record.topic, record.key), record.offset)
        }
        for event in events:
            if record := waiting.get(_place(event)):
                letter = _record(record)
                await bury(connection, self._name, letter, BEHIND, state=PARKED, tries=0)
        return [event for event in events if _place(event) not in waiting]

    async def _bury(
        self, connection: asyncpg.Connection, record: Any, error: BaseException, *, tries: int
    ) -> None:
        logger.error("consumer %s gave up %s/%s/%s: %s", self._name, *_place(record), type(error).__name__)
        await bury(connection, self._name, _record(record), cause_of(error), state=DEAD, tries=tries)

    async def _give_up(self, read: Read, error: Exception, tries: int, stop: asyncio.Event) -> None:
        """Write the dead letter and move past its record; that only fails with the database."""
        backoff = Backoff()
        while True:
            moves = self._moves([read])
            try:
                async with self._database.write(Scope.everything()) as session:
                    connection = await driver(session)
                    await self._move(connection, moves)
                    await self._bury(connection, read[0], error, tries=tries)
                    await session.commit()
            except Fenced:
                raise
            except Exception as lost:
                await self._pause(lost, backoff, stop)
            else:
                self._moved(moves)
                return


def _place(record: Any) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _record(record: Any) -> Record:
    return Record(*_place(record), record.key, record.value, list(record.headers))
