"""Redriving: dead letters that somebody asked for go through their consumer's handler again, key by key, in order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.contracts.envelope import Received, read_record
from shared.database.engine import Database
from shared.database.failures import is_collision, is_database_lost
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.clock import Clock
from shared.messaging import dead_letters, inbox
from shared.messaging.dead_letters import Letter
from shared.observability.metrics import DEAD_LETTERS, PARKED_KEYS

logger = logging.getLogger(__name__)

_OPEN = """
    SELECT count(*) FILTER (WHERE state = 'dead') AS dead, count(DISTINCT key) FILTER (WHERE state = 'parked') AS keys
    FROM dead_letters WHERE consumer = $1 AND state IN ('dead', 'parked')
"""


class Redriver:
    """Works off the requests for one consumer. Several processes may try at once: a lock per key lets one do it."""

    def __init__(
        self,
        consumer: str,
        handler: Callable[[WriteSession, Sequence[Received]], Awaitable[None]],
        database: Database,
        clock: Clock,
        *,
        effects: bool,
    ) -> None:
        self._consumer = consumer
        self._handler = handler
        self._database = database
        self._clock = clock
        self._effects = effects

    async def run_requested(self, stop: asyncio.Event) -> int:
        """Redrive what was asked for; how many events were applied."""
        async with self._database.driver() as connection:
            wanted = await dead_letters.requested(connection, self._consumer)
            row = await connection.fetchrow(_OPEN, self._consumer)
        if row is not None:
            DEAD_LETTERS.labels(consumer=self._consumer).set(row["dead"])
            PARKED_KEYS.labels(consumer=self._consumer).set(row["keys"])
        applied = 0
        for letter_id in wanted:
            while not stop.is_set() and await self._step(letter_id):
                applied += 1
        if applied:
            logger.info("consumer %s redrove %s events", self._consumer, applied)
        return applied

    async def _step(self, letter_id: UUID) -> bool:
        """Apply one event: the letter's own, or for effects the oldest of its key. False when nothing is left to do."""
        letter: Letter | None = None
        try:
            async with self._database.write(Scope.everything()) as session:
                connection = await driver(session)
                letter = await self._choose(connection, letter_id)
                if letter is None:
                    return False
                await self._apply(session, connection, letter)
                await session.flush_events()
                await session.commit()
        except Exception as error:
            if letter is None or is_database_lost(error):
                raise
            # A collision says nothing about the event: the request stands for the next time.
            if not is_collision(error):
                await self._failed(letter, error)
            return False
        return True

    async def _choose(self, connection: asyncpg.Connection, letter_id: UUID) -> Letter | None:
        key = await connection.fetchval("SELECT key FROM dead_letters WHERE id = $1", letter_id)
        if not self._effects or key is None:
            return await dead_letters.by_id(connection, letter_id)
        await dead_letters.lock_key(connection, self._consumer, key)
        return await dead_letters.next_of_key(connection, self._consumer, key)

    async def _apply(self, session: WriteSession, connection: asyncpg.Connection, letter: Letter) -> None:
        record = letter.record
        event = read_record(record.topic, record.partition, record.offset, record.headers, record.value)
        fresh = [event]
        if self._effects:
            fresh = await inbox.enter(connection, self._consumer, [event])
        if fresh:
            await self._handler(session, fresh)
        await dead_letters.settle(connection, letter, self._clock.now())

    async def _failed(self, letter: Letter, error: Exception) -> None:
        logger.warning(
            "consumer %s could not redrive %s: %s", self._consumer, letter.id, type(error).__name__
        )
        async with self._database.driver() as connection:
            await dead_letters.fail_again(connection, letter, dead_letters.cause_of(error))


async def request_redrive(
    database: Database, *, ids: Sequence[UUID] | None, consumer: str | None, now: datetime
) -> list[UUID]:
    """Ask for another try in a transaction of its own, as the worker: for operators' commands. The ids that were dead."""
    async with database.write(Scope.everything()) as session:
        asked = await dead_letters.redrive(session, ids=ids, consumer=consumer, now=now)
        await session.commit()
    return asked


async def close_letter(
    database: Database, letter_id: UUID, *, by: str, reason: str, now: datetime
) -> int | None:
    """Close a dead letter in a transaction of its own, as the worker; see `dead_letters.close`."""
    async with database.write(Scope.everything()) as session:
        behind = await dead_letters.close(session, letter_id, by=by, reason=reason, now=now)
        await session.flush_events()
        await session.commit()
    return behind
